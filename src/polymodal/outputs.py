"""Tokens: what an encoder knows before it is pooled to one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Tokens(NamedTuple):
    """The sequence of one modality of B samples: patches, words, frames, columns.

    Attributes:
        values: (B, n, d), already as wide as X.
        mask: (B, n) bool, which are real: no padding, and of a sample that has the modality.
    """

    values: Tensor
    mask: Tensor


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """(B, n, d), (B, n) bool -> (B, d): the mean over the real ones, zeros where none is."""
    total = values.masked_fill(~mask[:, :, None], 0).sum(1)
    return total / mask.sum(1, keepdim=True).clamp(min=1).to(values.dtype)


class AuxLoss(NamedTuple):
    """A loss of what the global batch is like as a whole, however it is cut among processes and
    micro-batches.

    Attributes:
        rows: (B, k), what is to be known of each sample.
        of_mean: the mean of the rows of the global batch, (k,) -> the loss, a scalar.
    """

    rows: Tensor
    of_mean: Callable[[Tensor], Tensor]


class FusionOutput(NamedTuple):
    """The fused vector and what a fusion may report.

    Attributes:
        y: (B, d) fused vectors.
        weights: (B, m), how much each modality counted, or None where a fusion has no such notion.
        aux_loss: what the fusion wants added to the loss, or None.
    """

    y: Tensor
    weights: Tensor | None = None
    aux_loss: AuxLoss | None = None


class Encoded(NamedTuple):
    """What the encoders say of B samples.

    Attributes:
        x: (B, m, d), one vector a modality; zeros where it is absent.
        mask: (B, m) bool, which are present.
        tokens: the m sequences that the vectors are means of, for a fusion that reads them; else
            None.
        complete: nothing is missing, and the host knows it without a look at the mask, which would
            wait for the device.
    """

    x: Tensor
    mask: Tensor
    tokens: list[Tokens] | None = None
    complete: bool = False

    def without(self, absent: Tensor) -> Encoded:
        """The same samples without the modalities of `absent`, (B, m) or (m,) bool."""
        mask = self.mask & ~absent
        tokens = self.tokens
        if tokens is not None:
            tokens = [Tokens(t.values, t.mask & mask[:, i, None]) for i, t in enumerate(tokens)]
        return Encoded(self.x.masked_fill(~mask[:, :, None], 0), mask, tokens)


class ModelOutput(NamedTuple):
    """What the model says of B samples.

    Attributes:
        x: (B, m, d), one vector a modality; zeros where it is absent.
        mask: (B, m) bool, which are present.
        y: (B, p), or None for a model without fusion.
        fused: the fused vectors that the head reads, or None for a model without fusion.
        weights: (B, m) from the fusion, or None.
        aux_loss: of the fusion, or None.
        encoded: all that the encoders gave.
        complete: as in `Encoded`.
    """

    x: Tensor
    mask: Tensor
    y: Tensor | None = None
    fused: Tensor | None = None
    weights: Tensor | None = None
    aux_loss: AuxLoss | None = None
    encoded: Encoded | None = None
    complete: bool = False
