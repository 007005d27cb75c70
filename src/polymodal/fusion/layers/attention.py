"""The one attention block that all fusions over sequences are made of."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.fusion.layers.softmax import masked_softmax


class Attention(nn.Module):
    """Attention of queries to those tokens of a context that are there (Vaswani et al. 2017).

    Beside the context stand a key and a value of zeros, so that a query may look at nothing. Where
    no token is there, it must: the result is finite and has a gradient. Where there is one, its
    weight still depends on both.

    Parameters: 4*d*d + d

    Args:
        dim: d, a multiple of `heads`.
        heads: attention heads.

    Raises:
        ValueError: `heads` does not divide `dim`.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(
                f"dim={dim} is not a multiple of heads={heads}: give fusion.heads a divisor of "
                f"{dim}."
            )
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, queries: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """(B, q, d), (B, n, d), (B, n) bool -> (B, q, d)."""
        q = self._split(self.query(queries))
        k = self._split(self.key(context))
        v = self._split(self.value(context))
        nothing = (0, 0, 0, 1)
        attend = F.pad(mask, (0, 1), value=True)[:, None, None]  # (B, 1, 1, n + 1)
        mixed = F.scaled_dot_product_attention(
            q, F.pad(k, nothing), F.pad(v, nothing), attn_mask=attend
        )
        return self.out(mixed.transpose(1, 2).flatten(2))

    def shares(self, queries: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """(B, q, d), (B, n, d), (B, n) bool -> (B, n): how the looks at the context are sharded
        among its tokens.

        The mean over heads and queries; it sums to 1, or to 0 where no token is there.
        """
        q, k = self._split(self.query(queries)), self._split(self.key(context))
        scores = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        return masked_softmax(scores, mask[:, None, None], dim=-1).mean((1, 2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, n, d) -> (B, heads, n, d / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention and a GELU MLP of four times the width, each on a normalised residual branch.

    Parameters: 12*d*d + 10*d

    Args:
        dim: d.
        heads: attention heads, a divisor of d.
        dropout: rate on both residual branches.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, q, d) -> (B, q, d), after a look at `context` (B, n, d), by default x itself, where
        `mask` (B, n).
        """
        queries = self.norm1(x)
        seen = queries if context is None else self.norm1(context)
        x = x + self.dropout(self.attention(queries, seen, mask))
        return x + self.dropout(self.mlp(self.norm2(x)))

    def shares(self, x: Tensor, mask: Tensor, context: Tensor) -> Tensor:
        """(B, n): how x, (B, q, d), shards its looks among the tokens of `context`, (B, n,
        d).
        """
        return self.attention.shares(self.norm1(x), self.norm1(context), mask)


class Blocks(nn.ModuleList):
    """Several blocks, one after the other, with the same context."""

    def __init__(self, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__(Block(dim, heads, dropout) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        """As `Block`."""
        for block in self:
            x = block(x, mask, context)
        return x
