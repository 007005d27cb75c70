"""Metrics that read nothing but the order of scores; ties count half, whatever the order of the
samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def average_ranks(values: Tensor) -> Tensor:
    """(N,) -> (N,) float64 ranks from 1; equal values share the mean of their ranks."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2.0)[place]


def auroc(scores: Tensor, positive: Tensor) -> Tensor:
    """(N,) scores, (N,) bool -> the chance that a positive is scored above a negative; NaN without
    both of them.
    """
    positives = positive.sum().double()
    negatives = len(positive) - positives
    above = average_ranks(scores)[positive].sum() - positives * (positives + 1) / 2
    return above / (positives * negatives)


def average_precision(scores: Tensor, positive: Tensor) -> Tensor:
    """(N,) scores, (N,) bool -> the precision at each score that finds something, weighted by what
    it finds there.

    There is no interpolation; NaN without positives.
    """
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    found = torch.bincount(place, positive.double(), minlength=len(counts)).flip(0)
    precision = found.cumsum(0) / counts.flip(0).cumsum(0)
    return (precision * found).sum() / found.sum()
