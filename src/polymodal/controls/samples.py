"""Samples of a split as simple features, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.controls.features import (
    Captions,
    Numbers,
    audio_features,
    image_features,
    video_features,
)
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.dataset import BatchDataset

CHUNK = 64
"""Samples that are read at a time."""

Row = np.ndarray | None
"""Of one sample what a modality holds, in a simple form; None where it is absent."""


@dataclass
class Collected:
    """N samples.

    Attributes:
        rows: modality -> N rows.
        batches: what the samples are besides: groups, items, labels; without inputs.
    """

    rows: dict[str, list[Row]]
    batches: list[PairedBatch] = field(default_factory=list)

    def labels(self, name: str) -> Tensor:
        """(N, ...) values of a label."""
        return torch.cat([batch.labels[name] for batch in self.batches])

    def mask(self, modalities: Sequence[str]) -> np.ndarray:
        """(N, m) bool: which modalities each sample has."""
        return np.array([[row is not None for row in self.rows[name]] for name in modalities]).T


def collect(
    data: PairedDataModule, split: BatchDataset, modalities: Sequence[str], most: int
) -> Collected:
    """At most so many samples of a split, spread evenly over it."""
    result = Collected({name: [] for name in modalities})
    indices = np.linspace(0, len(split) - 1, min(most, len(split))).astype(int).tolist()
    for start in range(0, len(indices), CHUNK):
        batch = split[indices[start : start + CHUNK]]
        mask = batch.mask(list(modalities)).numpy()
        for column, name in enumerate(modalities):
            present = mask[:, column]
            values = iter(_simple(data, name, batch.inputs[name][torch.from_numpy(present)]))
            result.rows[name] += [next(values) if one else None for one in present.tolist()]
        batch.inputs = {}
        result.batches.append(batch)
    return result


def _simple(data: PairedDataModule, name: str, inputs: Tensor) -> Sequence[np.ndarray]:
    """B inputs of a modality -> a row each: features of a file, or what a caption or a table holds
    itself.
    """
    kind = data.kinds.get(name, name)
    if len(inputs) == 0:
        return []
    if kind == "audio":
        rate = data.media.sample_rate if data.media else 16_000
        return list(audio_features(inputs.float(), rate).numpy())
    extract = {"image": image_features, "video": video_features}.get(kind)
    return list((extract(inputs) if extract else inputs).numpy())


def encoded(
    data: PairedDataModule, train: Collected, test: Collected
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """Modality -> (N, width), zeros where it is absent: of the training samples, and of the test
    samples alike.
    """
    x: dict[str, np.ndarray] = {}
    z: dict[str, np.ndarray] = {}
    for name, rows in train.rows.items():
        present = [row for row in rows if row is not None]
        if not present:
            continue
        is_text = data.kinds.get(name, name) == "text"
        encoder: Captions | Numbers = Captions() if is_text else Numbers(data.codes.get(name, 0))
        encoder.fit(present)
        x[name], z[name] = _filled(encoder, rows), _filled(encoder, test.rows[name])
    return x, z


def _filled(encoder: Captions | Numbers, rows: Sequence[Row]) -> np.ndarray:
    is_present = np.array([row is not None for row in rows], dtype=bool)
    result = np.zeros((len(rows), encoder.width))
    if is_present.any():
        result[is_present] = encoder([row for row in rows if row is not None])
    return result
