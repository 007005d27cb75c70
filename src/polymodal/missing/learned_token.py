"""A learned vector stands for an absent modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.types import PositiveInt


class LearnedToken(nn.Module):
    """One trained vector a modality takes the place of what is absent.

    Parameters: m*d.

    Args:
        dim: d.
        modalities: the m names.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str]) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(len(modalities), dim) * 0.02)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, m, d), (B, m) bool -> x with every row filled, a mask that is True everywhere."""
        return torch.where(mask[:, :, None], x, self.vectors.to(x.dtype)), torch.ones_like(mask)
