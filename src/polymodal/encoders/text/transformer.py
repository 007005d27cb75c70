"""A pre-norm transformer that reads a whole caption at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymodal.batch import PAD
from polymodal.encoders.attention import Block
from polymodal.outputs import Tokens, masked_mean
from polymodal.types import PositiveInt, Probability


class Transformer(nn.Module):
    """Token and position embeddings, `layers` blocks of bidirectional self-attention (Vaswani et
    al. 2017), the mean over the real tokens, one linear map.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids; id `PAD` is masked out everywhere.
        context_length: the longest T.
        width: w, the width of the blocks, a multiple of `heads`.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on both residual branches.

    Raises:
        ValueError: the width cannot be shared by the heads.
    """

    def __init__(
        self,
        dim: PositiveInt,
        vocab_size: PositiveInt,
        context_length: PositiveInt = 64,
        width: PositiveInt = 128,
        layers: PositiveInt = 2,
        heads: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width, padding_idx=PAD)
        self.positions = nn.Parameter(torch.randn(context_length, width) * 0.02)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        return self.projection(masked_mean(self._states(ids), ids != PAD))

    def tokens(self, ids: Tensor) -> Tokens:
        """(B, T) -> a vector (B, T, d) of each token; their mean is `forward`."""
        return Tokens(self.projection(self._states(ids)), ids != PAD)

    def _states(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.positions[: ids.shape[1]]
        attend = (ids != PAD)[:, None, None, :]  # (B, 1, 1, T): no head looks at padding
        for block in self.blocks:
            x = block(x, attend)
        return self.norm(x)
