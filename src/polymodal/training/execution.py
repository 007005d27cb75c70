"""How encoders and fusion are run: recomputed in backward, compiled. Neither changes what they
give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from polymodal.model import MultimodalModel
from polymodal.training.grad_cache import kept_statistics
from polymodal.training.tuning import blocks_of


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


def compile_parts(model: MultimodalModel, dynamic: bool | None) -> None:
    """torch.compile of each encoder and of the fusion, in place: names of parameters stay.

    Args:
        model: not yet run.
        dynamic: whether one graph serves all lengths from the start; None: from the second length
            on.
    """
    for encoder in model.encoders.values():
        if model.reads_tokens and hasattr(encoder, "tokens"):
            encoder.tokens = torch.compile(encoder.tokens, dynamic=dynamic)  # type: ignore[assignment, arg-type]
        else:
            encoder.compile(dynamic=dynamic)
    if model.fusion is not None:
        model.fusion.compile(dynamic=dynamic)


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
