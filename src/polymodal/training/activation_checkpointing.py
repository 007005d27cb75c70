"""`activation_checkpointing=true`: the blocks of encoders are run again in backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from polymodal.encoders.blocks import blocks_of
from polymodal.training.grad_cache import kept_statistics


def recompute_blocks(encoder: nn.Module) -> None:
    """Of each block only the input is kept for backward, which runs the block again (Chen et al.
    2016).

    Dropout is replayed; batch norms take their running statistics from the first run alone. An
    encoder without blocks stays as it is.
    """
    for path in blocks_of(encoder):
        block = encoder.get_submodule(path)
        norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
        options: dict[str, Any] = {"context_fn": partial(_both_runs, norms)} if norms else {}
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, **options)


def _both_runs(
    norms: Sequence[_BatchNorm],
) -> tuple[AbstractContextManager, AbstractContextManager]:
    """What the first and the second run of a block stand in."""
    return nullcontext(), _without_statistics(norms, [norm.training for norm in norms])


@contextmanager
def _without_statistics(norms: Sequence[_BatchNorm], training: Sequence[bool]) -> Iterator[None]:
    """Batch norms in the mode that they were in; their running statistics stay."""
    before = [norm.training for norm in norms]
    for norm, mode in zip(norms, training, strict=True):
        norm.training = mode
    try:
        with kept_statistics(norms):
            yield
    finally:
        for norm, mode in zip(norms, before, strict=True):
            norm.training = mode
