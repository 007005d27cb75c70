"""A gate that weighs the modalities of each sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.fusion.output import FusionOutput
from polymodal.types import PositiveInt


class Gated(nn.Module):
    """A softmax over the present modalities weighs their vectors (after the GMU, Arevalo et al. 2017).

    Parameters: d + 1. The gate looks at each vector by itself, so any number and order of modalities works.

    Args:
        dim: d.
        modalities: the m names.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str]) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, 1)

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d), weights (B, m) that sum to 1, or to 0 where all are absent."""
        x = x.masked_fill(~mask[:, :, None], 0)
        scores = self.gate(x).squeeze(-1).float()
        lowest = -1e9  # not -inf: a row with nothing present must stay finite, forward and backward
        weights = scores.masked_fill(~mask, lowest).softmax(1).masked_fill(~mask, 0).to(x.dtype)
        return FusionOutput((weights[:, :, None] * x).sum(1), weights)
