"""Zeros stand for an absent modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Zero(nn.Module):
    """The fusion is told that everything is there, and reads zeros for what is not: the usual
    control.
    """

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d), (B, m) bool -> x with zeros in absent rows, a mask that is True everywhere."""
        return x.masked_fill(~mask[:, :, None], 0), torch.ones_like(mask)
