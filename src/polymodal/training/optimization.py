"""The optimizer and its schedule, made of any classes of torch or functions that a config names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from polymodal.errors import ConfigError

NEVER = 2**62
"""Epochs between two steps of a schedule."""


def built(what: str, make: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `make` gives.

    Raises:
        ConfigError: the settings of the optimizer or the schedule cannot work; says which one, and
            why.
    """
    try:
        return make(*arguments, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{what}: {error}") from error


def schedule(
    make: Callable[..., LRScheduler],
    optimizer: Optimizer,
    trainer: Trainer,
    monitor: str,
    mode: Literal["min", "max"],
) -> dict[str, Any]:
    """The schedule as Lightning takes it: counted in optimizer steps or, where it waits for a
    metric, in validations.

    Args:
        make: (optimizer, ...) -> schedule. It gets `total_steps` if it takes that.
        optimizer: whose learning rate is scheduled.
        trainer: knows how many steps there will be.
        monitor: the metric that ReduceLROnPlateau waits for.
        mode: whether it is better when smaller or larger.

    Raises:
        ConfigError: the run has no end that `make` needs to know, or its settings cannot work.
    """
    if _class_of(make) is ReduceLROnPlateau:
        return _on_plateau(make, optimizer, monitor, mode)
    options = {}
    if _takes(make, "total_steps"):
        options["total_steps"] = _total_steps(trainer)
    return {"scheduler": built("scheduler", make, optimizer, **options), "interval": "step"}


def _on_plateau(
    make: Callable[..., Any], optimizer: Optimizer, monitor: str, mode: Literal["min", "max"]
) -> dict[str, Any]:
    """A schedule that Lightning saves and loads, but does not step."""
    given = make.keywords.get("mode", mode) if isinstance(make, partial) else mode
    if given != mode:
        raise ConfigError(
            f"scheduler.mode={given}: monitor={monitor} has monitor_mode={mode}. Leave it out."
        )
    for group in optimizer.param_groups:
        # as all other schedules do: a resumed run compares with it
        group.setdefault("initial_lr", group["lr"])
    return {
        "scheduler": built("scheduler", make, optimizer, mode=mode),
        "interval": "epoch",
        "frequency": NEVER,  # of Lightning's own steps: `step_on_plateau` makes them
        "monitor": monitor,
    }


def step_on_plateau(trainer: Trainer, metrics: Mapping[str, Tensor], monitor: str) -> None:
    """Tells a ReduceLROnPlateau of a validation in training that is over.

    Lightning would do so after the checkpoint at the end of the epoch is saved, and a resumed run
    would miss it.

    Args:
        trainer: which has the schedule.
        metrics: of the validation, by their whole names.
        monitor: the name of the one that the schedule waits for.

    Raises:
        ConfigError: it was not logged.
    """
    if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
        return
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.scheduler, ReduceLROnPlateau):
            value = metrics.get(monitor, trainer.callback_metrics.get(monitor))
            if value is None:
                raise ConfigError(
                    f"scheduler: it waits for monitor={monitor}, and this validation has no such "
                    "metric."
                )
            config.scheduler.step(float(value))


def _total_steps(trainer: Trainer) -> int:
    steps = trainer.estimated_stepping_batches
    if steps == float("inf") or steps < 0:  # without an end, or epochs of data that are not counted
        raise ConfigError(
            "A schedule needs an end: set trainer.max_epochs or trainer.max_steps, or "
            "scheduler=none.\n"
            "A stream needs data.epoch_samples too, for epochs to have a length."
        )
    return int(steps)


def _class_of(make: Callable[..., Any]) -> Any:
    return make.func if isinstance(make, partial) else make


def _takes(make: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(make).parameters
    return name in parameters or any(
        p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()
    )
