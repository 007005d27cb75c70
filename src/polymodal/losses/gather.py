"""Rows of all processes, with a gradient that finds its way back."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together; 1 outside of distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean_count(rows: Tensor) -> Tensor:
    """Mean number of rows of a process: a sum divided by it, then averaged over processes, is a global mean."""
    count = torch.tensor(len(rows), dtype=torch.float32, device=rows.device)
    if world_size() > 1:
        dist.all_reduce(count)
    return count / world_size()


def gather_rows(rows: Tensor) -> Tensor:
    """(B_r, ...) on each process -> (sum of all B_r, ...), the same on all, in the order of the ranks.

    The numbers of rows may differ. The gradient of a process' rows is the sum over what all processes did
    with them.
    """
    return rows if world_size() == 1 else _GatherRows.apply(rows)


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        sizes = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(dist.get_world_size())]
        dist.all_gather(sizes, torch.tensor([len(rows)], device=rows.device))
        lengths = [int(size) for size in sizes]
        padded = rows.new_zeros(max(lengths), *rows.shape[1:])  # collectives want equal shapes
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        rank = dist.get_rank()
        ctx.own = slice(sum(lengths[:rank]), sum(lengths[: rank + 1]))
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        total = grad.clone(memory_format=torch.contiguous_format)  # autograd may use the original elsewhere
        dist.all_reduce(total)
        return total[ctx.own]
