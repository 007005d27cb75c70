"""A batch in micro-batches, and yet one batch for the loss: gradient caching (Gao et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from polymodal.batch import PairedBatch
from polymodal.model import MultimodalModel
from polymodal.outputs import ModelOutput
from polymodal.training.distributed.collectives import world_size


def in_parts(model: MultimodalModel, batch: PairedBatch, count: int) -> ModelOutput:
    """What the model says of a batch, with the activations of one of `count` micro-batches in
    memory at a time.

    Of all micro-batches but the last only the result is kept. When the loss of the whole batch
    sends its gradient back, one after the other is computed again, with the same random numbers,
    and gets its share. For autograd this is one graph in which each parameter gets its gradient
    once: DDP, a gradient scaler and clipping see nothing of it. It costs (count - 1) / count of a
    forward pass. Batch norms, and the means of `missing`, are those of micro-batches.

    Args:
        model: batch -> X and, with a fusion, Y.
        batch: B samples.
        count: of micro-batches, which differ by one sample at most; there are B where B is smaller,
            and on all processes as many as on that with the smallest B, since they meet in each.

    Returns:
        what losses read: `x`, `mask`, `y`, `aux_loss`, `complete`.
    """
    *first, last = parts_of(batch, min(count, _smallest(batch)) if count > 1 else 1)
    if not first:
        return model(batch)

    def read(_: Tensor, part: PairedBatch) -> ModelOutput:
        output = model(part)
        return output._replace(fused=None, weights=None, encoded=None)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        means = [] if model.missing is None else list(model.missing.buffers())
        return nullcontext(), _second_run(model, means, [values.clone() for values in means])

    # `checkpoint` looks at tensors among the arguments to learn of which device it must keep the
    # random numbers
    outputs = [
        checkpoint(read, part.id, part, use_reentrant=False, context_fn=contexts) for part in first
    ]
    return _joined([*outputs, read(last.id, last)])


def _smallest(batch: PairedBatch) -> int:
    """The samples of the process that has the fewest."""
    if world_size() == 1:
        return len(batch)
    count = torch.tensor(len(batch), device=batch.id.device)
    dist.all_reduce(count, dist.ReduceOp.MIN)
    return int(count)


def parts_of(batch: PairedBatch, count: int) -> list[PairedBatch]:
    """The batch cut into so many, each of them a view."""
    bounds = [len(batch) * index // count for index in range(count + 1)]
    return [batch.rows(slice(*ends)) for ends in zip(bounds, bounds[1:])]  # noqa: B905


def _joined(outputs: list[ModelOutput]) -> ModelOutput:
    y = [output.y for output in outputs if output.y is not None]
    aux = [output.aux_loss for output in outputs if output.aux_loss is not None]
    return ModelOutput(
        torch.cat([output.x for output in outputs]),
        torch.cat([output.mask for output in outputs]),
        torch.cat(y) if y else None,
        aux_loss=aux[0]._replace(rows=torch.cat([part.rows for part in aux])) if aux else None,
        complete=all(output.complete for output in outputs),
    )


@contextmanager
def _second_run(model: nn.Module, means: list[Tensor], first: list[Tensor]) -> Iterator[None]:
    """Nothing counts again: batch norms do not read their running statistics, but what `missing`
    fills in depends on its means, which are therefore as they were before the first run.
    """
    after = [values.clone() for values in means]
    _put(means, first)
    try:
        with kept_statistics([m for m in model.modules() if isinstance(m, _BatchNorm)]):
            yield
    finally:
        _put(means, after)


@torch.no_grad()
def _put(tensors: list[Tensor], values: list[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


@contextmanager
def kept_statistics(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """What batch norms see a second time does not count again in their running statistics."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms if norm.training]
    for norm, *_ in before:
        norm.momentum = 0.0
        norm.num_batches_tracked = (
            None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
        )
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count
