"""The element-wise product of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from polymodal.fusion.layers.linear_each import LinearEach
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Product(nn.Module):
    """W (tanh(W_1 x_1 + b_1) * tanh(W_2 x_2 + b_2) * ...) + b (MLB, Kim et al. 2017); an absent
    factor is 1.

    Parameters: m*(d + 1)*hidden + (hidden + 1)*d

    Args:
        dim: d.
        modalities: the m names.
        hidden: length of the factors.
    """

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], hidden: PositiveInt = 256
    ) -> None:
        super().__init__()
        self.factors = LinearEach(len(modalities), dim, hidden)
        self.out = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        absent = ~mask[:, :, None]
        factors = self.factors(x.masked_fill(absent, 0)).tanh().masked_fill(absent, 1)
        return FusionOutput(self.out(reduce(torch.mul, factors.unbind(1))))
