"""Self-attention over all tokens of all modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Block, Blocks
from polymodal.fusion.layers.sequences import Labelled, by_modality, joined
from polymodal.outputs import FusionOutput, Tokens
from polymodal.types import PositiveInt, Probability


class Transformer(nn.Module):
    """A class token and the tokens of all modalities in one sequence (Vaswani et al. 2017; FLAVA,
    Singh et al. 2022).

    y is the class token after the last block, in which therefore no other token asks.

    Parameters: layers*(12*d*d + 10*d) + (m + 3)*d

    Args:
        dim: d, a multiple of `heads`.
        modalities: the m names.
        layers: number of blocks.
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
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.labelled = Labelled(len(modalities), dim)
        self.class_token = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = Blocks(dim, layers - 1, heads, dropout)
        self.last = Block(dim, heads, dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> FusionOutput:
        """(B, m, d), (B, m) bool, m sequences -> y (B, d), weights (B, m) of the class token's last
        look.
        """
        sequences = self.labelled(x, mask, tokens)
        values, real = joined(sequences)
        values = torch.cat([self.class_token.expand(len(x), 1, -1), values], dim=1)
        seen = F.pad(real, (1, 0), value=True)
        values = self.blocks(values, seen)
        query = values[:, :1]
        weights = by_modality(self.last.shares(query, real, values[:, 1:]), sequences)
        return FusionOutput(self.norm(self.last(query, seen, values)[:, 0]), weights)
