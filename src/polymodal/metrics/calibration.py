"""Whether a confidence of 80 % is right 80 times out of 100."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 2**20
"""Probabilities that are held at a time."""


class Reliability(NamedTuple):
    """Samples by confidence, in bins of equal width: bin i of n holds those in (i / n, (i + 1) /
    n].

    Attributes:
        samples: (n,) int64, how many each bin has.
        confidence: (n,) float64, their mean confidence; 0 in an empty bin.
        accuracy: (n,) float64, the share of them that is right.
    """

    samples: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def error(self) -> Tensor:
        """Expected calibration error: the mean distance of confidence and accuracy (Naeini et al.
        2015).
        """
        return (self.samples * (self.accuracy - self.confidence).abs()).sum() / self.samples.sum()


def reliability(probabilities: Tensor, target: Tensor, bins: int = 15) -> Reliability:
    """(N, K) probabilities, (N,) classes -> how sure the model was of its answers, and how often it
    was right.
    """
    confidence, answer = probabilities.double().max(1)
    return _binned(confidence, answer == target, bins)


def reliability_of(logits: Tensor, target: Tensor, bins: int = 15) -> Reliability:
    """The same of (N, K) logits, whose probabilities are never held all at once."""
    rows = max(1, BLOCK // logits.shape[1])
    confidence = torch.cat([part.double().softmax(1).amax(1) for part in logits.split(rows)])
    return _binned(confidence, logits.argmax(1) == target, bins)


def _binned(confidence: Tensor, right: Tensor, bins: int) -> Reliability:
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    place = torch.bucketize(confidence, edges)
    count = torch.bincount(place, minlength=bins)
    sums = [
        torch.bincount(place, weights, minlength=bins) for weights in (confidence, right.double())
    ]
    return Reliability(count, *(total / count.clamp(min=1) for total in sums))
