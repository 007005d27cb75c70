"""The plainest fusion: add what is there."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Sum(nn.Module):
    """Sum over the modalities that are present (DeepSets, Zaheer et al. 2017).

    Parameters: 0
    Symmetric: True

    Args:
        dim: d.
        modalities: the m names.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str]) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        return FusionOutput(x.masked_fill(~mask[:, :, None], 0).sum(1))
