"""A video as the mean of its frames."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymodal.outputs import Tokens


class Mean(nn.Module):
    """Every frame through one image encoder, then the mean over time: the order of the frames does
    not matter.

    All videos of a batch have the same number of frames; there is no padding. Data of different
    lengths are to take T frames of each, spread evenly.

    Args:
        image: the encoder of a frame, (N, C, H, W) -> (N, d).
    """

    def __init__(self, image: nn.Module) -> None:
        super().__init__()
        self.image = image

    def forward(self, videos: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, d)."""
        return self.tokens(videos).values.mean(1)

    def tokens(self, videos: Tensor) -> Tokens:
        """(B, T, C, H, W) -> a vector (B, T, d) of each frame; their mean is `forward`."""
        values = self.image(videos.flatten(0, 1)).unflatten(0, videos.shape[:2])
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))
