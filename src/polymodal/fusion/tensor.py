"""All products of features of different modalities, one weight each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.fusion.layers.linear_each import LinearEach
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt

LARGEST = 2**16
"""Numbers in the outer product of one sample: each takes memory B times, and d weights."""


class TensorFusion(nn.Module):
    """A linear map of the outer product of [1, P_1 x_1 + p_1], [1, P_2 x_2 + p_2], ... (TFN, Zadeh
    et al. 2017).

    The paper has no P; without it the outer product has (d + 1)**m numbers. An absent modality is
    [1, 0, ...]: products with it are gone, all others stay.

    Parameters: m*(d + 1)*width + ((width + 1)**m + 1)*d

    Args:
        dim: d.
        modalities: the m names.
        width: k, the length of P_i x_i; (k + 1)**m may be `LARGEST` at most.

    Raises:
        ValueError: the outer product is too large.
    """

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], width: PositiveInt = 16
    ) -> None:
        super().__init__()
        count = len(modalities)
        size = (width + 1) ** count
        if size > LARGEST:
            fitting = [f"fusion.width={k}" for k in range(1, width) if (k + 1) ** count <= LARGEST]
            raise ValueError(
                f"width={width} makes an outer product of {width + 1}**{count} = {size} numbers, "
                f"and {LARGEST} is the most: give "
                f"{' or '.join([*fitting[-1:], 'fusion=low_rank'])}."
            )
        self.projections = LinearEach(count, dim, width)
        self.out = nn.Linear(size, dim)

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        absent = ~mask[:, :, None]
        projected = self.projections(x.masked_fill(absent, 0)).masked_fill(absent, 0)
        vectors = F.pad(projected, (1, 0), value=1.0).unbind(1)  # m times (B, k + 1)
        return FusionOutput(self.out(reduce(_outer, vectors)))


def _outer(a: Tensor, b: Tensor) -> Tensor:
    """(B, p), (B, q) -> (B, p * q)."""
    return (a[:, :, None] * b[:, None, :]).flatten(1)
