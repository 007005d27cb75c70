"""A loader of a training stream that can go on where a run was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from polymodal.batch import PairedBatch
from polymodal.data.stream import TrainingStream
from polymodal.data.workers import BatchLoader


class StreamLoader(BatchLoader):
    """Batches of a stream.

    Args:
        stream: gives whole batches.
        num_workers: loading processes.
        epoch: the first one.
        start: so many batches of the first epoch are left out: they were seen before the run was resumed.
    """

    def __init__(self, stream: TrainingStream, num_workers: int, epoch: int = 0, start: int = 0) -> None:
        super().__init__(stream, num_workers)
        self.stream, self.resumed = stream, (epoch, start)
        stream.set_epoch(epoch)
        self.sampler.set_epoch = stream.set_epoch  # type: ignore[attr-defined]  # Lightning tells samplers alone

    def __iter__(self) -> Iterator[PairedBatch]:  # type: ignore[override]
        """The batches of an epoch, or what is left of it.

        Loading processes take turns, and one whose samples are used up is passed over. So each of them gave at least
        its part of the first batches, if it has so many; these it need not decode.
        """
        start = self.resumed[1] if self.stream.epoch == self.resumed[0] else 0
        self.stream.undecoded = start // max(1, self.num_workers)
        return islice(super().__iter__(), start, None)
