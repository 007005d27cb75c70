"""What there is to see or to hear of an item: a sentence, an image, a sound, a row of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from polymodal.batch import PAD, PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.synthetic import Synthetic
from polymodal.data.table.module import TableData
from polymodal.demo.fields import fields_of, values_of
from polymodal.report.media import Sound


def content_of(data: PairedDataModule, modality: str, item: int) -> Any:
    """A sentence, a uint8 image, a sound, values by the names of their columns, or None.

    Args:
        data: set up.
        modality: its name.
        item: number of the item.
    """
    fields = fields_of(data, modality)
    is_sound = data.kinds.get(modality, modality) == "audio"
    stored = _stored(data, modality, item) if fields or is_sound else None
    if stored is None:
        return None if is_sound else data.describe(modality, item)
    return Sound(stored, _rate(data, modality)) if is_sound else values_of(fields, stored.tolist())


def content_of_example(data: PairedDataModule, batch: PairedBatch, modality: str) -> Any:
    """The same of a batch of one sample; a sentence is shown without words that are left out.

    Args:
        data: set up.
        batch: one sample, which has the modality.
        modality: its name.
    """
    inputs, kind = batch.inputs[modality][0], data.kinds.get(modality, modality)
    if kind == "audio":
        return Sound(np.trim_zeros(inputs.numpy(), "b"), _rate(data, modality))
    content = content_of(data, modality, int(batch.items[modality][0]))
    if kind == "text" and isinstance(content, str) and data.tokenizer is not None:
        ids = inputs[inputs != PAD].tolist()
        is_whole = ids == data.read(modality, content).tolist()
        return content if is_whole else data.tokenizer.decode(ids)
    return content


def _rate(data: PairedDataModule, modality: str) -> int:
    return int(data.formats()[modality]["sample_rate"])


def _stored(data: PairedDataModule, modality: str, item: int) -> np.ndarray | None:
    """An item as it stands in a batch; None where the data do not keep it."""
    if isinstance(data, TableData):
        return data.samples.contents[modality].read(item)
    return data.contents[modality][item] if isinstance(data, Synthetic) else None
