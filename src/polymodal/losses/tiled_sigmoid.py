"""The pairwise sigmoid loss without the matrix of logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from polymodal.losses.sigmoid import sigmoid_loss
from polymodal.losses.tiles import gradients, tiles


def tiled_sigmoid_loss(
    queries: Tensor,
    keys: Tensor,
    query_group: Tensor,
    key_group: Tensor,
    scale: Tensor,
    bias: Tensor,
) -> Tensor:
    """`sigmoid_loss` of scale * queries @ keys.T + bias; what backward needs grows with B + N and
    d.

    Logits and positives are computed in blocks, and again in backward.

    Args:
        queries: (B, d), normalised.
        keys: (N, d), normalised.
        query_group: (B,) int64.
        key_group: (N,) int64. Equal group = positive.
        scale: scalar, the inverse temperature.
        bias: scalar.

    Returns:
        (B,) losses, summed over the keys.
    """
    return _TiledSigmoid.apply(queries, keys, query_group, key_group, scale, bias)


class _TiledSigmoid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        queries, keys, query_group, key_group, scale, bias = inputs
        losses = queries.new_empty(len(queries))
        for rows, logits in tiles(queries, keys, scale):
            losses[rows] = sigmoid_loss(logits.add_(bias), query_group[rows, None] == key_group)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, query_group, key_group, scale, bias = ctx.saved_tensors
        by_bias = torch.zeros_like(bias)

        def slopes(rows: slice, logits: Tensor) -> Tensor:
            logits += bias
            positives = query_group[rows, None] == key_group
            # 1 - sigmoid would round
            slope = torch.where(positives, -(-logits).sigmoid_(), logits.sigmoid())
            slope *= by_loss[rows, None]
            by_bias.add_(slope.sum())
            return slope

        by_queries, by_keys, by_scale = gradients(queries, keys, scale, slopes)
        return by_queries, by_keys, None, None, by_scale, by_bias
