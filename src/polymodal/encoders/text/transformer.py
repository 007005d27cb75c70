"""A pre-norm transformer that reads a whole caption at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from polymodal.batch import PAD
from polymodal.types import PositiveInt, Probability


class Transformer(nn.Module):
    """Token and position embeddings, `layers` blocks of bidirectional self-attention (Vaswani et al. 2017),
    the mean over the real tokens, one linear map.

    Args:
        dim: d, the width of the output.
        vocab_size: number of token ids; id `PAD` is masked out everywhere.
        context_length: the longest T.
        width: w, the width of the blocks, a multiple of `heads`.
        layers: number of blocks.
        heads: attention heads a block.
        dropout: rate on both residual branches.
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
        if width % heads:
            raise ValueError(f"width={width} is not a multiple of heads={heads}")
        self.tokens = nn.Embedding(vocab_size, width, padding_idx=PAD)
        self.positions = nn.Parameter(torch.randn(context_length, width) * 0.02)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, dim)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, d)."""
        real = ids != PAD
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        attend = real[:, None, None, :]  # (B, 1, 1, T): no head looks at padding
        for block in self.blocks:
            x = block(x, attend)
        x = self.norm(x)
        weights = real.to(x.dtype)[:, :, None]
        return self.projection((x * weights).sum(1) / weights.sum(1).clamp(min=1))


class Block(nn.Module):
    """Self-attention and a GELU MLP of four times the width, each on a normalised residual branch."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """(B, T, w), (B, 1, 1, T) bool -> (B, T, w)."""
        qkv = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = attention(qkv[0], qkv[1], qkv[2], attend).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(mixed))
        return x + self.dropout(self.mlp(self.norm2(x)))


def attention(q: Tensor, k: Tensor, v: Tensor, attend: Tensor) -> Tensor:
    """(B, heads, T, c) three times, (B, 1, 1, T) bool -> (B, heads, T, c)."""
    if q.device.type == "cpu":  # on captions of a dozen tokens the fused kernel takes longer than the plain products
        with sdpa_kernel(SDPBackend.MATH):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=attend)
