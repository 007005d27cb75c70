"""InfoNCE of both directions without the matrix of logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from polymodal.losses.groups import numbered
from polymodal.losses.tiles import gradients, tiles


def tiled_info_nce(
    a: Tensor, b: Tensor, group: Tensor, own: Tensor, scale: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """The mean of a -> b and b -> a, each `info_nce` of scale times cosine; what backward needs
    grows with N and d.

    Logits are computed in blocks, and again in backward. Where all samples are own, both directions
    share them.

    Args:
        a: (N, d), normalised.
        b: (N, d), normalised; row i belongs to row i of a.
        group: (N,) int64. Equal group = positive.
        own: (B,) int64, which samples are queries, in both directions, each once; all N are keys.
        scale: scalar, the inverse temperature.
        label_smoothing: share of the target that is spread over all keys.

    Returns:
        (B,) losses, not averaged.
    """
    if len(own) == len(group):
        queries_a, queries_b = a, b
        there, back = _LogSumExp.apply(a, b, scale, True)
    else:
        queries_a, queries_b = a[own], b[own]
        there, _ = _LogSumExp.apply(queries_a, b, scale, False)
        back, _ = _LogSumExp.apply(queries_b, a, scale, False)
    number, counts = numbered(group)
    asked = number if len(own) == len(group) else number[own]
    expected = [
        # the means of the positives are as large as the features: they, too, are computed again in
        # backward
        checkpoint(
            _expected,
            queries,
            keys,
            asked,
            number,
            counts,
            label_smoothing,
            use_reentrant=False,
            preserve_rng_state=False,
        )
        for queries, keys in ((queries_a, b), (queries_b, a))
    ]
    return (there + back - scale * (expected[0] + expected[1])) / 2


def _expected(
    queries: Tensor,
    keys: Tensor,
    asked: Tensor,
    number: Tensor,
    counts: Tensor,
    label_smoothing: float,
) -> Tensor:
    """(B,): the product of each query with the mean of its positives, by sums over groups: no (B,
    N) mask.
    """
    sums = torch.zeros_like(keys).index_add(0, number, keys / counts[:, None])
    target = sums[asked]
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing * keys.mean(0)
    return (queries * target).sum(1)


class _LogSumExp(torch.autograd.Function):
    """Of scale * queries @ keys.T over the keys, (B,), and where `both` over the queries, (N,), in
    one sweep.
    """

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, scale: Tensor, both: bool
    ) -> tuple[Tensor, Tensor | None]:
        over_keys = queries.new_empty(len(queries))
        over_queries = keys.new_full((len(keys),), -torch.inf) if both else None
        for rows, logits in tiles(queries, keys, scale):
            over_keys[rows] = logits.logsumexp(1)
            if over_queries is not None:
                over_queries = torch.logaddexp(over_queries, logits.logsumexp(0))
        ctx.save_for_backward(queries, keys, scale, over_keys, over_queries)
        return over_keys, over_queries

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_row: Tensor, by_column: Tensor | None) -> tuple[Tensor | None, ...]:
        queries, keys, scale, over_keys, over_queries = ctx.saved_tensors

        def slopes(rows: slice, logits: Tensor) -> Tensor:
            slope = (logits - over_keys[rows, None]).exp_().mul_(by_row[rows, None])
            return (
                slope
                if over_queries is None
                else slope.addcmul_(logits.sub_(over_queries).exp_(), by_column)
            )

        return *gradients(queries, keys, scale, slopes), None
