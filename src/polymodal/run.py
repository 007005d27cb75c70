"""One run from a checked config to its final figures."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from polymodal.callbacks.data_check import DataCheck
from polymodal.callbacks.epochs import Epochs
from polymodal.callbacks.evaluated import Evaluated
from polymodal.callbacks.expected_time import ExpectedTime
from polymodal.callbacks.summary import Summary
from polymodal.checkpoint import load_checkpoint, load_encoder
from polymodal.choices import check_choices, check_machine, check_modalities, check_shared, tunings, wanted_splits
from polymodal.config.secrets import masked_arguments
from polymodal.controls.control import control_figures, verdict
from polymodal.data.datamodule import PairedDataModule
from polymodal.encoders.shared import in_place
from polymodal.errors import ConfigError
from polymodal.execution import compile_parts, recompute_blocks
from polymodal.files import check_output
from polymodal.final import finish
from polymodal.frozen_cache import FrozenCache
from polymodal.model import MultimodalModel
from polymodal.module import MultimodalModule
from polymodal.monitors import check_monitors
from polymodal.resume import Beginning, take_up
from polymodal.sharding import load_weights
from polymodal.signals import listener
from polymodal.terminal import say
from polymodal.together import ending_together
from polymodal.trainer import build_trainer, fit

Settings = dict[str, Any]

IRRELEVANT = (
    "Experiment logs directory",  # the run folder holds config.yaml when the CSV logger comes to it
    "Checkpoint directory .* exists and is not empty",
    "The number of training batches \\(\\d+\\) is smaller than the logging interval",  # each is logged
    "Found \\d+ module\\(s\\) in eval mode at the start of training",  # the module sets the modes after that
    "The '\\w+_dataloader' does not have many workers",  # data in memory need none
    "It is recommended to use `self.log\\('(val|test)/.*sync_dist=True",  # our metrics are the same on all processes
    "You're resuming from a checkpoint that ended before the epoch ended",  # our sampler starts where that was
    "The `srun` command is available on your system but is not used",  # where one is missing, we say so (check_started)
    ".*LeafSpec",  # of Lightning's own use of torch
    "Total length of `list` across ranks is zero",  # a split of which every row is embedded already
    "Your `IterableDataset` has `__len__` defined",  # and each loading process knows its part of it
)
"""Warnings that tell a user nothing that could be acted upon."""


def train(config: Settings, stored: Settings, begin: Callable[[], None] | None = None) -> float | None:
    """Fits, tests the best checkpoint, writes metrics.json and shows the figures.

    With `resume`, a checkpoint file, it goes on from there as if the run had never ended.

    Args:
        config: resolved and checked (`polymodal.config.check`).
        stored: the same as it is kept in checkpoints and shown to loggers, without secrets.
        begin: called in the moment in which training begins (`polymodal.resume.Beginning`).

    Returns:
        the best validation figure, or None where nothing was validated.

    Raises:
        Stopped: by a signal; a run that was training has saved where it was.
    """
    started = time.perf_counter()
    check_machine(config)
    with own_processes(), listener.listening():
        prepare_process(config)
        checkpoint = load_checkpoint(Path(config["resume"]), parts=False) if config["resume"] else {}
        data, module, trainer = build(config, stored)
        with ending_together(trainer):
            if checkpoint:
                take_up(checkpoint, data, trainer)
            before = checkpoint.get("resume", {"figures": {}, "seconds": 0.0})
            checkpoint.clear()  # it is larger than the model, and the trainer reads it for itself
            started -= before["seconds"]
            with masked_arguments():
                for logger in trainer.loggers:
                    logger.log_hyperparams(stored)
            fit(trainer, module, data, config["resume"], Beginning(begin, stored, before.get("rows")))
            figures = before["figures"] | figures_of(trainer) | {"time/fit_seconds": time.perf_counter() - started}
            best = best_of(trainer)
            if config["test"]:
                load_best(trainer, module)
                trainer.test(module, datamodule=data, verbose=False)
                figures |= figures_of(trainer)
                if config.get("control", True):
                    figures |= control_figures(trainer, data, module.objective, module.model.modalities)
            figures["time/total_seconds"] = time.perf_counter() - started
            if trainer.is_global_zero:
                finish(figures, Path(config["run_dir"]))
                if sentence := verdict(figures, config["monitor"], config["monitor_mode"]):
                    say(sentence)
    return None if best is None or best.best_model_score is None else float(best.best_model_score)


def build(
    config: Settings, stored: Settings, keep: Callable[[Callback], bool] | None = None, partial: bool = False
) -> tuple[PairedDataModule, MultimodalModule, Trainer]:
    """Data, module and trainer of a config.

    Args:
        config: resolved and checked.
        stored: what checkpoints keep of it.
        keep: where the run is only to be tested: which callbacks take part. Then there is no logger either.
        partial: whether the data may lack modalities of the model, but not all.
    """
    check_choices(config)
    data = make(config["data"], "data")
    data.wanted = wanted_splits(config) if keep is None else ("test",)
    if not partial or not set(config["encoder"]) & set(data.modalities):
        check_modalities(config, data.modalities, data.kinds, keep is not None)
    objective = make(config["objective"], "objective")  # cheap, and says whether its modalities can be
    check_shared(config, data.kinds)
    model = build_model(config)
    if keep is None and not config["resume"]:
        for name, settings in config["tuning"].items():
            if settings.get("weights"):
                checkpoint = load_encoder(model.encoders[name], name, Path(settings["weights"]))
                if any(isinstance(m, nn.Embedding | nn.EmbeddingBag) for m in model.encoders[name].modules()):
                    known = checkpoint.get(data.__class__.__qualname__, {})
                    data.load_state_dict({k: v for k, v in known.items() if k == "tokenizer"})  # ids mean what they did
    add_caches(model, config, data.varying)
    module = MultimodalModule(
        model,
        objective,
        make(config["optimizer"], "optimizer", _partial_=True),
        make(config["scheduler"], "scheduler", _partial_=True),
        stored,
        config["monitor"],
        tunings(config),
        config["accumulate"],
        config["monitor_mode"],
    )
    callbacks = _make_all(config, "callbacks")
    if keep is not None:
        chosen = [DataCheck(), Evaluated(), *(callback for callback in callbacks.values() if keep(callback))]
        return data, module, build_trainer(config, make, chosen, loggers=None)
    check_monitors(config, module, callbacks)
    loggers = list(_make_all(config, "logger").values())
    # in no file of the config: whichever callbacks a user chooses, the terminal says what is trained and how it goes
    told = [DataCheck(), Summary(Path(config["run_dir"])), Epochs(), ExpectedTime(), Evaluated()]
    trainer = build_trainer(config, make, [*told, *callbacks.values()], loggers)
    return data, module, trainer


def make(node: Settings | None, path: str, **arguments: Any) -> Any:
    """What a node of the config describes; None for an empty one.

    Raises:
        ConfigError: the arguments cannot work; says where, and why.
    """
    if not node:
        return None
    try:
        return instantiate(node, _convert_="all", **arguments)
    except InstantiationException as error:
        raise ConfigError(f"{path}: {error.__cause__ or error}") from error


def _make_all(config: Settings, group: str) -> dict[str, Any]:
    return {name: make(node, f"{group}.{name}") for name, node in (config[group] or {}).items() if node}


def build_model(config: Settings) -> MultimodalModel:
    """Encoders, one that is shared under both names, fusion, head and what stands for missing modalities."""
    encoders = in_place({name: make(node, f"encoder.{name}") for name, node in config["encoder"].items()})
    fusion, head, missing = (make(config[group], group) for group in ("fusion", "head", "missing"))
    model = MultimodalModel(encoders, fusion, head, missing)
    if config.get("activation_checkpointing"):
        for encoder in model.encoders.values():
            recompute_blocks(encoder)
    if compiled := config.get("compile"):
        compile_parts(model, dynamic=True if compiled == "dynamic" else None)
    return model


def add_caches(model: MultimodalModel, config: Settings, varying: Sequence[str]) -> None:
    """Gives frozen encoders the place where their vectors are kept.

    Raises:
        ConfigError: the encoder is trained, its inputs vary, or the fusion reads sequences.
    """
    for name, settings in config["tuning"].items():
        if not settings.get("cache"):
            continue
        problem = (
            f"it is trained: add tuning.{name}.freeze=true"
            if settings.get("freeze") is not True or settings.get("unfreeze_at")
            else "in training the data change it at random, so there is no one vector to keep"
            if name in varying
            else "the fusion reads its sequence, and vectors are what is kept"
            if model.reads_tokens and hasattr(model.encoders[name], "tokens")
            else ""
        )
        if problem:
            raise ConfigError(f"tuning.{name}.cache: {problem}.")
        check_output(Path(settings["cache"]), f"tuning.{name}.cache")
        rank = int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)
        model.caches[name] = FrozenCache(Path(settings["cache"]), config["data"], rank)


def prepare_process(config: Settings) -> None:
    """Seeds, threads, matrix precision and a quiet Lightning for this process."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)
    seed_everything(config["seed"], workers=True, verbose=False)
    if config["threads"]:
        torch.set_num_threads(config["threads"])
    multiprocessing.set_start_method(None, force=True)  # joblib's processes have one that no loading process starts by
    tf32 = config.get("tf32", True)  # where there is a GPU that has it; nothing changes on a CPU
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def own_processes() -> Iterator[None]:
    """Leaves the process as it was: the next job of a sweep starts its own group of processes and run of wandb.

    Lightning ends a group of nccl alone. The threads of one of gloo that is left would abort the process at its end.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if (wandb := sys.modules.get("wandb")) and wandb.run:
            wandb.finish()
        os.environ.clear()
        os.environ.update(before)


def best_of(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that keeps the best checkpoint."""
    return next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)


def load_best(trainer: Trainer, module: MultimodalModule) -> None:
    """Gives the module the weights of the best checkpoint, as eval.py will: without what callbacks make of them."""
    if (best := best_of(trainer)) and best.best_model_path:
        module.origin = load_weights(module, Path(best.best_model_path))


def figures_of(trainer: Trainer) -> dict[str, float]:
    """All figures that were logged last, by their keys."""
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if not name.endswith(("_step", "_epoch")) and math.isfinite(float(value))
    }
