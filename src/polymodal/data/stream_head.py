"""A look at the first samples of a stream: is there what the settings name, and what is to be learned from it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches

from rich.progress import track

from polymodal.data.deadline import with_deadline
from polymodal.data.record_reader import RecordReader
from polymodal.data.records import Record
from polymodal.data.skips import BadSampleError
from polymodal.data.stream import Split
from polymodal.data.stream_skips import Reading
from polymodal.errors import DataError

ENOUGH = 1000
"""Samples in one of which each modality must be."""


class FirstProblem(Reading):
    """Keeps the first thing that cannot be read, for a message; it is counted when its turn comes."""

    def __init__(self) -> None:
        super().__init__("skip")
        self.told = ""

    def reject(self, place: str, error: BadSampleError) -> None:
        """See `Reading`."""
        self.told = self.told or f"{place}: {error}"


class Head:
    """The first samples of a split, read until each modality was seen and enough captions are there.

    Attributes:
        captions: sentences of the first samples.
        widths: modality -> numbers in the first of its vectors.

    Args:
        split: whose samples.
        reader: knows the fields.
        captions: samples at least whose sentences are wanted.
        timeout: seconds within which each modality must be seen, and the next sample must come.

    Raises:
        DataError: nothing came, or a modality was in none of the first samples; says which fields they have.
    """

    def __init__(self, split: Split, reader: RecordReader, captions: int, timeout: float) -> None:
        self.split, self.reader, self.timeout = split, reader, timeout
        self.captions: list[str] = []
        self.found: set[str] = set()
        self.widths: dict[str, int] = {}
        self.names: dict[str, None] = {}  # of fields, in their order
        self.problem = FirstProblem()
        start, seen = time.monotonic(), 0
        records = with_deadline(self._records(), timeout)
        bar = track(records, f"First samples of {split.name}", max(1, captions), transient=True, disable=captions == 0)
        try:
            for seen, record in enumerate(bar, 1):  # noqa: B007  (it is told below)
                self._look(record)
                if not self._missing() and seen >= captions:
                    return
                if self._missing() and (seen >= ENOUGH or time.monotonic() - start > timeout):
                    break
        except TimeoutError:
            raise DataError(
                f"The {split.name} split: no sample came within data.timeout={timeout:g} s. The first shard is "
                f"{split.source.name(split.shards[0])}."
            ) from None
        if seen == 0:
            raise DataError(f"The {split.name} split is empty. {self.problem.told}".rstrip())
        if self._missing():
            raise DataError(self._explained(seen))

    def _records(self) -> Iterator[Record]:
        for entry in self.split.first(self.problem):
            try:
                record = entry.record
            except BadSampleError as error:
                self.problem.reject(entry.name, error)
            else:
                yield record

    def _look(self, record: Record) -> None:
        self.names |= dict.fromkeys(record.names()) if self._missing() else {}
        for name, kind in self.reader.columns.kinds.items():
            with suppress(BadSampleError):
                if kind == "text":
                    sentences = self.reader.captions(name, record)
                    self.captions += sentences
                    there = bool(sentences)
                elif kind == "vector" and name not in self.found:
                    vector = self.reader.value(name, record)
                    there = vector is not None
                    self.widths |= {name: len(vector)} if there else {}
                else:
                    there = record.find(self.reader.columns[name][0]) is not None
                self.found |= {name} if there else set()

    def _missing(self) -> list[str]:
        return [name for name in self.reader.columns.kinds if name not in self.found]

    def _explained(self, seen: int) -> str:
        name = self._missing()[0]
        wanted = self.reader.columns[name][0]
        near = [close for field in wanted.split(";") for close in get_close_matches(field, self.names, 1, 0.6)]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return (
            f"data.columns.{name}={wanted}: none of the first {seen} samples of the {self.split.name} split has it."
            f"{hint} They have: {', '.join(self.names) or 'nothing'}."
        )
