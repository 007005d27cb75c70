"""Restores what Lightning's resume leaves out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from polymodal.data.datamodule import PairedDataModule
from polymodal.loggers.csv import CSVLogger
from polymodal.module import MultimodalModule
from polymodal.terminal import run_log
from polymodal.training.checkpoints.files import position_of
from polymodal.training.lightning_internals import hide_later_events, leave_ended_epochs
from polymodal.training.tuning import parameter_groups


def restore(checkpoint: dict[str, Any], data: PairedDataModule, trainer: Trainer) -> None:
    """Gives the data what they had: before `fit`, since Lightning sets data up before it loads
    their state.

    It also makes the loader before it loads how far training was: a schedule asks for the number of
    steps.
    """
    data.load_state_dict(checkpoint.get(data.__class__.__qualname__, {}))
    data.position = position_of(checkpoint)
    trainer.callbacks.append(ConfiguredOptimizer())  # type: ignore[attr-defined]
    leave_ended_epochs(trainer)
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            hide_later_events(logger, checkpoint["global_step"])


class Beginning(Callback):
    """What changes the folder of a run, done once and not before the first step is about to be
    trained.

    Until then a command may be refused, by our checks, by the data or by Lightning, and all is as
    it was.

    Args:
        begin: makes the folder ready for a resumed run; None in other processes and for new
            runs.
        stored: the config that loggers show.
        rows: how many of metrics.csv came before the checkpoint; what was logged after it is logged
            again. None for a new run.
    """

    def __init__(
        self, begin: Callable[[], None] | None, stored: dict[str, Any], rows: int | None
    ) -> None:
        self.begin, self.stored, self.rows = begin, stored, rows
        self.has_begun = False

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The data are there, the optimizer is made and the checkpoint is loaded."""
        self._make_ready(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Where nothing was left to train, training has not started."""
        self._make_ready(trainer)

    def _make_ready(self, trainer: Trainer) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        if self.begin is not None:
            self.begin()
        if run_log.is_recording:  # in the first process of a command
            run_log.open(Path(trainer.default_root_dir))
        for logger in trainer.loggers:
            if self.rows is not None and isinstance(logger, CSVLogger):
                logger.keep(self.rows)
            logger.log_hyperparams(self.stored)


class ConfiguredOptimizer(Callback):
    """The optimizer has the options of the config, which may be others now: a checkpoint brings
    back its own.
    """

    def on_train_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """The learning rate resumes where its schedule is, in proportion; what is as it was stays,
        bit for bit.
        """
        chosen = pl_module.make_optimizer(
            parameter_groups(pl_module, pl_module.tuning)
        ).param_groups
        schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
        for number, (group, options) in enumerate(
            zip(trainer.optimizers[0].param_groups, chosen, strict=True)
        ):
            before, now = group.get("initial_lr", group["lr"]), options["lr"]
            group.update(
                {name: value for name, value in options.items() if name not in ("params", "lr")}
            )
            if now == before:
                continue
            group["lr"] = group["lr"] * now / before if before else now
            if "initial_lr" in group:
                group["initial_lr"] = now
            for scheduler in schedulers:
                # not ReduceLROnPlateau, which only looks at the group
                if hasattr(scheduler, "base_lrs"):
                    scheduler.base_lrs[number] = now
