"""One linear layer over the pixels."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.types import PositiveInt


class Linear(nn.Module):
    """All pixels through one linear map: the baseline that a deeper encoder has to beat.

    Args:
        dim: d, the width of the output.
        in_channels: C.
        image_size: H = W.
    """

    def __init__(
        self, dim: PositiveInt, in_channels: PositiveInt = 1, image_size: PositiveInt = 32
    ) -> None:
        super().__init__()
        self.projection = nn.Linear(in_channels * image_size**2, dim)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.projection(images.flatten(1))
