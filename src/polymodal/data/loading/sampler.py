"""Which samples make up each batch: a pure function of seed, epoch, rank and number of
processes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from polymodal.data.loading.dataset import BatchIndices


class BatchSampler(Sampler[list[int]]):
    """Index lists of the batches of one process.

    In training (`shuffle`) the batch size is global: each batch is a slice of one permutation of
    the epoch, and each process takes its part of every slice, so that W processes see together what
    one process would see. In evaluation each process takes every W-th sample, in as many batches as
    the others (so that a batch may be larger by one); none is repeated or left out. Of fewer
    samples than processes the last processes see one again, since each has to take part: metrics
    count a sample by its id, once.

    Args:
        size: number of samples.
        batch_size: samples a batch: of all processes together in training, of each in evaluation.
        shuffle: a new permutation each epoch.
        seed: of the permutations.
        rank: number of this process, of `world_size`.
        epoch: the first one.
        start: so many batches of the first epoch are left out: they were seen before the run was
            resumed.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        start: int = 0,
    ) -> None:
        self.size, self.batch_size, self.shuffle = size, batch_size, shuffle
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.epoch, self.resumed = epoch, (epoch, start)

    def set_epoch(self, epoch: int) -> None:
        """Lightning says here which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.shuffle:
            full, rest = divmod(self.size, self.batch_size)
            # a last batch with fewer samples than processes would leave one of them without a step
            return full + int(rest >= self.world_size)
        smallest_share = self.size // self.world_size
        largest_share = -(-self.size // self.world_size)
        return min(-(-largest_share // self.batch_size), max(1, smallest_share))

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:
            own = list(range(self.rank % self.size, self.size, self.world_size))
            count = len(self)
            yield from (
                own[len(own) * i // count : len(own) * (i + 1) // count] for i in range(count)
            )
            return
        start = self.resumed[1] if self.epoch == self.resumed[0] else 0
        epoch = self.seed * 1_000_003 + self.epoch
        order = torch.randperm(self.size, generator=torch.Generator().manual_seed(epoch))
        for number, batch in enumerate(order.split(self.batch_size)[start : len(self)], start):
            yield BatchIndices(
                batch.tensor_split(self.world_size)[self.rank].tolist(), epoch, number
            )
