"""Ranks of the right answers, computed block by block."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 2**24
"""Scores held at a time (64 MiB in fp32), whatever the number of queries and of gallery items."""

COUNTED = 2**20
"""Scores counted at a time: torch sums bools in a copy of eight times their size, which should stay
in the cache."""


@torch.no_grad()
def positive_ranks(
    queries: Tensor,
    gallery: Tensor,
    query_group: Tensor,
    gallery_group: Tensor,
    query_of: Tensor | None = None,
    gallery_of: Tensor | None = None,
) -> Tensor:
    """Rank, from 1, of the best-scored gallery item of the query's group; queries without one are
    left out.

    Ties go to the wrong answer: a model that gives every item the same score gets the last rank,
    not the first. The other positives of a query do not count as wrong. One that is in several
    groups, such as a sentence that several images have, has the items of all of them for right
    answers.

    Args:
        queries: (Q, d), scored by dot product.
        gallery: (G, d).
        query_group: (Q,) int64; or (P,), several of one query.
        gallery_group: (G,) int64; or (R,), several of one item.
        query_of: (P,) int64, ascending, the query that each group is of; None: each query has one.
        gallery_of: (R,) int64, the item that each group is of; None: each item has one.

    Returns:
        (Q',) int64, Q' <= Q.
    """
    order = gallery_group.argsort(stable=True)
    sorted_group = gallery_group[order].contiguous()
    item = order if gallery_of is None else gallery_of[order]
    first = torch.searchsorted(sorted_group, query_group.contiguous())
    counts = torch.searchsorted(sorted_group, query_group.contiguous(), right=True) - first
    query = torch.arange(len(queries), device=queries.device) if query_of is None else query_of
    answerable = torch.zeros(len(queries), dtype=torch.bool, device=queries.device)
    answerable[query[counts > 0]] = True
    kept = answerable[query]
    first, counts, query = first[kept], counts[kept], (answerable.cumsum(0) - 1)[query[kept]]
    queries = queries[answerable]
    once = query_of is None and gallery_of is None
    rows = max(1, BLOCK // max(1, len(gallery)))
    # one for all blocks: new memory costs time
    scores = queries.new_empty(min(rows, len(queries)), len(gallery))
    # not a list of parts, which would lie scattered over memory that is used again
    ranks = query.new_empty(len(queries))
    for start in range(0, len(queries), rows):
        end = min(start + rows, len(queries))
        part = slice(start, end)
        if query_of is not None:
            part = slice(*torch.searchsorted(query, query.new_tensor([start, end])).tolist())
        block = torch.mm(queries[start:end], gallery.T, out=scores[: end - start])
        row, found = _right_answers(query[part] - start, item, first[part], counts[part])
        if not once:  # two groups may lead to the same item
            row, found = torch.stack([row, found]).unique(dim=1)
        ranks[start:end] = _block_ranks(block, row, found)
    return ranks


def _right_answers(
    query: Tensor, item: Tensor, first: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Pairs of a query and an item that is right, (K,) each: item[first[i] : first[i] + counts[i]]
    for query[i].
    """
    entry = torch.arange(len(query), device=query.device).repeat_interleave(counts)
    offset = torch.arange(len(entry), device=query.device) - (
        counts.cumsum(0) - counts
    ).repeat_interleave(counts)
    return query[entry], item[first[entry] + offset]


def _block_ranks(scores: Tensor, row: Tensor, found: Tensor) -> Tensor:
    """(R, G) scores -> (R,) ranks; the item found[i] is right for row[i], each pair once."""
    positive = scores[row, found]
    best = scores.new_full((len(scores),), -torch.inf).scatter_reduce(0, row, positive, "amax")
    as_good = row.new_zeros(len(scores)).index_add(0, row, (positive >= best[row]).long())
    above, rows = torch.empty_like(as_good), max(1, COUNTED // scores.shape[1])
    for start in range(0, len(scores), rows):
        part = slice(start, start + rows)
        torch.sum(scores[part] >= best[part, None], 1, out=above[part])
    return above - as_good + 1
