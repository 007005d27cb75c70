"""A transformer over the frames of a video."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymodal.encoders.attention import Block, sinusoids
from polymodal.outputs import Tokens
from polymodal.types import PositiveInt, Probability


class Transformer(nn.Module):
    """Every frame through one image encoder, then self-attention over time (the factorised encoder
    of ViViT, Arnab et al. 2021), the mean, one linear map.

    All videos of a batch have the same number of frames; there is no padding. Data of different
    lengths are to take T frames of each, spread evenly.

    Args:
        dim: d, the width of the frames' vectors, of the blocks and of the output, a multiple of
            `heads`.
        image: the encoder of a frame, (N, C, H, W) -> (N, d).
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on both residual branches.

    Raises:
        ValueError: the width cannot be shared by the heads.
    """

    def __init__(
        self,
        dim: PositiveInt,
        image: nn.Module,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.image = image
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, videos: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, d)."""
        return self.projection(self._states(videos).mean(1))

    def tokens(self, videos: Tensor) -> Tokens:
        """(B, T, C, H, W) -> a vector (B, T, d) of each frame; their mean is `forward`."""
        values = self.projection(self._states(videos))
        return Tokens(values, values.new_ones(values.shape[:2], dtype=torch.bool))

    def _states(self, videos: Tensor) -> Tensor:
        x = self.image(videos.flatten(0, 1)).unflatten(0, videos.shape[:2])
        x = x + sinusoids(x.shape[1], x.shape[2], x)
        for block in self.blocks:
            x = block(x, None)
        return self.norm(x)
