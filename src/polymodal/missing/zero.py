"""Zeros stand for an absent modality."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Zero(nn.Module):
    """The mask says that everything is present, and absent vectors are zeros: the usual
    control.
    """

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d), (B, m) bool -> x with zeros in absent rows, a mask that is True everywhere."""
        return x.masked_fill(~mask[:, :, None], 0), torch.ones_like(mask)
