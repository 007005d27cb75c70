"""Tokens: what an encoder knows before it is pooled to one vector."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Tokens(NamedTuple):
    """The sequence of one modality of B samples: patches, words, frames, columns.

    Attributes:
        values: (B, n, d), already as wide as X.
        mask: (B, n) bool, which are real: no padding, and of a sample that has the modality.
    """

    values: Tensor
    mask: Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(B, n, d), (B, n) bool -> (B, d): the mean over the real ones, zeros where none is."""
    total = values.masked_fill(~mask[:, :, None], 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1).to(values.dtype)
