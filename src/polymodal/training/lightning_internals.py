"""What Lightning keeps to itself and we need: each private attribute once, under a name that says
why. `tests/training/test_lightning_internals.py` finds what a new version of Lightning moves.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies.launchers import subprocess_script


def training_is_over(trainer: Trainer) -> bool:
    """Whether the limit of steps or epochs is reached."""
    return bool(trainer.fit_loop.epoch_loop._is_training_done)


def epoch_is_over(trainer: Trainer) -> bool:
    """Whether the batch that was just trained is the last one of its epoch."""
    return trainer.fit_loop.epoch_loop._num_ready_batches_reached()


def validates_next(trainer: Trainer) -> bool:
    """Whether a validation follows the batch that was just trained."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def row_to_log(trainer: Trainer) -> dict[str, float]:
    """What Lightning logs of this step, or of the epoch, when all callbacks are through with it;
    empty where it logs nothing.
    """
    progress = trainer.fit_loop.epoch_loop.batch_progress.current
    epoch = trainer.fit_loop.epoch_progress.current
    connector = trainer._logger_connector
    of_step = progress.completed != progress.ready and connector.should_update_logs
    of_epoch = epoch.processed > epoch.completed  # type: ignore[attr-defined]
    if not (of_step or of_epoch):
        return {}
    values = {name: float(value) for name, value in connector.metrics["log"].items()}
    return {**values, "epoch": trainer.current_epoch} if values else {}


def leave_ended_epochs(trainer: Trainer) -> None:
    """Lets a resumed run go on to the next epoch. With `max_steps` Lightning would never leave one
    that had ended, where the length of an epoch is not known.
    """
    trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]


def hide_later_events(logger: TensorBoardLogger, step: int) -> None:
    """TensorBoard does not show what an earlier start logged from this step on."""
    logger._kwargs["purge_step"] = step


def leave_signals_alone(trainer: Trainer) -> None:
    """Takes Lightning's handlers of signals away. They wait for other processes within the signal,
    and under Slurm they put the job in the queue again, in another folder.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def drop_wandb_option(logger: WandbLogger, name: str) -> None:
    """Does not hand an option on to wandb, which would warn of it."""
    logger._wandb_init.pop(name, None)


def observe_processes(observer: Callable[[list[subprocess.Popen[Any]]], None]) -> None:
    """Has the processes that Lightning starts observed by this function in the place of its own."""
    subprocess_script._launch_process_observer = observer  # type: ignore[attr-defined, assignment]
