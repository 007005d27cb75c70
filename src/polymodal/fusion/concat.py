"""Concatenation and a small MLP: the baseline that is hard to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Concat(nn.Module):
    """The m vectors side by side through an MLP; an absent modality is a learned vector.

    Parameters: m*d + (m*d + 1)*hidden + (hidden + 1)*d

    Args:
        dim: d, of every modality and of the result.
        modalities: the m names.
        hidden: the width of the MLP.
    """

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], hidden: PositiveInt = 256
    ) -> None:
        super().__init__()
        self.absent = nn.Parameter(torch.randn(len(modalities), dim) * 0.02)
        self.mlp = nn.Sequential(
            nn.Linear(len(modalities) * dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)
        )

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        filled = torch.where(mask[:, :, None], x, self.absent.to(x.dtype))
        return FusionOutput(self.mlp(filled.flatten(1)))
