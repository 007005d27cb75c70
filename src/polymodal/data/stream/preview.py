"""A look at the first samples of a stream: is there what the settings name, and what is to be
learned from it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import torch
from rich.progress import track
from torch import Tensor

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.facts import LabelFacts, SplitFacts
from polymodal.data.loading.values import caption_key
from polymodal.data.stream.deadline import with_deadline
from polymodal.data.stream.reader import RecordReader
from polymodal.data.stream.records import Record
from polymodal.data.stream.skips import ReadCounter
from polymodal.data.stream.splits import Split
from polymodal.errors import DataError, did_you_mean

ENOUGH = 1000
"""Samples in one of which each modality must be."""


class FirstProblem(ReadCounter):
    """Keeps the first thing that cannot be read, for a message; it is counted when its turn
    comes.
    """

    def __init__(self) -> None:
        super().__init__("skip")
        self.message = ""

    def reject(self, place: str, error: BadSampleError) -> None:
        """See `ReadCounter`."""
        self.message = self.message or f"{place}: {error}"


class StreamPreview:
    """The first samples of a split, read until each modality was seen and enough captions are
    there.

    It is read on, up to `ENOUGH` samples, while there is no pair, no label, or all samples are
    alike: see `facts`.

    Attributes:
        captions: sentences of the first samples.
        widths: modality -> numbers in the first of its vectors.

    Args:
        split: whose samples.
        reader: knows the fields.
        samples: that are looked at, at least, for their sentences and labels.
        timeout: seconds within which each modality must be seen, and the next sample must come.

    Raises:
        DataError: nothing came, or a modality was in none of the first samples; says which fields
            they have.
    """

    def __init__(self, split: Split, reader: RecordReader, samples: int, timeout: float) -> None:
        self.split, self.reader, self.timeout = split, reader, timeout
        self.captions: list[str] = []
        self.labels: list[int | float] = []
        self.found: set[str] = set()
        self.widths: dict[str, int] = {}
        self.refused: dict[str, str] = {}  # modality -> why the first that is there cannot be used
        self.names: dict[str, None] = {}  # of fields, in their order
        self.problem = FirstProblem()
        self.present: Counter[frozenset[str]] = Counter()
        self.items: dict[str, set[str]] = {name: set() for name in reader.columns.of_kind("text")}
        self.groups: set[int] = set()
        self.whole = False
        self._read(samples)
        if not self.present.total():
            raise DataError(f"The {split.name} split is empty. {self.problem.message}".rstrip())
        if self._missing():
            raise DataError(self._explained(self.present.total()))

    def _read(self, samples: int) -> None:
        start = time.monotonic()
        records = with_deadline(self._records(), self.timeout)
        title = f"First samples of {self.split.name}"
        bar = track(records, title, max(1, samples), transient=True, disable=samples == 0)
        try:
            for seen, record in enumerate(bar, 1):
                self._look(record)
                is_long = seen >= ENOUGH or time.monotonic() - start > self.timeout
                if self._missing() and is_long:
                    return
                if not self._missing() and seen >= samples and (is_long or self._is_varied()):
                    return
            self.whole = True
        except TimeoutError:
            if self.present and not self._missing():
                return  # what came is enough to begin with
            raise DataError(
                f"The {self.split.name} split: no sample came within data.timeout={self.timeout:g} "
                f"s. The first shard is {self.split.source.name(self.split.shards[0])}."
            ) from None

    def _is_varied(self) -> bool:
        """Whether more samples would teach nothing more."""
        paired = len(self.reader.columns.kinds) < 2 or any(len(names) > 1 for names in self.present)
        labelled = self.reader.label is None or len(set(self.labels)) > 1
        return (
            paired
            and labelled
            and len(self.groups) > 1
            and all(len(found) > 1 for found in self.items.values())
        )

    @property
    def facts(self) -> SplitFacts:
        """What the samples hold that were looked at."""
        labels = (
            {}
            if self.reader.label is None
            else {"label": LabelFacts(len(self.labels), len(set(self.labels)))}
        )
        return SplitFacts(
            samples=self.present.total(),
            whole=self.whole,
            present=self.present,
            groups=len(self.groups),
            items={name: len(found) for name, found in self.items.items()},
            labels=labels,
        )

    def labels_of(self, name: str) -> Tensor | None:
        """(n,) labels of the samples that were looked at; None where there are none."""
        return torch.tensor(self.labels) if name == "label" and self.labels else None

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

        # which modalities the sample has, and what can be learned of them
        there: set[str] = set()
        sentences: dict[str, list[str]] = {}
        for name, kind in self.reader.columns.kinds.items():
            try:
                if kind == "text":
                    sentences[name] = self.reader.captions(name, record)
                    self.captions += sentences[name]
                    self.items[name].update(map(caption_key, sentences[name]))
                    has = bool(sentences[name])
                elif kind == "vector" and name not in self.found:
                    vector = self.reader.value(name, record)
                    has = vector is not None
                    self.widths |= {name: len(vector)} if has else {}
                else:
                    has = record.find(self.reader.columns[name][0]) is not None
                there |= {name} if has else set()
            except BadSampleError as error:
                self.refused.setdefault(name, str(error))

        # what pairs and groups there are
        self.found |= there
        self.present[frozenset(there)] += 1
        with suppress(BadSampleError):
            self.groups.add(self.reader.group(record, sentences))
            label = self.reader.label_of(record)
            if label is not None and label == label and label != -1:  # NaN and -1 are none
                self.labels.append(label)

    def _missing(self) -> list[str]:
        return [name for name in self.reader.columns.kinds if name not in self.found]

    def _explained(self, seen: int) -> str:
        name = self._missing()[0]
        wanted = self.reader.columns[name][0]
        if name in self.refused or set(wanted.split(";")) & self.names.keys():
            why = self.refused.get(name, "there is nothing in it.")
            return (
                f"data.columns.{name}={wanted}: none of the first {seen} samples of the "
                f"{self.split.name} split has one that can be used. The first: {why}"
            )
        hints = [
            did_you_mean(field, self.names, most=1, all_of=0, quoted=True)
            for field in wanted.split(";")
        ]
        hint = next(filter(None, hints), "")
        return (
            f"data.columns.{name}={wanted}: none of the first {seen} samples of the "
            f"{self.split.name} split has it.{hint} They have: "
            f"{', '.join(self.names) or 'nothing'}."
        )


def previews_of(
    splits: Sequence[Split],
    reader: RecordReader,
    wanted: Sequence[str],
    captions: int,
    timeout: float,
) -> dict[str, StreamPreview]:
    """Name -> head of each split that is needed, and of training where captions are to be learned
    from.

    Where none is needed, it is that of the first split that holds something.

    Raises:
        DataError: see `StreamPreview`.
    """
    needed = [
        split for split in splits if split.name in wanted or (captions and split.name == "train")
    ]
    if not needed:
        filled = (split for split in splits if next(split.first(FirstProblem()), None) is not None)
        needed = [next(filled, splits[0])]
    return {
        split.name: StreamPreview(split, reader, captions if split.name == "train" else 0, timeout)
        for split in needed
    }
