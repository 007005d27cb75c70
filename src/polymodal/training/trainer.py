"""The trainer of a run: what correctness needs is set here, whatever the config says of Lightning's
Trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint, GradientAccumulationScheduler
from lightning.pytorch.callbacks import ProgressBar as AnyProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import CheckpointIO

from polymodal.callbacks.progress_bar import ProgressBar
from polymodal.data.datamodule import PairedDataModule
from polymodal.errors import ConfigError
from polymodal.module import MultimodalModule
from polymodal.training.checkpoints.atomic import AtomicCheckpointIO
from polymodal.training.lightning_internals import leave_signals_alone
from polymodal.training.restore import Beginning

Settings = dict[str, Any]

DEFAULTS: Settings = {"_target_": "lightning.pytorch.Trainer", "num_sanity_val_steps": 0}
"""What holds where the config says nothing: a run does not validate before it trains."""

FIXED: Settings = {
    # our samplers share each batch among processes, and repeat no sample
    "use_distributed_sampler": False,
    # a loader knows the epoch, and where in it a run resumes
    "reload_dataloaders_every_n_epochs": 0,
    "overfit_batches": 0.0,  # Lightning would put a sampler of its own in the place of ours
}
"""What holds whatever the config says; `polymodal.config.training` refuses other values."""


class LogsEachEpoch(Callback):
    """An epoch of fewer steps than `log_every_n_steps` is logged once, where Lightning only warns
    that it is not.
    """

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The number of batches is known now."""
        steps = min(trainer.log_every_n_steps, trainer.num_training_batches)  # type: ignore[attr-defined]
        trainer.log_every_n_steps = int(steps)  # type: ignore[attr-defined]


def build_trainer(
    config: Settings,
    make: Callable[..., Any],
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger] | None,
) -> Trainer:
    """A trainer that fits, or one that can only test.

    Args:
        config: resolved and checked.
        make: what makes a node of the config (`polymodal.training.build.make`).
        callbacks: of the run.
        loggers: of the run; None for a trainer that only tests.

    Raises:
        ConfigError: options of the trainer that contradict each other or the callbacks.
    """
    given = config["trainer"]
    if any(isinstance(callback, GradientAccumulationScheduler) for callback in callbacks):
        raise ConfigError(
            "callbacks: GradientAccumulationScheduler: accumulated small batches are not one large "
            "batch.\n"
            "Give data.batch_size the size of the large one, and accumulate=<parts that it is "
            "computed in>."
        )
    options: Settings = {"logger": False, "enable_checkpointing": False}
    plugins = _plugins(given.get("plugins"), make)
    if loggers is not None:
        # said outright, since Lightning would add a checkpoint callback of its own
        saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
        _check_saving(given.get("enable_checkpointing"), saves)
        options = {"logger": list(loggers), "enable_checkpointing": saves}
        plugins.append(AtomicCheckpointIO())
    # a stored config may name the folder of the run that it is of: this one writes into its own
    node = DEFAULTS | given | FIXED | {"default_root_dir": config["run_dir"]}
    node.pop("plugins", None)  # they are made
    callbacks = _with_bar(callbacks, given.get("enable_progress_bar"))
    trainer = make(node, "trainer", callbacks=callbacks, plugins=plugins, **options)
    if not isinstance(trainer, Trainer):
        raise ConfigError(f"trainer._target_={node['_target_']} is no lightning.pytorch.Trainer.")
    leave_signals_alone(trainer)  # `polymodal.training.distributed.signals` handles them
    return trainer


def _with_bar(callbacks: Sequence[Callback], wanted: bool | None) -> list[Callback]:
    """A bar where nobody says otherwise: Lightning's own would write a line for each of its
    drawings into a file.
    """
    bars = [callback for callback in callbacks if isinstance(callback, AnyProgressBar)]
    if wanted is False:  # with a bar Lightning takes that for a contradiction
        return [callback for callback in callbacks if callback not in bars]
    return [*callbacks] if bars else [*callbacks, ProgressBar()]


def _plugins(nodes: Any, make: Callable[..., Any]) -> list[Any]:
    """What `trainer.plugins` describes: one node or several."""
    if isinstance(nodes, dict):
        nodes = [nodes]
    if isinstance(nodes, str) or any(not isinstance(node, dict) for node in nodes or []):
        raise ConfigError(f"trainer.plugins={nodes}: give a list of nodes, each with a _target_.")
    plugins = [make(node, "trainer.plugins") for node in nodes or []]
    if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        raise ConfigError(
            "trainer.plugins: a run writes its checkpoints in its own way. Leave the CheckpointIO "
            "out."
        )
    return plugins


def _check_saving(wanted: bool | None, saves: bool) -> None:
    """Refuses trainer.enable_checkpointing where the callbacks say something else."""
    if wanted is None or wanted == saves:
        return
    if wanted:
        raise ConfigError(
            "trainer.enable_checkpointing=true: no callback saves any: add callbacks=[checkpoint]."
        )
    raise ConfigError(
        "trainer.enable_checkpointing=false: callbacks save checkpoints: type "
        "callbacks.checkpoint=null callbacks.last=null, or choose other callbacks=[...]."
    )


def fit(
    trainer: Trainer,
    module: MultimodalModule,
    data: PairedDataModule,
    resume: str | None,
    beginning: Beginning,
) -> None:
    """Trains.

    Raises:
        ConfigError: settings that Lightning finds, with the data, that they cannot work.
    """
    trainer.callbacks[:0] = [beginning, LogsEachEpoch()]  # type: ignore[attr-defined]
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except MisconfigurationException as error:  # Lightning's own word for settings that cannot work
        raise ConfigError(str(error)) from error
    except ValueError as error:
        if "`val_check_interval`" not in str(error):
            raise
        batches = trainer.fit_loop.max_batches  # type: ignore[attr-defined]
        raise ConfigError(
            f"trainer.val_check_interval={trainer.val_check_interval}: an epoch has {batches} "
            "batches. Give fewer, or count them over epochs by "
            "trainer.check_val_every_n_epoch=null."
        ) from error
