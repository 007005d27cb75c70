"""Metrics that read nothing but the order of scores. Equal scores count half, whatever the order of
the samples.

They are torchmetrics' own, on ranks in the place of scores: torchmetrics takes scores outside of
[0, 1] for logits, and a sigmoid would make equal what is not.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_average_precision
from torchmetrics.functional.regression import pearson_corrcoef


def average_ranks(values: Tensor) -> Tensor:
    """(N,) -> (N,) float64 ranks from 1; equal values share the mean of their ranks."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2.0)[place]


def auroc(scores: Tensor, positive: Tensor) -> Tensor:
    """(N,) scores, (N,) bool -> the chance that a positive is scored above a negative; NaN without
    both of them.
    """
    if positive.all() or not positive.any():
        return torch.full((), torch.nan, dtype=torch.float64)
    return binary_auroc(_in_unit(scores), positive.long(), validate_args=False).double()


def average_precision(scores: Tensor, positive: Tensor) -> Tensor:
    """(N,) scores, (N,) bool -> the precision at each score that finds something, weighted by what
    it finds there.

    There is no interpolation; NaN without positives.
    """
    if not positive.any():
        return torch.full((), torch.nan, dtype=torch.float64)
    ranks = _in_unit(scores)
    return binary_average_precision(ranks, positive.long(), validate_args=False).double()


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's correlation of (N,) and (N,), neither of which is constant.

    torchmetrics' own sums ranks in 32 bits, which is too few where 65,000 values are equal: this is
    its correlation of Pearson on exact ranks.
    """
    return pearson_corrcoef(average_ranks(a), average_ranks(b))


def _in_unit(scores: Tensor) -> Tensor:
    """(N,) -> (N,) float64 in (0, 1], in the same order."""
    return average_ranks(scores) / max(1, len(scores))
