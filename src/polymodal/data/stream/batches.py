"""Batches of samples that come one after the other: which ones, in which order, in which
process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, count, islice, repeat
from random import Random
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from polymodal.batch import PairedBatch
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.stream.reader import TURNS, RecordReader, Sample
from polymodal.data.stream.records import Entry, Record
from polymodal.data.stream.skips import ReadCounter, ReadCounts, summary_of
from polymodal.data.stream.splits import Split
from polymodal.errors import DataError
from polymodal.hashing import hashed_uniform


class Stream(IterableDataset[Any]):
    """The share of one process in the batches of a split.

    Args:
        split: whose samples.
        reader: decodes them.
        reading: where those that cannot be used are noted.
        batch_size: samples.

    Attributes:
        rank: of the process among `world_size`, each of which may have several loading processes.
    """

    rank, world_size = 0, 1

    def __init__(
        self, split: Split, reader: RecordReader, reading: ReadCounter, batch_size: int
    ) -> None:
        self.split, self.reader, self.reading, self.batch_size = split, reader, reading, batch_size

    def __iter__(self) -> Iterator[PairedBatch | None | ReadCounts]:
        """The batches of this loading process, each with what was read for it; then what was read
        after the last.
        """
        self.reading.taken()
        for batch in self.batches():
            read = self.reading.taken()
            if batch is not None:
                batch.read = read
            yield batch
        yield self.reading.taken()

    @abstractmethod
    def batches(self) -> Iterator[PairedBatch | None]:
        """The batches of this loading process; None for one that nobody looks at."""

    def _records(self, entries: Iterable[Entry]) -> Iterator[Record]:
        """What can be read of some entries."""
        for entry in entries:
            try:
                record = entry.record
            except BadSampleError as error:
                self.reading.count()
                if error.reason != "damaged shard":  # that is noted once, where the shard ends
                    self.reading.reject(entry.name, error)
            else:
                yield record

    def _batch(
        self, records: Iterable[Record], left_out: dict[int, str] | None = None
    ) -> PairedBatch:
        """Some records, decoded; where none of them can be, the first of the split that can: a step
        needs one.
        """
        samples = []
        for record in records:
            # here, not where it came into the buffer, so that the share is of what was looked at
            self.reading.count()
            try:
                samples.append(self.reader.read(record))
            except BadSampleError as error:
                self.reading.reject(record.name, error)
                if left_out is not None:
                    left_out[record.number * TURNS] = f"{record.name}: {error}"
        samples = samples or [self._spare()]
        pairs = [(sample, turn) for sample in samples for turn in self._turns(sample)]
        return self.reader.batch(*map(list, zip(*pairs, strict=True)))  # type: ignore[arg-type]

    def _spare(self) -> Sample:
        for entry in self.split.first(None):
            with suppress(BadSampleError):
                return self.reader.read(entry.record)
        raise DataError(
            f"No sample of the {self.split.name} split can be read. "
            f"{summary_of(self.reading.recent)}"
        )

    @abstractmethod
    def _turns(self, sample: Sample) -> Iterable[int]:
        """Which captions of a sample are used."""


class EvaluationStream(Stream):
    """Every sample once with each of its captions, in one order, on any number of processes and
    loading processes.

    Every process passes over all shards, and reads what is its own: of each `batch_size` x
    `world_size` samples every W-th. So all have equally many batches, without knowing how many
    samples there are; one that would have none at the end repeats a sample, which evaluations count
    once. A batch is larger where samples have several captions.
    """

    def batches(self) -> Iterator[PairedBatch]:
        """The batches of this process; each `workers`-th of them is of this loading process."""
        worker, workers = own_worker()
        size, total = self.batch_size * self.world_size, 0
        own: list[Record] = []
        reading = self.reading if worker == self.rank == 0 else None
        for index, entry in enumerate(self.split.first(reading)):
            total = index + 1
            if index // size % workers != worker:
                continue
            if index % self.world_size == self.rank:
                own.extend(self._records([entry]))
            if total % size == 0:
                yield self._batch(own)
                own = []
        if total % size and total // size % workers == worker:
            yield self._batch(own)

    def _turns(self, sample: Sample) -> Iterable[int]:
        return range(sample.turns)


class TrainingStream(Stream):
    """Shuffled batches: a pure function of seed, epoch, rank, world size, worker and number of
    workers.

    Each epoch has its order of the shards. Where there are as many as loading processes of all
    processes together, each reads its own of them; else each reads all and takes every n-th sample.
    Then samples are mixed in a buffer.

    An epoch ends with the shards, or has exactly `epoch_samples` samples; for these each loading
    process passes over its part of the shards as often as that takes. `batch_size` is that of all
    processes together, before bad samples are left out.

    Args:
        split: whose samples.
        reader: decodes them.
        reading: where those that cannot be used are noted.
        batch_size: samples of a step.
        seed: of the order, and of which caption of a sample is taken.
        buffer: samples that are mixed.
        epoch_samples: of all processes together; None until the shards end.
    """

    head: Any = None  # the first samples, which were looked at

    def __init__(
        self,
        split: Split,
        reader: RecordReader,
        reading: ReadCounter,
        batch_size: int,
        seed: int,
        buffer: int,
        epoch_samples: int | None,
    ) -> None:
        super().__init__(split, reader, reading, batch_size)
        self.seed, self.buffer, self.epoch_samples = seed, buffer, epoch_samples
        self.epoch = self.undecoded = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch the next iteration is."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.epoch_samples is None:
            raise TypeError("a stream without data.epoch_samples has no length")
        full, rest = divmod(self.epoch_samples, self.batch_size)
        return full + int(rest >= self.world_size)  # each process needs a sample

    def batches(self) -> Iterator[PairedBatch | None]:
        """The batches of this loading process; None for each of the first `undecoded`, which nobody
        looks at.
        """
        worker, workers = own_worker()
        records = self._shuffled(self.rank * workers + worker, self.world_size * workers)
        for number, size in enumerate(self._sizes(worker, workers)):
            if not (own := list(islice(records, size))):
                return
            yield None if number < self.undecoded else self._batch(own)

    def _sizes(self, worker: int, workers: int) -> Iterator[int]:
        """How many samples each batch of this loading process is made of."""
        if self.epoch_samples is None:
            yield from repeat(self.batch_size)
            return
        for step in range(worker, len(self), workers):
            share, rest = divmod(
                min(self.batch_size, self.epoch_samples - step * self.batch_size), self.world_size
            )
            yield share + int(self.rank < rest)

    def _shuffled(self, stream: int, streams: int) -> Iterator[Record]:
        """The records of one of so many streams, mixed; several passes over them where the epoch is
        long.
        """
        for turn in count():
            random = Random(f"{self.seed} {self.epoch} {turn} {stream}")
            records = shuffled_in_buffer(
                self._records(self._own(turn, stream, streams)), self.buffer, random
            )
            first = next(records, None)
            if first is not None:
                yield from chain([first], records)
            if self.epoch_samples is None:
                return
            if first is None:
                raise DataError(
                    f"One of {streams} loading processes has no sample of the {self.split.name} "
                    "split: lower data.num_workers, or make more shards."
                )

    def _own(self, turn: int, stream: int, streams: int) -> Iterator[Entry]:
        reading = self.reading if stream == 0 else None
        if self.split.limit is not None:
            return islice(self.split.first(reading), stream, None, streams)
        shards = list(self.split.shards)
        Random(f"{self.seed} {self.epoch} {turn}").shuffle(shards)
        if len(shards) >= streams:
            return self.split.entries(shards[stream::streams], self.reading)
        return islice(self.split.entries(shards, reading), stream, None, streams)

    def _turns(self, sample: Sample) -> Iterable[int]:
        draw = hashed_uniform(torch.tensor(sample.number), self.seed, self.epoch)
        return [int(draw * sample.turns)]


def own_worker() -> tuple[int, int]:
    """The number of this loading process, and how many its process has."""
    worker = get_worker_info()
    return (0, 1) if worker is None else (worker.id, worker.num_workers)


def shuffled_in_buffer(records: Iterable[Record], size: int, random: Random) -> Iterator[Record]:
    """The same records in another order: each changes places with one of up to `size` that wait."""
    waiting: list[Record] = []
    for record in records:
        if len(waiting) < size:
            waiting.append(record)
        else:
            place = random.randrange(size)
            yield waiting[place]
            waiting[place] = record
    random.shuffle(waiting)
    yield from waiting
