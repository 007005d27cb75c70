"""Data sets that are asked for whole batches.

What is random in a training batch is a function of seed, epoch and batch, so that no state has to
be saved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch

from polymodal.batch import PairedBatch
from polymodal.hashing import hashed_int, seed_generators


class BatchDataset(Protocol):
    """A data set that is asked for whole batches: a list of indices -> one `PairedBatch`.

    In training the list is a `BatchIndices`: what is random follows from it, or from the generators
    of Python, NumPy and torch.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, indices: list[int]) -> PairedBatch: ...


class CompleteDataset(BatchDataset, Protocol):
    """A split as it is evaluated."""

    @property
    def ids(self) -> np.ndarray:
        """(N,) int64 ids of its samples, in order."""


class BatchIndices(list[int]):
    """The indices of a batch, with the numbers from which its data set draws what is random.

    Args:
        indices: of the samples.
        epoch: a number that stands for the seed and the epoch; the same on all processes.
        batch: number of the batch in the epoch; the same on all processes.
    """

    def __init__(self, indices: Iterable[int] = (), epoch: int = 0, batch: int = 0) -> None:
        super().__init__(indices)
        self.epoch, self.batch = epoch, batch

    @classmethod
    def of(cls, indices: list[int]) -> BatchIndices:
        """Indices that come from the sampler as they are; others are those of a first batch."""
        return indices if isinstance(indices, cls) else cls(indices)

    @property
    def salt(self) -> int:
        """A number of this batch, the same on all processes."""
        return hashed_int(self.epoch, self.batch) % 2**31


class SeededDataset:
    """A training set with the generators of Python, NumPy and torch seeded for each batch, wherever
    it is loaded.

    A data set that draws from them gives the same batch after a resume as without one, with any
    number of workers.

    Args:
        dataset: is asked for batches.
        rank: number of this process; each draws other numbers.
    """

    def __init__(self, dataset: BatchDataset, rank: int) -> None:
        self.dataset, self.rank = dataset, rank

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: BatchIndices) -> PairedBatch:
        """A batch of B indices."""
        seed_generators(torch.device("cpu"), indices.epoch, indices.batch, self.rank)
        return self.dataset[indices]


class Limited:
    """A few samples of a data set, spread evenly over it.

    Args:
        dataset: the whole.
        count: how many to keep.
    """

    def __init__(self, dataset: BatchDataset, count: int) -> None:
        self.dataset, self.count = dataset, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        last, draw = max(1, self.count - 1), BatchIndices.of(indices)
        spread = (index * (len(self.dataset) - 1) // last for index in indices)
        return self.dataset[BatchIndices(spread, draw.epoch, draw.batch)]


class Subset:
    """Some samples of a data set.

    Args:
        dataset: all of them.
        indices: (n,) which.
    """

    def __init__(self, dataset: CompleteDataset, indices: np.ndarray) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: list[int]) -> PairedBatch:
        """A list of B indices -> a batch."""
        return self.dataset[self.indices[indices].tolist()]

    def places(self, ids: np.ndarray) -> Sequence[str | None]:
        """(B,) ids -> where the samples stand, in words; None where the data do not say."""
        places = getattr(self.dataset, "places", None)
        return places(ids) if places else [None] * len(ids)
