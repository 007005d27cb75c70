"""Modalities that exchange what they know through a few shared tokens only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Block
from polymodal.fusion.layers.sequences import as_sequences
from polymodal.outputs import FusionOutput, Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class Bottleneck(nn.Module):
    """Self-attention within each modality, to whose tokens a few shared ones are added (MBT,
    Nagrani et al. 2021).

    After each layer the shared tokens are the mean of what the present modalities made of them. y
    is the mean over the present modalities of the mean of their tokens, where the paper has class
    tokens.

    Parameters: m*layers*(12*d*d + 10*d) + (shared + 2)*d

    Args:
        dim: d, a multiple of `heads`.
        modalities: the m names.
        shared: number of shared tokens.
        layers: number of blocks of each modality.
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
        shared: PositiveInt = 4,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.randn(shared, dim) * 0.02)
        blocks = [[Block(dim, heads, dropout) for _ in modalities] for _ in range(layers)]
        self.layers = nn.ModuleList(nn.ModuleList(row) for row in blocks)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> FusionOutput:
        """(B, m, d), (B, m) bool, m sequences -> y (B, d)."""
        sequences = as_sequences(x, mask, tokens)
        present = torch.stack([real.any(1) for _, real in sequences], dim=1)
        count = len(self.shared)
        shared = self.shared.expand(len(x), -1, -1)
        for blocks in self.layers:
            copies = []
            for index, block in enumerate(blocks.children()):
                values, real = sequences[index]
                both = block(
                    torch.cat([values, shared], dim=1), F.pad(real, (0, count), value=True)
                )
                sequences[index] = Tokens(both[:, :-count], real)
                copies.append(both[:, -count:].flatten(1))
            shared = masked_mean(torch.stack(copies, dim=1), present).unflatten(1, (count, -1))
        vectors = torch.stack([masked_mean(*sequence) for sequence in sequences], dim=1)
        return FusionOutput(self.norm(masked_mean(vectors, present)))
