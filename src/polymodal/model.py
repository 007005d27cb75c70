"""MultimodalModel: an encoder a modality -> X -> fusion -> head -> Y."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from polymodal.batch import PairedBatch
from polymodal.encoders.frozen_cache import FrozenCache
from polymodal.encoders.present import (
    Encode,
    Samples,
    as_tokens,
    encode_present,
    filled_tokens,
    linked_zeros,
    values_of,
)
from polymodal.outputs import Encoded, ModelOutput, masked_mean


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
    are sharded among processes, all of which then run every encoder in every step.
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
        mask = batch.mask(self.modalities)
        complete = not batch.present.keys() & set(self.modalities)

        # all rows before the first encoder: to learn how many there are, the host waits for what
        # the device has to do
        present = {name: batch.present[name] for name in self.modalities if name in batch.present}
        rows = {name: there.nonzero().squeeze(1) for name, there in present.items()}
        parts = {}
        for name, encoder in self.encoders.items():
            encode = self._encode_with(name, encoder, known)
            samples = Samples(batch.inputs[name], batch.items[name], rows.get(name))
            parts[name] = encode_present(encoder, encode, samples, len(batch), self.sharded)

        # an encoder that no sample needs gives zeros, like the vectors of another one
        like = next((values_of(part) for part in parts.values() if part is not None), None)
        if like is None:
            raise ValueError("A batch in which no sample has any modality cannot be encoded.")
        filled = [
            linked_zeros(self.encoders[name], like) if part is None else part
            for name, part in parts.items()
        ]
        if not self.reads_tokens:
            x = torch.stack([values_of(part) for part in filled], dim=1)
            return Encoded(x, mask, complete=complete)
        tokens = [as_tokens(part, mask[:, index]) for index, part in enumerate(filled)]
        x = torch.stack([masked_mean(*part) for part in tokens], dim=1)
        return Encoded(x, mask, tokens, complete)

    def _encode_with(self, name: str, encoder: nn.Module, known: bool) -> Encode:
        """How an encoder makes vectors, or tokens where they are read, of inputs and items."""
        cache = self.caches.get(name) if known else None
        if self.reads_tokens and hasattr(encoder, "tokens"):
            return lambda inputs, _: encoder.tokens(inputs)  # type: ignore[operator]
        if cache is not None:
            return lambda inputs, items: cache(encoder, inputs, items)
        return lambda inputs, _: encoder(inputs)

    def fuse(self, encoded: Encoded) -> ModelOutput:
        """X, its mask and, with a fusion, Y (B, p)."""
        x, mask, tokens, complete = encoded
        if self.fusion is None:
            return ModelOutput(x, mask, encoded=encoded, complete=complete)
        filled, there = (x, mask) if self.missing is None else self.missing(x, mask)
        if tokens is not None:
            output = self.fusion(filled, there, filled_tokens(tokens, filled, there & ~mask))
        else:
            output = self.fusion(filled, there)
        y = output.y if self.head is None else self.head(output.y)
        return ModelOutput(x, mask, y, output.y, output.weights, output.aux_loss, encoded, complete)

    def forward(self, batch: PairedBatch) -> ModelOutput:
        """A batch of B samples -> X, its mask and, with a fusion, Y (B, p)."""
        return self.fuse(self.encode(batch))
