"""Settings of a training that cannot work, or that the run would overwrite: what to type instead.

What correctness needs is set where the trainer is built (`polymodal.training.trainer`), whatever a
file under configs/trainer says. A setting that contradicts it is refused here, before torch is
imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polymodal.errors import did_you_mean

DECIDED: dict[str, tuple[tuple[Any, ...], str]] = {
    "logger": ((None,), "choose loggers by logger=[csv,tensorboard], or logger=none."),
    "callbacks": (
        (None,),
        "choose callbacks by callbacks=[...], or give callbacks.<name>._target_=...",
    ),
    "use_distributed_sampler": (
        (None, False),
        "our samplers share each batch among the processes. Leave it out.",
    ),
    "reload_dataloaders_every_n_epochs": (
        (None, 0),
        "each epoch has an order of its own anyway. Leave it out.",
    ),
    "barebones": ((None, False), "it logs nothing, so there would be no metrics. Leave it out."),
    "overfit_batches": ((None, 0), "type debug=overfit, or data.limit=<samples of each split>."),
    "limit_train_batches": (
        (),
        "nothing would be trained. To evaluate a checkpoint: python src/eval.py",
    ),
    "max_steps": ((), "nothing would be trained. To evaluate a checkpoint: python src/eval.py"),
}
"""Option of Lightning's Trainer -> the values that a run can have, () for all but 0; what to type
instead."""

PRECISIONS = (
    "16-true",
    "16-mixed",
    "bf16-true",
    "bf16-mixed",
    "32-true",
    "64-true",
    "transformer-engine",
)
SHORT_PRECISIONS = {"16": "fp16", "bf16": "bf16", "32": "fp32", "64": "fp64"}
"""What Lightning takes, too -> the option of precision= that it stands for."""

STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")

OPTIMIZERS = {
    "LBFGS": "it takes no groups of parameters, and computes a batch several times in one step",
    "SparseAdam": "it needs sparse gradients, and no part here has any",
}
"""Optimizers of torch that cannot train a model here -> why."""

ENDS = ("max_epochs", "max_steps", "max_time", "fast_dev_run")


def training_problems(config: Mapping[Any, Any]) -> Iterator[str]:
    """What is wrong with `trainer` and `optimizer`, a message each."""
    trainer, optimizer = config.get("trainer"), config.get("optimizer")
    if isinstance(trainer, dict) and trainer:
        yield from _decided_problems(trainer)
        yield from _strategy_problems(trainer)
        yield from _precision_problems(trainer.get("precision"))
        if not any(_is_end(trainer.get(name)) for name in ENDS):
            yield (
                "Nothing says when training ends: give trainer.max_epochs=, trainer.max_steps= or "
                "trainer.max_time="
            )
    if isinstance(optimizer, dict):
        name = str(optimizer.get("_target_")).rpartition(".")[2]
        if name in OPTIMIZERS:
            yield (
                f"optimizer: {name} cannot be used: {OPTIMIZERS[name]}. Choose optimizer=adamw or "
                "optimizer=sgd."
            )


def _is_end(value: Any) -> bool:
    """Whether a limit is one: Lightning's -1 is none."""
    return value is not None and value is not False and value != -1


def _decided_problems(trainer: Mapping[str, Any]) -> Iterator[str]:
    for name, (allowed, instead) in DECIDED.items():
        value = trainer.get(name)
        is_wrong = name in trainer and value not in allowed
        if not allowed:  # any number but 0
            is_wrong = isinstance(value, int | float) and value == 0
        if is_wrong:
            yield f"trainer.{name}={value}: {instead}"


def _strategy_problems(trainer: Mapping[str, Any]) -> Iterator[str]:
    """Other processes are started by commands, and checkpoints are data: not all of Lightning's
    strategies do that.
    """
    strategy = trainer.get("strategy", "auto")
    if isinstance(strategy, dict):
        name = str(strategy.get("_target_")).rpartition(".")[2]
        method = strategy.get("start_method", "popen")
        if method != "popen":
            yield (
                f"trainer.strategy.start_method={method}: processes are started as commands. Leave "
                "it out."
            )
    else:
        name = str(strategy)
        if name in STRATEGIES or trainer.get("accelerator") == "tpu":
            return
    if name.lower().startswith(("fsdp", "deepspeed")):
        yield (
            f"trainer.strategy: {name} keeps more than data in its checkpoints. Choose "
            "devices=fsdp."
        )
    elif not isinstance(strategy, dict):
        on_gpus = trainer.get("accelerator") in ("gpu", "cuda")
        devices = "devices=ddp" if on_gpus else "devices=ddp_cpu, or devices=ddp on GPUs"
        hint = did_you_mean(name, STRATEGIES)
        yield f"trainer.strategy={name} cannot be used: choose {devices}.{hint}"


def _precision_problems(precision: Any) -> Iterator[str]:
    if precision is None or precision in PRECISIONS:
        return
    if option := SHORT_PRECISIONS.get(str(precision)):
        yield f"trainer.precision={precision}: choose precision={option}."
    else:
        yield (
            f"trainer.precision={precision}: there is no such "
            f"precision.{did_you_mean(str(precision), PRECISIONS)}"
        )
