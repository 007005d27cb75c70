"""Logits in blocks of rows: a loss looks at each block once, and the whole matrix is never held."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BLOCK = 2**20
"""Logits that are held at a time, 4 MiB in fp32: they stay in the caches of a CPU."""

FEWEST_ROWS = 64
"""A matrix product with fewer rows than this wastes time."""


def tiles(queries: Tensor, keys: Tensor, scale: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows and their logits, scale * queries @ keys.T: (B, d), (N, d), () -> (r, N) at a time, all
    B in order.
    """
    size = max(FEWEST_ROWS, BLOCK // len(keys))
    for start in range(0, len(queries), size):
        rows = slice(start, start + size)
        yield rows, (scale * queries[rows]) @ keys.T


def gradients(
    queries: Tensor, keys: Tensor, scale: Tensor, slopes: Callable[[slice, Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and scale, from logits that are computed anew.

    Args:
        queries: (B, d).
        keys: (N, d).
        scale: scalar.
        slopes: rows and their logits (r, N), which it may overwrite -> derivatives of the loss by
            them, (r, N).

    Returns:
        (B, d), (N, d) and ().
    """
    by_scaled, by_keys = torch.empty_like(queries), torch.zeros_like(keys)
    for rows, logits in tiles(queries, keys, scale):
        slope = slopes(rows, logits)
        by_scaled[rows] = slope @ keys
        by_keys.addmm_(slope.T, scale * queries[rows])
    return scale * by_scaled, by_keys, (by_scaled * queries).sum()
