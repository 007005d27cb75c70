"""A softmax over what is there."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_softmax(scores: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Weights along `dim` that sum to 1 over the True entries and are 0 elsewhere; all 0 where
    nothing is True.

    Args:
        scores: any shape.
        mask: bool, broadcast to it.
        dim: the axis that competes.
    """
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # not -inf: where nothing is True that makes NaN, masked in the end but seen by anomaly
    # detection
    lowest = -1e9
    return exact.masked_fill(~mask, lowest).softmax(dim).masked_fill(~mask, 0).to(scores.dtype)
