"""An encoder sees the samples that have its modality, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from polymodal.outputs import Tokens

Encode = Callable[[Tensor, Tensor], Tensor | Tokens]
"""(b, ...) inputs and their (b,) items -> (b, d) vectors, or tokens."""


class Samples(NamedTuple):
    """One modality of B samples.

    Attributes:
        inputs: (B, ...).
        items: (B,) int64.
        rows: (b,) int64, the samples that have it; None where all have.
    """

    inputs: Tensor
    items: Tensor
    rows: Tensor | None


def encode_present(
    encoder: nn.Module, encode: Encode, samples: Samples, count: int, sharded: bool
) -> Tensor | Tokens | None:
    """Vectors (B, d) or tokens of one modality, zeros and padding where it is absent.

    Args:
        encoder: of the modality.
        encode: how it is run.
        samples: of this batch.
        count: B.
        sharded: whether the encoder's parameters are sharded, so that all processes run it in every
            step.

    Returns:
        None where the modality is absent in all samples and nobody waits for the encoder.
    """
    inputs, items, rows = samples
    inputs = as_weights(inputs, encoder)
    if rows is None:
        with _norms_of_one(encoder, count):
            return encode(inputs, items)
    if len(rows) == 0 and not any(map(_is_over_all, encoder.modules())):
        return _run_for_others(encoder, encode, inputs, count) if sharded else None
    with _norms_of_one(encoder, len(rows)):
        return _spread(encode(inputs[rows], items[rows]), rows, count)


def _run_for_others(
    encoder: nn.Module, encode: Encode, inputs: Tensor, count: int
) -> Tensor | Tokens:
    """Zeros, after a run on a made-up sample: the other processes wait for its collectives."""
    first = torch.zeros(1, dtype=torch.long, device=inputs.device)
    with _norms_of_one(encoder, 1):
        part = encode(torch.ones_like(inputs[:1]), first)
    nothing = Tokens(0 * part.values, part.mask & False) if isinstance(part, Tokens) else 0 * part
    return _spread(nothing, first, count)


def _spread(part: Tensor | Tokens, rows: Tensor, count: int) -> Tensor | Tokens:
    """What is of these rows in its place among `count` of them."""
    if isinstance(part, Tokens):
        return Tokens(*(_scattered(field, rows, count) for field in part))
    return _scattered(part, rows, count)


def values_of(part: Tensor | Tokens) -> Tensor:
    """(B, d) or (B, n, d)."""
    return part.values if isinstance(part, Tokens) else part


@contextmanager
def _norms_of_one(encoder: nn.Module, count: int) -> Iterator[None]:
    """A single sample has no statistics of its own: batch norms then use their running ones, as in
    evaluation.
    """
    norms = (
        [m for m in encoder.modules() if isinstance(m, _BatchNorm) and m.training]
        if count == 1
        else []
    )
    norms = [norm for norm in norms if not _is_over_all(norm)]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _is_over_all(module: nn.Module) -> bool:
    """Whether it is a batch norm with the statistics of all processes, each of which waits there
    for the others.
    """
    is_shared = isinstance(module, nn.SyncBatchNorm) and module.training
    return is_shared and dist.is_available() and dist.is_initialized()


def linked_zeros(encoder: nn.Module, like: Tensor) -> Tensor:
    """(B, d) zeros for an encoder without any sample, like those of another modality, (B, ..., d).

    They hang on the encoder's parameters: on a process that happens to have no sample of a modality
    these get a gradient, of zero, which the averaging over processes waits for.
    """
    zeros = like.new_zeros(len(like), like.shape[-1])
    link = [parameter.sum() for parameter in encoder.parameters() if parameter.requires_grad]
    return zeros + 0 * torch.stack(link).sum() if link else zeros


def _scattered(part: Tensor, rows: Tensor, count: int) -> Tensor:
    return part.new_zeros(count, *part.shape[1:]).index_copy(0, rows, part)


def as_tokens(part: Tensor | Tokens, present: Tensor) -> Tokens:
    """Tokens as they are; a vector (B, d) is one token."""
    return part if isinstance(part, Tokens) else Tokens(part[:, None], present[:, None])


def filled_tokens(tokens: Sequence[Tokens], x: Tensor, filled: Tensor) -> list[Tokens]:
    """Where a whole modality was filled in, its first token is the vector that it was filled
    with.
    """
    result = []
    for index, (values, mask) in enumerate(tokens):
        first = torch.where(filled[:, index, None], x[:, index], values[:, 0])
        mask = torch.cat([mask[:, :1] | filled[:, index, None], mask[:, 1:]], dim=1)
        result.append(Tokens(torch.cat([first[:, None], values[:, 1:]], dim=1), mask))
    return result


def as_weights(inputs: Tensor, encoder: nn.Module) -> Tensor:
    """Floating-point inputs in the dtype of the weights (fp64 and bf16_true); token ids stay
    integers.

    An encoder with `casts_inputs` does so itself: codes of categories must not be rounded.
    """
    if getattr(encoder, "casts_inputs", False):
        return inputs
    weight = next(encoder.parameters(), inputs)
    return (
        inputs.to(weight.dtype)
        if inputs.is_floating_point() and weight.is_floating_point()
        else inputs
    )
