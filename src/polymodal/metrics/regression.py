"""Metrics of a regression."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.regression import (
    mean_absolute_error,
    mean_squared_error,
    pearson_corrcoef,
    r2_score,
)

from polymodal.metrics.order import spearman


def regression_metrics(y: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`mae`, `rmse`, `r2`, `pearson` and `spearman`, each the mean over the outputs for which it is
    defined.

    A target that does not vary has neither R2 nor correlation; predictions that do not vary have a
    correlation of 0.

    Args:
        y: (N, p) predictions.
        target: (N, p), NaN where it is not known.
    """
    known = ~target.isnan()
    columns = [
        _of_one(y[seen, k].double(), target[seen, k].double()) for k, seen in enumerate(known.T)
    ]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: torch.stack([c[name] for c in columns if name in c]).mean() for name in names}


def _of_one(y: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The metrics of one output, (N,) and (N,) without NaN, as far as they are defined."""
    if len(target) == 0:
        return {}
    metrics = {
        "mae": mean_absolute_error(y, target),
        "rmse": mean_squared_error(y, target, squared=False),
    }
    if _is_constant(target):
        return metrics
    metrics["r2"] = r2_score(y, target)
    if _is_constant(y):
        return metrics | dict.fromkeys(("pearson", "spearman"), y.new_zeros(()))
    return metrics | {"pearson": pearson_corrcoef(y, target), "spearman": spearman(y, target)}


def _is_constant(values: Tensor) -> bool:
    return bool((values == values[0]).all())
