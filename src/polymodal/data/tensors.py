"""Data that are tensors in memory: feature tables and generated samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule


@dataclass
class TensorSet:
    """N samples; a batch is one gather.

    Attributes:
        inputs: modality -> (N, ...).
        labels: name -> (N,) classes or values.
        first_id: number of the first sample, so that numbers differ between splits.
        items: modality -> (N,) int64, where several samples hold the very same item; else every
            sample has its own.
        present: modality -> (N,) bool, where it is not there in every sample.
    """

    inputs: Mapping[str, Tensor]
    labels: Mapping[str, Tensor]
    first_id: int = 0
    items: Mapping[str, Tensor] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64 ids, in order."""
        return np.arange(self.first_id, self.first_id + len(self))

    def labels_of(self, name: str) -> Tensor | None:
        """(N, ...) values of a label; None where there is no such label."""
        return self.labels.get(name)

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A list of B indices -> a batch; every sample is a group of its own."""
        rows = torch.tensor(indices)
        id = rows + self.first_id
        return PairedBatch(
            inputs={name: values[rows] for name, values in self.inputs.items()},
            items={
                name: self.items[name][rows] if name in self.items else id for name in self.inputs
            },
            group=id,
            id=id,
            present={name: values[rows] for name, values in self.present.items()},
            labels={name: values[rows] for name, values in self.labels.items()},
        )


class TensorData(PairedDataModule):
    """Base of sources that fit into memory as tensors."""

    @abstractmethod
    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        """The training, validation and test samples."""

    def setup(self, stage: str | None = None) -> None:
        """Makes the splits once; the same on every process."""
        if not hasattr(self, "test_set"):
            self.train_set, self.val_set, self.test_set = self.splits()

    def describe(self, modality: str, item: int) -> Any:
        """Vectors have nothing to show."""
        return None
