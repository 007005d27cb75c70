"""One modality, or a learned query, reads the others by attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.fusion.layers.attention import Block, Blocks
from polymodal.fusion.layers.named import index_of
from polymodal.fusion.layers.sequences import Labelled, by_modality, joined
from polymodal.outputs import FusionOutput, Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class CrossAttention(nn.Module):
    """Blocks of attention from a query to the tokens of the modalities (after ViLBERT, Lu et al.
    2019; ALBEF, 2021).

    Without a name, one learned vector reads the tokens of all modalities. With one, the tokens of
    that modality read those of all others (their own, if there are no others), and y is their mean;
    where it is absent, the learned vector takes its place.

    Parameters: layers*(12*d*d + 10*d) + (m + 3)*d

    Args:
        dim: d, a multiple of `heads`.
        modalities: the m names.
        query: name of the modality that reads, or None for the learned vector.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on the residual branches.

    Raises:
        ValueError: there is no modality of that name, or `heads` does not divide `dim`.
    """

    reads_tokens = True

    def __init__(
        self,
        dim: PositiveInt,
        modalities: Sequence[str],
        query: str | None = None,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        count = len(modalities)
        self.reader = None if query is None else index_of(query, modalities, "query")
        self.read = [i for i in range(count) if i != self.reader] or [0]
        self.labelled = Labelled(count, dim)
        self.query = nn.Parameter(torch.randn(dim) * 0.02)
        self.blocks = Blocks(dim, layers - 1, heads, dropout)
        self.last = Block(dim, heads, dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(
        self, x: Tensor, mask: Tensor, tokens: Sequence[Tokens] | None = None
    ) -> FusionOutput:
        """(B, m, d), (B, m) bool, m sequences -> y (B, d), weights (B, m) of the learned query's
        last look.
        """
        sequences = self.labelled(x, mask, tokens)
        context = joined([sequences[i] for i in self.read])
        if self.reader is None:
            queries, real = self.query.expand(len(x), 1, -1), mask.new_ones(len(x), 1)
        else:
            queries, real = self._or_learned(*sequences[self.reader])
        queries = self.blocks(queries, context.mask, context.values)
        y = self.norm(masked_mean(self.last(queries, context.mask, context.values), real))
        if self.reader is not None:
            return FusionOutput(y)
        return FusionOutput(
            y, by_modality(self.last.shares(queries, context.mask, context.values), sequences)
        )

    def _or_learned(self, values: Tensor, real: Tensor) -> Tokens:
        """The sequence; where no token is real, the learned vector as its first."""
        absent = ~real.any(1, keepdim=True)
        first = torch.where(absent, self.query.to(values.dtype), values[:, 0])
        return Tokens(
            torch.cat([first[:, None], values[:, 1:]], dim=1),
            torch.cat([real[:, :1] | absent, real[:, 1:]], dim=1),
        )
