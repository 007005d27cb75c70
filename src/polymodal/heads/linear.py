"""One linear map from the fused vector to the answer."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.types import PositiveInt


class Linear(nn.Module):
    """A normalisation and a linear map.

    Args:
        dim: d, the width of the fused vector.
        outputs: p, the number of classes or of values.
    """

    def __init__(self, dim: PositiveInt, outputs: PositiveInt) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, outputs))

    def forward(self, fused: Tensor) -> Tensor:
        """(B, d) -> (B, p)."""
        return self.layers(fused)
