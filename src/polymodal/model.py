"""MultimodalModel: an encoder a modality -> X -> fusion -> head -> Y."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from polymodal.batch import PairedBatch


class ModelOutput(NamedTuple):
    """What the model says of B samples.

    Attributes:
        x: (B, m, d), one vector a modality; zeros where it is absent.
        mask: (B, m) bool, which are present.
        y: (B, p), or None for a model without fusion and head.
        weights: (B, m) from the fusion, or None.
        aux_loss: a scalar from the fusion, or None.
    """

    x: Tensor
    mask: Tensor
    y: Tensor | None = None
    weights: Tensor | None = None
    aux_loss: Tensor | None = None


class MultimodalModel(nn.Module):
    """Encoders by modality and, for supervised objectives, a fusion and a head.

    The order of `encoders` is the order of the rows of X. The names mean nothing here: two, three or
    seven modalities are configuration.

    Args:
        encoders: modality -> module, (B, ...) -> (B, d).
        fusion: (B, m, d), (B, m) -> FusionOutput, or None.
        head: (B, d) -> (B, p), or None: then Y is the fused vector.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        fusion: nn.Module | None = None,
        head: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion
        self.head = head

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the order of X's rows."""
        return list(self.encoders)

    def encode(self, batch: PairedBatch) -> tuple[Tensor, Tensor]:
        """A batch of B -> X (B, m, d) and its mask (B, m). An encoder sees only the samples that have its modality."""
        mask = batch.mask(self.modalities)
        rows = []
        for index, (name, encoder) in enumerate(self.encoders.items()):
            inputs = _as_weights(batch.inputs[name], encoder)
            if name not in batch.present:  # there in every sample
                rows.append(encoder(inputs))
            else:
                rows.append(_scatter(encoder, inputs, mask[:, index]))
        width = next((row for row in rows if row.ndim == 2), None)
        if width is None:
            raise ValueError("A batch in which no sample has any modality cannot be encoded.")
        return torch.stack([row if row.ndim == 2 else torch.zeros_like(width) for row in rows], dim=1), mask

    def forward(self, batch: PairedBatch) -> ModelOutput:
        """A batch of B samples -> X, its mask and, with a fusion, Y (B, p)."""
        x, mask = self.encode(batch)
        if self.fusion is None:
            return ModelOutput(x, mask)
        fused = self.fusion(x, mask)
        y = fused.y if self.head is None else self.head(fused.y)
        return ModelOutput(x, mask, y, fused.weights, fused.aux_loss)


def _scatter(encoder: nn.Module, inputs: Tensor, present: Tensor) -> Tensor:
    """(B, d): the encoder's vectors where `present`, zeros elsewhere; (0,) where nothing is present at all."""
    if not present.any():
        return inputs.new_zeros(0)
    encoded = encoder(inputs[present])
    return encoded.new_zeros(len(inputs), encoded.shape[1]).index_copy(0, present.nonzero().squeeze(1), encoded)


def _as_weights(inputs: Tensor, encoder: nn.Module) -> Tensor:
    """Floating-point inputs in the dtype of the weights (fp64 and bf16_true); token ids stay integers."""
    weight = next(encoder.parameters(), inputs)
    return inputs.to(weight.dtype) if inputs.is_floating_point() and weight.is_floating_point() else inputs
