"""Evaluation stream that also reports unreadable samples; for what is done once, and
may be stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from polymodal.batch import PairedBatch
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.stream.batches import EvaluationStream
from polymodal.data.stream.reader import TURNS, number_of_name
from polymodal.data.stream.records import Entry, Record, place_of


class CompleteStream(EvaluationStream):
    """Each sample is in a batch or in its `left_out`; a batch of which nothing is left has another
    sample, of id -1.

    Args:
        done: ids of samples that are not wanted again; they are passed over without being decoded.
        options: of `EvaluationStream`.
    """

    def __init__(self, done: np.ndarray, **options: Any) -> None:
        super().__init__(**options)
        self.done = set((np.where(done < 0, done, done // TURNS * TURNS)).tolist())
        self.unreadable: dict[int, str] = {}

    def places(self, ids: np.ndarray) -> list[str | None]:
        """The shard of each id and its place in it, in words; None for one that could not be read
        at all.
        """
        numbers = (ids // TURNS).tolist()
        places = [place_of(number) if number >= 0 else None for number in numbers]
        return [
            place and f"{self.split.source.name(place[0])}, sample {place[1] + 1}"
            for place in places
        ]

    def _records(self, entries: Iterable[Entry]) -> Iterator[Record]:
        for entry in entries:
            try:
                record = entry.record
            except BadSampleError as error:
                number = -2 - number_of_name(entry.name)
                if number not in self.done:
                    self.unreadable[number] = f"{entry.name}: {error}"
                    self.reading.reject(entry.name, error)
            else:
                if record.number * TURNS not in self.done:
                    yield record

    def _batch(
        self, records: Iterable[Record], left_out: dict[int, str] | None = None
    ) -> PairedBatch:
        records = list(records)
        found: dict[int, str] = {}
        batch = super()._batch(records, found)
        if len(found) == len(records):
            batch.id.fill_(-1)
        batch.left_out = self.unreadable | found
        self.unreadable = {}
        return batch
