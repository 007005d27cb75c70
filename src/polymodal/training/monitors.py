"""Checks that the metrics that a run waits for are ever logged, before it trains and not after an
epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError, did_you_mean
from polymodal.module import MultimodalModule
from polymodal.objectives.base import Objective
from polymodal.objectives.supervised import Supervised
from polymodal.outputs import ModelOutput

Settings = dict[str, Any]

COUNT = 24
"""Made-up samples: enough for each of a few classes to occur."""

FEW = 12
"""Outputs of the made-up samples at most: metrics of classes take time and memory by their
square."""

SHOWN = 12
"""Names in a message at most."""

OTHERS = {LearningRateMonitor: ("lr-*",)}
"""What callbacks of Lightning's log; those of ours have an attribute `logs`, patterns of names, if
they log any."""


def check_monitors(
    config: Settings, module: MultimodalModule, callbacks: Mapping[str, Callback]
) -> None:
    """Refuses to wait for a metric that nothing logs, or that is logged in validations, where there
    is none.

    Args:
        config: resolved and checked.
        module: whose objective has metrics.
        callbacks: by their names in the config.

    Raises:
        ConfigError: names the key and the nearest metric.
    """
    # what waits for a metric
    monitors = {"monitor": config["monitor"]}
    for name, callback in callbacks.items():
        monitor, strict = getattr(callback, "monitor", None), getattr(callback, "strict", True)
        if isinstance(monitor, str) and strict:
            monitors[f"callbacks.{name}.monitor"] = monitor

    # what is logged
    names = metric_names(module, config["dim"])
    patterns = _patterns(callbacks.values())
    for key, monitor in monitors.items():
        if (
            names
            and monitor not in names
            and not any(fnmatch(monitor, pattern) for pattern in patterns)
        ):
            raise ConfigError(
                f"{key}={monitor}: nothing logs such a metric.{_nearest(monitor, names)}"
            )

    # without a validation nothing is logged there
    if why := _never_validates(config["trainer"]):
        waiting = [
            f"callbacks.{name}"
            for name, each in callbacks.items()
            if isinstance(each, EarlyStopping)
        ]
        waiting = [key for key in waiting if monitors.get(f"{key}.monitor", "").startswith("val/")]
        if str((config["scheduler"] or {}).get("_target_")).endswith(ReduceLROnPlateau.__name__):
            waiting.append("scheduler")
        if waiting:
            raise ConfigError(
                f"{waiting[0]} waits for a metric of the validation, and with {why} there is none."
            )


def metric_names(module: MultimodalModule, dim: int) -> set[str]:
    """All that a module can log in training and validation, by an evaluation of made-up samples
    that have everything.

    Returns:
        nothing where such samples are not good enough for the objective.
    """
    objective = copy.deepcopy(module.objective)
    further = [
        f"val/{prefix}/{name}".replace("//", "/")
        for prefix, part in objective.parts().items()
        for name in getattr(part, "further", {})
    ]
    try:
        objective.update(*_made_up(objective, list(module.model.modalities), dim))
        evaluated = objective.compute()
    except Exception:  # of an objective that we do not know
        return set()
    return {"train/loss", "epoch", "step", *(f"val/{name}" for name in evaluated), *further}


def _made_up(
    objective: Objective, modalities: list[str], dim: int
) -> tuple[ModelOutput, PairedBatch]:
    """What a model and data could give, with labels of the kind that each part of the objective
    reads.
    """
    generator = torch.Generator().manual_seed(0)
    numbers = torch.arange(COUNT)
    x = torch.randn(COUNT, len(modalities), dim, generator=generator)
    labels, outputs = {}, dim
    for part in objective.parts().values():
        if isinstance(part, Supervised):
            _reduce(part)
            outputs = part.outputs
            labels[part.label] = next(_labels_for(part, numbers))
    y = torch.randn(COUNT, outputs, generator=generator)
    items = dict.fromkeys(modalities, numbers)
    batch = PairedBatch({}, items, group=numbers, id=numbers, labels=labels)
    return ModelOutput(
        x, torch.ones(COUNT, len(modalities), dtype=torch.bool), y, fused=x.mean(1)
    ), batch


def _reduce(part: Supervised) -> None:
    """Leaves it a few of many outputs, and of its lists of weights as many."""
    for name, value in list(vars(part).items()):
        if isinstance(value, list) and len(value) == part.outputs:
            setattr(part, name, value[:FEW])
    part.outputs = min(part.outputs, FEW)
    part.further = {}


def _labels_for(part: Supervised, numbers: torch.Tensor) -> Iterator[torch.Tensor]:
    """Classes, tags and values, those that the objective takes."""
    tags = (numbers[:, None] + torch.arange(part.outputs)) % 2
    for labels in (numbers % part.outputs, tags, numbers.float(), tags + numbers[:, None] / 7):
        try:
            yield part.targets(labels)
        except ConfigError:
            continue


def _patterns(callbacks: Any) -> list[str]:
    """Names that callbacks log, as patterns; all names, where there is a callback that does not
    say.
    """
    patterns: list[str] = []
    for callback in callbacks:
        known = type(callback).__module__.startswith(("lightning.", "polymodal."))
        own = getattr(callback, "logs", OTHERS.get(type(callback), () if known else ("*",)))
        patterns += own
    return patterns


def _nearest(monitor: str, names: set[str]) -> str:
    """The nearest names, or else the shortest."""
    shortest = sorted(names, key=lambda name: (name.count("/"), name))[:SHOWN]
    return did_you_mean(monitor, names) or f" There are: {', '.join(shortest)}, ..."


def _never_validates(trainer: Settings) -> str:
    """The setting by which a run has no validation at all; "" if it may have one."""
    if trainer.get("limit_val_batches") == 0:
        return "trainer.limit_val_batches=0"
    every, epochs = trainer.get("check_val_every_n_epoch", 1), trainer.get("max_epochs")
    if every is not None and epochs is not None and every > epochs:
        return f"trainer.check_val_every_n_epoch={every} and trainer.max_epochs={epochs}"
    return ""
