"""No fusion, as a control: any one modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class RandomModality(nn.Module):
    """The vector of one present modality of each sample, drawn with equal chances; 0 where none is
    present.

    In training each forward draws anew from torch's generator. In evaluation the draw is a hash of
    the sample: the sum of the positions in X of its positive numbers. So it is the same in every
    batch, on every device and, since rounding seldom changes a sign, at every precision.

    Parameters: 0

    Args:
        dim: d.
        modalities: the m names.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str]) -> None:
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d), weights (B, m), 1 for the modality that was drawn."""
        x = x.masked_fill(~mask[:, :, None], 0)
        if self.training:
            draw = torch.randint(2**31, (len(x),), device=x.device)
        else:
            positive = (x > 0).flatten(1)
            draw = (positive * torch.arange(positive.shape[1], device=x.device)).sum(1)
        place = mask.cumsum(1) - 1  # of each present modality among those present
        drawn = draw % mask.sum(1).clamp(min=1)
        weights = (mask & (place == drawn[:, None])).to(x.dtype)
        return FusionOutput((weights[:, :, None] * x).sum(1), weights)
