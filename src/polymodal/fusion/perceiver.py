"""A few learned latents read all tokens of all modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Block, Blocks
from polymodal.fusion.layers.sequences import Labelled, by_modality, joined
from polymodal.outputs import FusionOutput, Tokens
from polymodal.types import PositiveInt, Probability


class Perceiver(nn.Module):
    """One block of attention from latents to the tokens, then self-attention of the latents (Jaegle
    et al. 2021).

    Time grows with the number of tokens, not with its square: for long sequences or many
    modalities. y is the mean of the latents.

    Parameters: (layers + 1)*(12*d*d + 10*d) + (latents + m + 2)*d

    Args:
        dim: d, a multiple of `heads`.
        modalities: the m names.
        latents: number of latents.
        layers: number of blocks of self-attention.
        heads: attention heads a block.
        dropout: rate on the residual branches.

    Raises:
        ValueError: `heads` does not divide `dim`.
    """

    reads_tokens = True

    def __init__(
        self,
        dim: PositiveInt,
        modalities: Sequence[str],
        latents: PositiveInt = 8,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.labelled = Labelled(len(modalities), dim)
        self.latents = nn.Parameter(torch.randn(latents, dim) * 0.02)
        self.read = Block(dim, heads, dropout)
        self.blocks = Blocks(dim, layers, heads, dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> FusionOutput:
        """(B, m, d), (B, m) bool, m sequences -> y (B, d), weights (B, m) of the latents' look at
        the tokens.
        """
        sequences = self.labelled(x, mask, tokens)
        values, real = joined(sequences)
        latents = self.latents.expand(len(x), -1, -1)
        weights = by_modality(self.read.shares(latents, real, values), sequences)
        latents = self.read(latents, real, values)
        latents = self.blocks(latents, real.new_ones(latents.shape[:2]))
        return FusionOutput(self.norm(latents.mean(1)), weights)
