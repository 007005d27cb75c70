"""The mean of what is there."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.outputs import FusionOutput, masked_mean
from polymodal.types import PositiveInt


class Mean(nn.Module):
    """Mean over the modalities that are present, however many (DeepSets, Zaheer et al. 2017).

    Parameters: 0
    Symmetric: True

    Args:
        dim: d.
        modalities: the m names.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str]) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d), weights (B, m), all the same where present."""
        weights = mask.to(x.dtype) / mask.sum(1, keepdim=True).clamp(min=1)
        return FusionOutput(masked_mean(x, mask), weights)
