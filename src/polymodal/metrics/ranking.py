"""Ranks of the right answers, computed block by block."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**24
"""Scores held at a time (64 MiB in fp32), whatever the number of queries and of gallery items."""

COUNTED = 2**20
"""Scores counted at a time: torch sums bools in a copy of eight times their size, which should stay in the cache."""


@torch.no_grad()
def positive_ranks(queries: Tensor, gallery: Tensor, query_group: Tensor, gallery_group: Tensor) -> Tensor:
    """Rank, from 1, of the best-scored gallery item of the query's group; queries without one are left out.

    Ties go to the wrong answer: a model that gives every item the same score gets the last rank, not the first.
    The other positives of a query do not count as wrong.

    Args:
        queries: (Q, d), scored by dot product.
        gallery: (G, d).
        query_group: (Q,) int64.
        gallery_group: (G,) int64.

    Returns:
        (Q',) int64, Q' <= Q.
    """
    order = gallery_group.argsort(stable=True)
    sorted_group = gallery_group[order].contiguous()
    first = torch.searchsorted(sorted_group, query_group.contiguous())
    counts = torch.searchsorted(sorted_group, query_group.contiguous(), right=True) - first
    answerable = counts > 0
    queries, first, counts = queries[answerable], first[answerable], counts[answerable]
    rows = max(1, BLOCK // max(1, len(gallery)))
    scores = queries.new_empty(min(rows, len(queries)), len(gallery))  # one for all blocks: new memory costs time
    ranks = torch.empty_like(counts)  # not a list of parts, which would lie scattered over memory that is used again
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        block = torch.mm(queries[part], gallery.T, out=scores[: len(queries[part])])
        ranks[part] = _block_ranks(block, order, first[part], counts[part])
    return ranks


def _block_ranks(scores: Tensor, order: Tensor, first: Tensor, counts: Tensor) -> Tensor:
    """(R, G) scores -> (R,) ranks; the positives of row i are order[first[i] : first[i] + counts[i]]."""
    row = torch.arange(len(scores), device=scores.device).repeat_interleave(counts)
    offset = torch.arange(len(row), device=scores.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    positive = scores[row, order[first.repeat_interleave(counts) + offset]]
    best = scores.new_full((len(scores),), -torch.inf).scatter_reduce(0, row, positive, "amax")
    as_good = torch.zeros_like(counts).index_add(0, row, (positive >= best[row]).long())
    above, rows = torch.empty_like(counts), max(1, COUNTED // scores.shape[1])
    for start in range(0, len(scores), rows):
        part = slice(start, start + rows)
        torch.sum(scores[part] >= best[part, None], 1, out=above[part])
    return above - as_good + 1
