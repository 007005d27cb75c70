"""Records of a stream -> samples, decoded -> a batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from polymodal.batch import PAD, PairedBatch
from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.loading.columns import ColumnChoice
from polymodal.data.loading.values import caption_key, listed, name_of, number_of, text_of
from polymodal.data.stream.records import Record
from polymodal.data.table.contents import padded
from polymodal.data.text.tokenizer import Tokenizer

TURNS = 2**15
"""Captions of a sample at most: numbers of items leave room for so many."""


@dataclass
class Sample:
    """One decoded sample.

    Attributes:
        number: of its record.
        group: equal = positive; without a group's field samples with the same captions are
            positives of each other, and others are their own: keys may begin anew in each shard.
        values: modality -> an array, its captions, or None where it is absent.
        label: a class, -1 without one, or a value; None where labels are not read.
    """

    number: int
    group: int
    values: dict[str, Any]
    label: int | float | None

    @property
    def turns(self) -> int:
        """How many captions of it there are to be used."""
        return max([1, *(len(value) for value in self.values.values() if isinstance(value, list))])


class RecordReader:
    """Decodes records and puts samples together.

    Args:
        columns: which fields are what.
        readers: modality -> (bytes or path, name=) -> array, for those that are files.
        blanks: modality -> what stands where it is absent.
        label: value -> class or value; None where labels are not read.
        max_caption: characters.

    Attributes:
        tokenizer: needed by `batch` where there is text.
    """

    def __init__(
        self,
        columns: ColumnChoice,
        readers: dict[str, Callable[..., np.ndarray]],
        blanks: dict[str, np.ndarray],
        label: Callable[[Any], int | float] | None,
        max_caption: int,
    ) -> None:
        self.columns, self.readers, self.blanks = columns, readers, blanks
        self.label, self.max_caption = label, max_caption
        self.tokenizer: Tokenizer | None = None

    def read(self, record: Record) -> Sample:
        """A record, decoded.

        Raises:
            BadSampleError: something in it cannot be used, or none of the modalities is there.
        """
        values = {name: self.value(name, record) for name in self.columns.kinds}
        if all(value is None for value in values.values()):
            raise BadSampleError(
                "missing field",
                f"no modality is in it, only {', '.join(record.names()) or 'nothing'}.",
            )
        return Sample(record.number, self.group(record, values), values, self.label_of(record))

    def label_of(self, record: Record) -> int | float | None:
        """The label of a record; None where labels are not read.

        Raises:
            BadSampleError: it is none.
        """
        if self.label is None:
            return None
        found = next(filter(None, map(record.find, self.columns["label"])), None)
        return self.label(None if found is None else found[1])

    def group(self, record: Record, values: Mapping[str, Any]) -> int:
        """The group of a record: that of its field, else of its captions if these are all beside
        one file.

        Raises:
            BadSampleError: its field holds no text.
        """
        texts = self.columns.of_kind("text")
        captions = sorted(
            {(name, caption_key(text)) for name in texts for text in values.get(name) or ()}
        )
        if "group" in self.columns or not captions or len(self.columns.kinds) - len(texts) > 1:
            name = self.named("group", record)
            return record.number if name is None else number_of_name(name)
        return number_of_name(repr(captions))

    def named(self, role: Literal["group", "split_by"], record: Record) -> str | None:
        """The name that the field of a role holds; None where there is no such field, or nothing in
        it.

        Raises:
            BadSampleError: it is no text.
        """
        found = record.find(self.columns[role][0]) if role in self.columns else None
        return None if found is None else name_of(_text(*found) or "") or None

    def captions(self, name: str, record: Record) -> list[str]:
        """The sentences of a modality, of all its fields.

        Raises:
            BadSampleError: one is no text, holds nothing but blanks, or is too long.
        """
        texts: list[tuple[str, str]] = []
        for names in self.columns[name]:
            found = record.find(names)
            if found is not None:
                field, value = found
                texts += [(field, text) for text in _texts(field, value) if text]
        for field, text in texts:
            if not text.strip():
                raise BadSampleError("bad caption", f"{field} holds nothing but blanks.")
            if len(text) > self.max_caption:
                problem = f"{field} is longer than data.max_caption={self.max_caption} characters."
                raise BadSampleError("bad caption", problem)
        return [text.strip() for _, text in texts][:TURNS]

    def value(self, name: str, record: Record) -> Any:
        """A modality of a record: an array, or a list of sentences; None where it is absent.

        Raises:
            BadSampleError: it cannot be used.
        """
        if self.columns.kinds[name] == "text":
            return self.captions(name, record) or None
        found = record.find(self.columns[name][0])
        if found is None:
            return None
        field, source = found
        if source == b"":
            raise BadSampleError("empty file", f"{field} has no bytes.")
        if not isinstance(source, bytes | Path):
            raise BadSampleError(
                "bad value", f"{field} holds {type(source).__name__} instead of a file."
            )
        return self.readers[name](source, name=field)

    def batch(self, samples: Sequence[Sample], turns: Sequence[int]) -> PairedBatch:
        """Samples, each with the number of the caption that is used, -> a batch."""
        base = torch.tensor([sample.number for sample in samples]) * TURNS
        inputs, items, present = {}, {}, {}
        for name in self.columns.kinds:
            # what is absent has a blank in its place, and says so in `present`
            values = [sample.values[name] for sample in samples]
            there = torch.tensor([value is not None for value in values])
            items[name] = base
            if self.columns.kinds[name] == "text":
                chosen = [
                    turn % len(texts) if texts else 0
                    for texts, turn in zip(values, turns, strict=True)
                ]
                inputs[name] = self._ids(
                    [texts and texts[turn] for texts, turn in zip(values, chosen, strict=True)]
                )
                items[name] = base + torch.tensor(chosen)
            else:
                inputs[name] = padded(
                    [self.blanks[name] if value is None else value for value in values]
                )
            if not there.all():
                present[name] = there

        # a sample has an id for each of its captions
        group = torch.tensor([sample.group for sample in samples])
        id = base + torch.tensor(turns)
        labels = (
            {}
            if self.label is None
            else {"label": torch.tensor([sample.label for sample in samples])}
        )
        return PairedBatch(inputs, items, group, id, present, labels)

    def _ids(self, texts: Sequence[str | None]) -> Tensor:
        """(B,) sentences -> (B, T) ids, all padding where there is none."""
        there = [index for index, text in enumerate(texts) if text is not None]
        if not there:
            return torch.full((len(texts), 1), PAD)
        assert self.tokenizer is not None
        ids = self.tokenizer([text for text in texts if text is not None])
        result = np.full((len(texts), ids.shape[1]), PAD, dtype=np.int64)
        result[there] = ids
        return torch.from_numpy(result)


def as_class(value: Any, names: Sequence[str]) -> int:
    """The number of a class: its place among the names or, without names, the whole number that it
    is; -1 for None.

    Args:
        value: of the field.
        names: each as `name_of` gives it.

    Raises:
        BadSampleError: it is none of them.
    """
    text = name_of(_text("label", value) or "")
    if not text:
        return -1
    if names:
        if text not in names:
            raise BadSampleError(
                "bad value", f"the label {text[:60]!r} is none of data.class_names."
            )
        return names.index(text)
    if not text.isdecimal() or len(text) > 9:
        raise BadSampleError(
            "bad value", f"the label {text[:60]!r} is no number of a class: give data.class_names."
        )
    return int(text)


def as_value(value: Any) -> float:
    """A number; NaN for None.

    Raises:
        BadSampleError: it is no finite number of float32.
    """
    text = _text("label", value) or ""
    try:
        return number_of(text)
    except ValueError as error:
        raise BadSampleError(
            "bad number", f"the label {text[:60]!r} is no finite number of float32."
        ) from error


def number_of_name(name: str) -> int:
    """63 bits of a hash: two names have the same only by an unlikely chance."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


def _text(field: str, value: Any) -> str | None:
    try:
        return text_of(value)
    except UnicodeDecodeError as error:
        raise BadSampleError("bad text", f"{field} holds bytes that are not UTF-8.") from error
    except TypeError as error:
        raise BadSampleError("bad text", f"{field} holds {error}.") from error


def _texts(field: str, value: Any) -> list[str | None]:
    """The texts of a list, or of a text that is written as a list; else the only one."""
    if isinstance(value, list):
        return [_text(field, item) for item in value]
    text = _text(field, value)
    items = None if text is None else listed(text)
    return [text] if items is None else items
