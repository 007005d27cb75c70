"""A loader of a stream, which can resume where a run was stopped and counts what was read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from polymodal.batch import PairedBatch
from polymodal.data.loading.loader import BatchLoader
from polymodal.data.stream.batches import Stream, TrainingStream
from polymodal.data.stream.skips import ReadCounts, counts_of


class StreamLoader(BatchLoader):
    """Batches of a stream.

    Args:
        stream: gives whole batches.
        num_workers: loading processes.
        epoch: the first one.
        start: so many batches of the first epoch are left out: they were seen before the run was
            resumed.
        options: of torch's DataLoader; Lightning gives them where it makes a loader anew.
    """

    def __init__(
        self, stream: Stream, num_workers: int, epoch: int = 0, start: int = 0, **options: Any
    ) -> None:
        super().__init__(stream, num_workers, **options)
        self.stream, self.resumed = stream, (epoch, start)
        if isinstance(stream, TrainingStream):
            stream.set_epoch(epoch)
            self.sampler.set_epoch = stream.set_epoch  # type: ignore[attr-defined]  # Lightning tells samplers alone

    def __len__(self) -> int:
        return len(self.stream)  # type: ignore[arg-type]  # of batches: more than these come from loading processes

    def __iter__(self) -> Iterator[PairedBatch]:  # type: ignore[override]
        """The batches of an epoch, or what is left of it.

        Loading processes take turns, and one whose samples are used up is passed over. So each of
        them gave at least its part of the first batches, if it has so many; these it need not
        decode.

        Each batch is held back until the next one is there: the last one has what was read after
        it, too.
        """
        start = 0
        if isinstance(self.stream, TrainingStream):
            start = self.resumed[1] if self.stream.epoch == self.resumed[0] else 0
            self.stream.undecoded = start // max(1, self.num_workers)
        number, held, after = 0, None, self.stream.reading.taken()
        for item in super().__iter__():
            if isinstance(item, ReadCounts):
                after = after.with_counts(item)
                continue
            number += 1
            if number <= start:
                continue
            if held is not None:
                yield held
            held, split = item, self.stream.split.name
            held.read = held.read._replace(split=split, number=number, first=number == start + 1)
            self.stream.reading.known |= set(counts_of(held.read.counts))  # which is reported once
        if held is not None:
            held.read = held.read.with_counts(after)._replace(last=True)
            yield held
