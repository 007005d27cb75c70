"""A small residual network for small images: the encoder that trains in minutes on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.outputs import Tokens
from polymodal.types import PositiveInt


class CNN(nn.Module):
    """Residual stages, each at half the size of the one before (He et al. 2016), then one linear
    map.

    The last feature map is flattened, not averaged: where a stroke lies distinguishes one glyph
    from another.

    Args:
        dim: d, the width of the output.
        in_channels: C.
        image_size: H = W, a multiple of 2 ** number of stages.
        widths: channels of each stage.
        blocks: residual blocks a stage.
    """

    def __init__(
        self,
        dim: PositiveInt,
        in_channels: PositiveInt = 1,
        image_size: PositiveInt = 32,
        widths: Sequence[PositiveInt] = (32, 64, 128),
        blocks: PositiveInt = 1,
    ) -> None:
        super().__init__()
        if image_size % 2 ** len(widths):
            raise ValueError(
                f"image_size={image_size} is not a multiple of {2 ** len(widths)} (one halving a "
                "stage)"
            )
        stages: list[nn.Module] = []
        for channels_in, channels in zip([in_channels, *widths], widths, strict=False):
            stages.append(nn.Conv2d(channels_in, channels, kernel_size=4, stride=2, padding=1))
            stages += [ResidualBlock(channels) for _ in range(blocks)]
        self.stages = nn.Sequential(*stages)
        side = image_size // 2 ** len(widths)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.projection = nn.Linear(widths[-1] * side * side, dim)
        self.to(memory_format=torch.channels_last)  # the layout that convolutions run fastest in

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, d)."""
        return self.projection(self._features(images).flatten(1))

    def tokens(self, images: Tensor) -> Tokens:
        """(B, C, H, W) -> (B, places, d): each place of the last feature map through its own part
        of the linear map.

        The map adds up over the places; times their number, so that the mean is `forward`.
        """
        features = self._features(images).flatten(2)
        places = features.shape[2]
        weight = self.projection.weight.unflatten(1, (-1, places))
        values = places * torch.einsum("bcp,dcp->bpd", features, weight) + self.projection.bias
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))

    def _features(self, images: Tensor) -> Tensor:
        return self.norm(self.stages(images.contiguous(memory_format=torch.channels_last))).relu()


class ResidualBlock(nn.Module):
    """x + two 3 x 3 convolutions, each after a normalisation and a ReLU (He et al. 2016, identity
    mappings).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return features + self.body(features)
