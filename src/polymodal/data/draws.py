"""What is random in a training batch: a pure function of seed, epoch and batch, so that no state has to be saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from polymodal.batch import PairedBatch
from polymodal.hashing import mixed, seed_generators

if TYPE_CHECKING:
    from polymodal.data.datamodule import BatchDataset


class Draw(list[int]):
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
    def of(cls, indices: list[int]) -> Draw:
        """Indices that come from the sampler as they are; others are those of a first batch."""
        return indices if isinstance(indices, cls) else cls(indices)

    @property
    def salt(self) -> int:
        """A number of this batch, the same on all processes."""
        return mixed(self.epoch, self.batch) % 2**31


class Drawn:
    """A training set with the generators of Python, NumPy and torch seeded for each batch, wherever it is loaded.

    A data set that draws from them gives the same batch after a resume as without one, with any number of workers.

    Args:
        dataset: is asked for batches.
        rank: number of this process; each draws other numbers.
    """

    def __init__(self, dataset: BatchDataset, rank: int) -> None:
        self.dataset, self.rank = dataset, rank

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, indices: Draw) -> PairedBatch:
        """A batch of B indices."""
        seed_generators(torch.device("cpu"), indices.epoch, indices.batch, self.rank)
        return self.dataset[indices]
