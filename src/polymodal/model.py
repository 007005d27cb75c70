"""MultimodalModel: an encoder a modality -> X -> fusion -> head -> Y."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from polymodal.batch import PairedBatch
from polymodal.encoders.frozen_cache import FrozenCache
from polymodal.outputs import Encoded, ModelOutput, Tokens, masked_mean


class MultimodalModel(nn.Module):
    """Encoders by modality and, for objectives that read Y, a fusion and a head.

    The order of `encoders` is the order of the rows of X. The names mean nothing here: two, three
    or seven modalities are configuration.

    Args:
        encoders: modality -> module, (B, ...) -> (B, d). One with a method `tokens`, (B, ...) ->
            `Tokens`, serves fusions that read sequences; of the others such a fusion gets one
            token.
        fusion: (B, m, d), (B, m) -> FusionOutput, or None. With `reads_tokens = True` it is given
            the m `Tokens` too.
        head: (B, d) -> (B, p), or None: then Y is the fused vector.
        missing: (B, m, d), (B, m) -> the same with absent rows filled, before the fusion; or None:
            the fusion sees the mask and leaves them out.

    `caches` may hold, for an encoder that is frozen, what it gave before. `sharded`: its parameters
    are shared out among processes, all of which then run every encoder in every step.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module | None = None,
        head: nn.Module | None = None,
        missing: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.head = head
        self.missing = missing
        self.caches: dict[str, FrozenCache] = {}
        self.sharded = False

    @property
    def reads_tokens(self) -> bool:
        """Whether the fusion is given the encoders' sequences."""
        return getattr(self.fusion, "reads_tokens", False)

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the order of X's rows."""
        return list(self.encoders)

    def encode(self, batch: PairedBatch, known: bool = True) -> Encoded:
        """A batch of B -> X (B, m, d) and its mask (B, m). An encoder sees only the samples that
        have its modality.

        Args:
            batch: the samples.
            known: whether its inputs are those of the data, for which a frozen encoder's vectors
                may be known already.
        """
        mask, complete = (
            batch.mask(self.modalities),
            not batch.present.keys() & set(self.modalities),
        )
        # all before the first encoder: to learn how many there are, the host waits for what the
        # device has to do
        rows = {
            name: batch.present[name].nonzero().squeeze(1)
            for name in self.modalities
            if name in batch.present
        }
        parts = [self._encode_one(name, batch, rows.get(name), known) for name in self.modalities]
        like = next(
            (part[0] if isinstance(part, Tokens) else part for part in parts if part is not None),
            None,
        )
        if like is None:
            raise ValueError("A batch in which no sample has any modality cannot be encoded.")
        vectors = [
            _nothing(encoder, like) if part is None else part
            for part, encoder in zip(parts, self.encoders.values(), strict=True)
        ]
        if not self.reads_tokens:
            x = torch.stack([part for part in vectors if isinstance(part, Tensor)], dim=1)
            return Encoded(x, mask, complete=complete)
        tokens = [_as_tokens(part, mask[:, index]) for index, part in enumerate(vectors)]
        return Encoded(
            torch.stack([masked_mean(*part) for part in tokens], dim=1), mask, tokens, complete
        )

    def _encode_one(
        self, name: str, batch: PairedBatch, rows: Tensor | None, known: bool
    ) -> Tensor | Tokens | None:
        """Vectors (B, d) or tokens of one modality, zeros and padding where it is absent; None if
        it is so in all.

        It is there in these rows, or in all where there are none given.
        """
        encoder = self.encoders[name]
        inputs, items = as_weights(batch.inputs[name], encoder), batch.items[name]
        if rows is not None:
            if len(rows) == 0 and not any(map(_is_over_all, encoder.modules())):
                return self._in_vain(encoder, inputs, len(batch)) if self.sharded else None
            inputs, items = inputs[rows], items[rows]
        with _norms_of_one(encoder, len(inputs)):
            if self.reads_tokens and hasattr(encoder, "tokens"):
                tokens: Tokens = encoder.tokens(inputs)  # type: ignore[operator]
                return (
                    tokens
                    if rows is None
                    else Tokens(*(_scattered(field, rows, len(batch)) for field in tokens))
                )
            cache = self.caches.get(name) if known else None
            vectors = encoder(inputs) if cache is None else cache(encoder, inputs, items)
        return vectors if rows is None else _scattered(vectors, rows, len(batch))

    def _in_vain(self, encoder: nn.Module, inputs: Tensor, count: int) -> Tensor | Tokens:
        """What `_encode_one` gives where a modality is absent in all samples, and the other
        processes need its run.
        """
        first = torch.zeros(1, dtype=torch.long, device=inputs.device)
        with _norms_of_one(encoder, 1):
            if self.reads_tokens and hasattr(encoder, "tokens"):
                values, mask = encoder.tokens(torch.ones_like(inputs[:1]))  # type: ignore[operator]
                return Tokens(
                    _scattered(0 * values, first, count), _scattered(mask & False, first, count)
                )
            return _scattered(0 * encoder(torch.ones_like(inputs[:1])), first, count)

    def fuse(self, encoded: Encoded) -> ModelOutput:
        """X, its mask and, with a fusion, Y (B, p)."""
        x, mask, tokens, complete = encoded
        if self.fusion is None:
            return ModelOutput(x, mask, encoded=encoded, complete=complete)
        filled, there = (x, mask) if self.missing is None else self.missing(x, mask)
        if tokens is not None:
            output = self.fusion(filled, there, _filled_tokens(tokens, filled, there & ~mask))
        else:
            output = self.fusion(filled, there)
        y = output.y if self.head is None else self.head(output.y)
        return ModelOutput(x, mask, y, output.y, output.weights, output.aux_loss, encoded, complete)

    def forward(self, batch: PairedBatch) -> ModelOutput:
        """A batch of B samples -> X, its mask and, with a fusion, Y (B, p)."""
        return self.fuse(self.encode(batch))


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


def _nothing(encoder: nn.Module, known: Tensor) -> Tensor:
    """(B, d) zeros for an encoder without any sample, like those of another modality, (B, ..., d).

    They hang on the encoder's parameters: on a process that happens to have no sample of a modality
    these get a gradient, of zero, which the averaging over processes waits for.
    """
    zeros = known.new_zeros(len(known), known.shape[-1])
    link = [parameter.sum() for parameter in encoder.parameters() if parameter.requires_grad]
    return zeros + 0 * torch.stack(link).sum() if link else zeros


def _scattered(part: Tensor, rows: Tensor, count: int) -> Tensor:
    return part.new_zeros(count, *part.shape[1:]).index_copy(0, rows, part)


def _as_tokens(part: Tensor | Tokens, present: Tensor) -> Tokens:
    return part if isinstance(part, Tokens) else Tokens(part[:, None], present[:, None])


def _filled_tokens(tokens: Sequence[Tokens], x: Tensor, filled: Tensor) -> list[Tokens]:
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
