"""PairedBatch: what a data module hands to a model. Nothing here knows which modalities exist."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

PAD = 0
"""Token id of "nothing here": text tensors are padded with it, and encoders mask it out."""


def closed_up(ids: Tensor) -> Tensor:
    """(B, T) token ids with gaps of `PAD` -> the same with all padding at the end; the others keep
    their order.
    """
    return ids.gather(1, (ids == PAD).long().argsort(dim=1, stable=True))


def padded_with(pad_id: int, ids: Tensor) -> Tensor:
    """(B, T) token ids padded with `PAD` -> those of a tokenizer that pads with `pad_id`: both
    change places.
    """
    if pad_id == PAD:
        return ids
    return torch.where(ids == PAD, pad_id, torch.where(ids == pad_id, PAD, ids))


@dataclass
class PairedBatch:
    """B samples, each a tuple of modalities.

    Attributes:
        inputs: modality -> (B, ...) tensor; text is (B, T) token ids padded with `PAD`.
        items: modality -> (B,) int64, which item of that modality this is. Equal number = the very
            same image or sentence, which a retrieval gallery then holds once.
        group: (B,) int64. Equal group = a positive pair, in the loss and in retrieval.
        id: (B,) int64, the number of the sample in its data set.
        present: modality -> (B,) bool. A modality that is not a key is there in every sample.
        labels: name -> what is to be predicted. (B,) int64 class indices, -1 without a
            class; (B, C) int64 of 0 and 1 for several classes at once, -1 where that is not known;
            (B,) or (B, p) float values, NaN where they are not known.
        left_out: id -> why a sample is not in the batch that was asked for, where the data are
            asked to say so.
        read: what a stream has read for the batch, which the data count when it is used; None of
            other data.
    """

    inputs: dict[str, Tensor]
    items: dict[str, Tensor]
    group: Tensor
    id: Tensor
    present: dict[str, Tensor] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)
    read: Any = None

    def __len__(self) -> int:
        return len(self.id)

    def mask(self, modalities: list[str]) -> Tensor:
        """(B, m) bool: which of the named modalities each sample has."""
        everywhere = torch.ones(len(self), dtype=torch.bool, device=self.id.device)
        return torch.stack([self.present.get(name, everywhere) for name in modalities], dim=1)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> PairedBatch:
        """The same batch on another device; dtypes stay (uint8 images travel as uint8).

        Pinned memory is copied with non_blocking, which Lightning asks for with plain tensors only.
        """
        return self._map(
            lambda tensor: tensor.to(device, non_blocking=non_blocking or tensor.is_pinned())
        )

    def pin_memory(self) -> PairedBatch:
        """The same batch in page-locked memory, for a copy to the device that does not block."""
        return self._map(lambda tensor: tensor.pin_memory())

    def rows(self, rows: slice) -> PairedBatch:
        """Some of the samples."""
        return self._map(lambda tensor: tensor[rows])

    def _map(self, function: Any) -> PairedBatch:
        def apply(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: apply(inner) for key, inner in value.items()}
            return function(value) if isinstance(value, Tensor) else value

        return PairedBatch(**{f.name: apply(getattr(self, f.name)) for f in fields(self)})
