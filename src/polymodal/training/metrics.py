"""Metrics of the config group `metrics`, beside those that the objective reports."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from torchmetrics import Metric

from polymodal.errors import ConfigError, did_you_mean
from polymodal.objectives.base import Objective
from polymodal.objectives.supervised import supervised_part

COUNTS = ("num_classes", "num_labels", "num_outputs")
"""Arguments of torchmetrics that the objective knows: how many outputs Y has."""

OF_ALL = (
    "compute_on_cpu",
    "compute_with_cache",
    "dist_sync_on_step",
    "process_group",
    "dist_sync_fn",
    "distributed_available_fn",
    "sync_on_compute",
)
"""Arguments of every torchmetrics class, which stand in no signature."""


def add_metrics(nodes: Mapping[str, Any] | None, objective: Objective) -> None:
    """Gives the metrics of a config to the part of the objective that reads Y.

    Args:
        nodes: name -> node of a config; an empty one is left out.
        objective: of the run.

    Raises:
        ConfigError: there is no Y to measure, a class is no metric, or an argument is wrong.
    """
    chosen = {name: node for name, node in (nodes or {}).items() if node}
    if not chosen:
        return
    part = supervised_part(objective)
    if part is None:
        raise ConfigError(
            f"metrics.{next(iter(chosen))}: {type(objective).__name__} predicts no label, so there "
            "is no Y to measure. Choose objective=classification, regression or multilabel."
        )
    for name, node in chosen.items():
        part.further[name] = _built(node, f"metrics.{name}", part.outputs)


def _built(node: Mapping[str, Any], path: str, outputs: int) -> Metric:
    target = node["_target_"]
    kind = get_class(target)
    if not issubclass(kind, Metric):
        raise ConfigError(f"{path}._target_={target} is no class of torchmetrics.Metric.")

    # torchmetrics takes any keyword and refuses it later, without the nearest name
    names = _arguments(kind)
    for key in node:
        if not key.startswith("_") and key not in names:
            raise ConfigError(
                f"Unknown key {path}.{key}: {target} takes no {key!r}.{did_you_mean(key, names)}"
            )

    # every process has the whole columns: nothing is left to gather
    filled = {name: outputs for name in COUNTS if name in names and name not in node}
    try:
        return instantiate(node, _convert_="all", sync_on_compute=False, **filled)
    except InstantiationException as error:
        raise ConfigError(f"{path}: {error.__cause__ or error}") from error


def _arguments(kind: type) -> set[str]:
    """Names that a class and its bases take; some of torchmetrics' are functions in the guise of a
    class, with a `__new__` of their own.
    """
    methods = [vars(base).get(name) for base in kind.__mro__ for name in ("__init__", "__new__")]
    functions = [getattr(method, "__func__", method) for method in methods]
    found = [inspect.signature(each).parameters for each in functions if inspect.isfunction(each)]
    names = {name for parameters in found for name in parameters}
    return {*OF_ALL, *names} - {"self", "cls", "args", "kwargs"}
