"""One run from a checked config to its final metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from polymodal.config.secrets import masked_arguments
from polymodal.controls.control import control_metrics, verdict
from polymodal.data.datamodule import PairedDataModule
from polymodal.module import MultimodalModule
from polymodal.terminal import say
from polymodal.training.build import build
from polymodal.training.checkpoints.files import load_checkpoint
from polymodal.training.distributed.failures import ending_together
from polymodal.training.distributed.fsdp import load_weights
from polymodal.training.distributed.signals import listener
from polymodal.training.final import finish
from polymodal.training.process import own_processes, prepare_process
from polymodal.training.restore import Beginning, restore
from polymodal.training.trainer import fit

Settings = dict[str, Any]


def train(
    config: Settings, stored: Settings, begin: Callable[[], None] | None = None
) -> float | None:
    """Fits, tests the best checkpoint, writes metrics.json and shows the metrics.

    With `resume`, a checkpoint file, it continues as if the run had never ended.

    Args:
        config: resolved and checked (`polymodal.config.check`).
        stored: the same as it is kept in checkpoints and shown to loggers, without secrets.
        begin: called in the moment in which training begins
            (`polymodal.training.restore.Beginning`).

    Returns:
        the best validation metric, or None where nothing was validated.

    Raises:
        Stopped: by a signal; a run that was training has saved where it was.
    """
    started = time.perf_counter()
    with own_processes(), listener.listening():
        prepare_process(config)
        checkpoint = (
            load_checkpoint(Path(config["resume"]), parts=False) if config["resume"] else {}
        )
        data, module, trainer = build(config, stored)
        with ending_together(trainer):
            # what an earlier start of this run has reached counts too
            if checkpoint:
                restore(checkpoint, data, trainer)
            before = checkpoint.get("resume", {"figures": {}, "seconds": 0.0})
            checkpoint.clear()  # it is larger than the model, and the trainer reads it for itself
            started -= before["seconds"]

            with masked_arguments():
                for logger in trainer.loggers:
                    logger.log_hyperparams(stored)
            beginning = Beginning(begin, stored, before.get("rows"))
            fit(trainer, module, data, config["resume"], beginning)
            metrics = before["figures"] | logged_metrics(trainer)
            metrics["time/fit_seconds"] = time.perf_counter() - started
            best = best_checkpoint(trainer)

            if config["test"]:
                metrics |= test(config, data, module, trainer)
            metrics["time/total_seconds"] = time.perf_counter() - started
            if trainer.is_global_zero:
                finish(metrics, Path(config["run_dir"]))
                if sentence := verdict(metrics, config["monitor"], config["monitor_mode"]):
                    say(sentence)
    return None if best is None or best.best_model_score is None else float(best.best_model_score)


def test(
    config: Settings, data: PairedDataModule, module: MultimodalModule, trainer: Trainer
) -> dict[str, float]:
    """Metrics of the best checkpoint on the test split, and of the controls beside it."""
    load_best(trainer, module)
    trainer.test(module, datamodule=data, verbose=False)
    metrics = logged_metrics(trainer)
    if config.get("control", True):
        metrics |= control_metrics(trainer, data, module.objective, module.model.modalities)
    return metrics


def best_checkpoint(trainer: Trainer) -> ModelCheckpoint | None:
    """The callback that keeps the best checkpoint."""
    return next((c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)), None)


def load_best(trainer: Trainer, module: MultimodalModule) -> None:
    """Gives the module the weights of the best checkpoint, as eval.py will: without what callbacks
    make of them.
    """
    if (best := best_checkpoint(trainer)) and best.best_model_path:
        module.origin = load_weights(module, Path(best.best_model_path))


def logged_metrics(trainer: Trainer) -> dict[str, float]:
    """All metrics that were logged last, by their keys."""
    return {
        name: float(value)
        for name, value in trainer.callback_metrics.items()
        if not name.endswith(("_step", "_epoch")) and math.isfinite(float(value))
    }
