"""Which samples of a stream are in which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymodal.data.loading.splits import SPLITS
from polymodal.data.stream.batches import HashedPart, Split
from polymodal.data.stream.reader import RecordReader
from polymodal.data.stream.records import Source
from polymodal.errors import ConfigError


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
