"""All products of features of different modalities, in a weight tensor of low rank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from polymodal.fusion.layers.linear_each import LinearEach
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class LowRank(nn.Module):
    """The sum over `rank` of the products of F_i^r [x_i, 1] over the modalities i (LMF, Liu et al.
    2018).

    That is a linear map of the outer product of all [x_i, 1] whose weights have that rank; the
    product is never made. An absent modality is [0, 1]. The weights of the 1 begin at 1: the first
    y is close to a sum of linear maps of the modalities, and neither many nor absent ones make it
    vanish.

    Parameters: rank*m*(d + 1)*d + d

    Args:
        dim: d.
        modalities: the m names.
        rank: of the weights, for each feature of y.
    """

    def __init__(self, dim: PositiveInt, modalities: Sequence[str], rank: PositiveInt = 4) -> None:
        super().__init__()
        count = len(modalities)
        self.rank = rank
        self.factors = LinearEach(count, dim, rank * dim)  # its biases are the weights of the 1
        # y begins at 0 where nothing is there
        self.bias = nn.Parameter(torch.full((dim,), -float(rank)))
        for parameter in self.factors.parameters():
            if parameter.ndim == 1:
                nn.init.ones_(parameter)
            else:
                nn.init.normal_(parameter, std=(dim * count * rank) ** -0.5)

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        # (B, m, rank, d)
        factors = self.factors(x.masked_fill(~mask[:, :, None], 0)).unflatten(2, (self.rank, -1))
        return FusionOutput(reduce(torch.mul, factors.unbind(1)).sum(1) + self.bias)
