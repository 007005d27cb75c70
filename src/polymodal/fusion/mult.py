"""Every modality reads every other by attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Blocks
from polymodal.fusion.layers.sequences import as_sequences
from polymodal.outputs import FusionOutput, Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class MulT(nn.Module):
    """Cross-attention for each ordered pair of modalities, then self-attention for each modality
    (Tsai et al. 2019).

    The tokens of a modality read those of each other one, with blocks of the pair's own. What comes
    of it is averaged over the others, where the paper sets it side by side: for two modalities that
    is the same, and for more the width stays d. The mean tokens of all modalities, 0 for an absent
    one, go side by side through a linear map.

    Parameters: m*m*layers*(12*d*d + 10*d) + 2*d + (m*d + 1)*d

    Args:
        dim: d, a multiple of `heads`.
        modalities: the m names.
        layers: number of blocks of each pair, and of each modality.
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
        layers: PositiveInt = 1,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        count = len(modalities)
        blocks = [[Blocks(dim, layers, heads, dropout) for _ in range(count)] for _ in range(count)]
        self.blocks = nn.ModuleList(nn.ModuleList(row) for row in blocks)
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(count * dim, dim)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> FusionOutput:
        """(B, m, d), (B, m) bool, m sequences -> y (B, d)."""
        sequences = as_sequences(x, mask, tokens)
        return FusionOutput(
            self.out(torch.cat([self._of_one(i, sequences) for i in range(len(sequences))], dim=1))
        )

    def _of_one(self, reader: int, sequences: Sequence[Tokens]) -> Tensor:
        """(B, d): what a modality makes of itself and the others; block [i][j] reads j for i."""
        values, real = sequences[reader]
        blocks = list(self.blocks[reader].children())
        own = blocks.pop(reader)
        others = [*sequences[:reader], *sequences[reader + 1 :]]
        if others:
            read = [
                block(values, other.mask, other.values)
                for block, other in zip(blocks, others, strict=True)
            ]
            values = torch.stack(read).mean(0)
        return masked_mean(self.norm(own(values, real)), real)
