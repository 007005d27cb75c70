"""Rows of all processes, with a gradient that finds its way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes that train together; 1 outside of distributed training."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def exchanged(*numbers: int, device: torch.device) -> list[list[int]]:
    """A few numbers of each process -> those of all, rank after rank. The host waits for the
    device, once.
    """
    if world_size() == 1:
        return [list(numbers)]
    table = torch.zeros(world_size(), len(numbers), dtype=torch.long, device=device)
    # filled in, not copied from the host: that would wait too
    for column, number in enumerate(numbers):
        table[dist.get_rank(), column] = number
    dist.all_reduce(table)
    return table.tolist()  # type: ignore[no-any-return]


def gather_rows(*rows: Tensor, counts: Sequence[int] | None = None) -> tuple[Tensor, ...]:
    """Each (B_r, ...) on each process -> (sum of all B_r, ...), the same on all, in the order of
    the ranks.

    All tensors travel as bytes of one message. The numbers of rows may differ among processes, but
    not among the tensors of one. The gradient of a process' rows is the sum over what all processes
    did with them.

    Args:
        rows: of this process.
        counts: B_r of each process, where that is known.
    """
    if world_size() == 1:
        return rows
    if counts is None:
        counts = [count for (count,) in exchanged(len(rows[0]), device=rows[0].device)]
    return _GatherRows.apply(counts, *rows)


def mean_over_all(rows: Tensor) -> Tensor:
    """(B_r, ...) on each process -> the mean of all rows, the same on all, in fp32 at least.

    Each process has the gradient of its own rows, times the number of processes: averaged as DDP
    does, they are that of one process with all rows.
    """
    rows = rows if rows.dtype == torch.float64 else rows.float()
    if world_size() == 1:
        return rows.mean(0)
    own = rows.sum(0)
    total, count = own.detach().clone(), torch.full((), len(rows), device=rows.device)
    for number in (total, count):
        dist.all_reduce(number)
    return (total + world_size() * (own - own.detach())) / count


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lengths: Sequence[int], *rows: Tensor) -> tuple[Tensor, ...]:
        columns = [_as_bytes(tensor) for tensor in rows]
        message = torch.cat(columns, dim=1)
        padded = message.new_zeros(max(lengths), message.shape[1])  # collectives want equal shapes
        padded[: len(message)] = message
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        together = torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])
        rank = dist.get_rank()
        ctx.own = slice(sum(lengths[:rank]), sum(lengths[: rank + 1]))
        widths = [column.shape[1] for column in columns]
        gathered = [
            _from_bytes(part, like)
            for part, like in zip(together.split(widths, 1), rows, strict=True)
        ]
        ctx.mark_non_differentiable(
            *(tensor for tensor in gathered if not tensor.is_floating_point())
        )
        return tuple(gathered)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        return None, *(
            _own_sum(grad, ctx.own) if want else None
            for grad, want in zip(grads, wanted, strict=True)
        )


def _as_bytes(rows: Tensor) -> Tensor:
    """(B, ...) of any type -> (B, bytes of a row) uint8."""
    return (
        rows.detach().reshape(len(rows), math.prod(rows.shape[1:])).contiguous().view(torch.uint8)
    )


def _from_bytes(rows: Tensor, like: Tensor) -> Tensor:
    """(N, bytes of a row) uint8 -> (N, ...) with the type and the shape of the rows of `like`."""
    # wider types want their bytes aligned
    aligned = rows.clone(memory_format=torch.contiguous_format)
    return aligned.view(like.dtype).view(len(rows), *like.shape[1:])


def _own_sum(grad: Tensor, own: slice) -> Tensor:
    # autograd may use the original elsewhere
    total = grad.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total[own]
