"""Metrics of a regression."""

from __future__ import annotations

import torch
from torch import Tensor

from polymodal.metrics.order import average_ranks


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
    squares = (y - target).square().mean()
    metrics = {"mae": (y - target).abs().mean(), "rmse": squares.sqrt()}
    if (target != target[0]).any():
        metrics["r2"] = 1 - squares / target.var(correction=0)
        metrics["pearson"] = correlation(y, target)
        metrics["spearman"] = correlation(average_ranks(y), average_ranks(target))
    return metrics


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's correlation of (N,) and (N,); 0 where one of them does not vary."""
    if (a == a[0]).all() or (b == b[0]).all():
        return a.new_zeros(())
    a, b = ((v - v.mean()) / (v - v.mean()).norm() for v in (a, b))
    return (a * b).sum()
