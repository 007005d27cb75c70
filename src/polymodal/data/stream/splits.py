"""Which samples of a stream are in which split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.splits import SPLITS, hashed_split
from polymodal.data.stream.reader import RecordReader
from polymodal.data.stream.records import Entry, Source
from polymodal.data.stream.skips import ReadCounter
from polymodal.errors import ConfigError


@dataclass(frozen=True)
class HashedPart:
    """Whether a sample falls into a split by a fixed hash of its `split_by`; else of its group;
    else of its key.

    Attributes:
        reader: knows these fields.
        shares: of train, validation and test.
        part: number of the split.
    """

    reader: RecordReader
    shares: Sequence[float]
    part: int

    def __call__(self, entry: Entry) -> bool:
        """Of a sample that cannot be read the key decides."""
        name = None
        with suppress(BadSampleError):
            if "split_by" in self.reader.columns:
                name = self.reader.named("split_by", entry.record)
            if name is None and "group" in self.reader.columns:
                name = self.reader.named("group", entry.record)
        return hashed_split(name or entry.key, self.shares) == self.part


@dataclass(frozen=True)
class Split:
    """The samples of one split.

    Attributes:
        name: train, val or test.
        source: where they stand.
        shards: those that hold some of them.
        has: whether one of their samples is in the split; None for all of them.
        limit: so many of them, the first ones; None for all.
    """

    name: str
    source: Source
    shards: Sequence[int]
    has: Callable[[Entry], bool] | None = None
    limit: int | None = None

    def entries(self, shards: Iterable[int], reading: ReadCounter | None) -> Iterator[Entry]:
        """The samples of some shards, one shard after the other; one that is damaged ends early.

        Args:
            shards: their numbers.
            reading: where damaged ones are noted; None where another process does.
        """
        for shard in shards:
            try:
                yield from filter(self.has, self.source.entries(shard))
            except BadSampleError as error:
                if reading is not None:
                    reading.reject(self.source.name(shard), error)

    def first(self, reading: ReadCounter | None) -> Iterator[Entry]:
        """Its samples in their order, up to the limit."""
        return islice(self.entries(self.shards, reading), self.limit)


def splits_of(
    source: Source,
    shards: Mapping[int, Sequence[int]],
    shares: Sequence[float],
    reader: RecordReader,
    wanted: Sequence[str],
    limit: int | None,
) -> list[Split]:
    """Training, validation and test.

    Args:
        source: of the samples.
        shards: number of the split -> its shards; -1: those that a hash deals out to the splits
            without any.
        shares: of the three splits, where a hash deals them out.
        reader: knows the fields that the hash is of.
        wanted: the splits that are needed.
        limit: samples of each; None for all.

    Raises:
        ConfigError: one that is needed has neither shards nor a share.
    """
    left = [0.0 if part in shards else share for part, share in enumerate(shares)]
    open = [part for part, name in enumerate(SPLITS) if part not in shards and name in wanted]
    if -1 in shards and not all(left[part] for part in open):
        raise ConfigError(
            f"data.splits={list(shares)}: a split that the data do not have needs a share above 0."
        )
    dealt = [share / sum(left) for share in left] if any(left) else [1.0, 0.0, 0.0]
    return [
        Split(name, source, shards[part], None, limit)
        if part in shards
        else Split(name, source, shards[-1], HashedPart(reader, dealt, part), limit)
        for part, name in enumerate(SPLITS)
    ]
