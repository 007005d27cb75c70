"""What a modality holds of N samples, asked for one item at a time: captions, or columns of a
table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from rich.progress import track
from torch import Tensor

from polymodal.batch import PAD
from polymodal.data.loading.arrow import caption_keys
from polymodal.data.table.files import codes_of, taken
from polymodal.data.text.tokenizer import Tokenizer

CHUNK = 5_000
"""Captions that are tokenised at a time: memory of the tokenizer grows with it, its speed does
not."""

LONG = 20
"""So many chunks take seconds, and show a progress bar."""


class Content(Protocol):
    """One modality of N samples.

    Attributes:
        count: (N,) how many items of it each sample has; 0 = absent.
        blank: what stands in a batch where it is absent.
    """

    count: np.ndarray
    blank: np.ndarray

    def item(self, sample: int, turn: int) -> int:
        """The number of one of a sample's items; any `turn` from 0 on is allowed."""

    def read(self, item: int) -> np.ndarray:
        """The item itself.

        Raises:
            BadSampleError: it cannot be used.
        """

    def show(self, item: int) -> Any:
        """Something for a person to see: a sentence or an image."""

    def words(self, items: np.ndarray) -> Sequence[str | None]:
        """(N,) items -> sentences or paths; None where there is neither."""


class Captions:
    """Token ids of sentences, one or several a sample, in one flat array; ids are made once.

    Equal sentences are one item, whichever samples they are of: its number is that of the first.

    Attributes:
        alike: (K,) a number that sentences share which differ in case or blanks at most.

    Args:
        texts: (K,) sentences, those of a sample side by side.
        count: (N,) how many each sample has.
    """

    blank = np.full(1, PAD, dtype=np.int64)

    def __init__(self, texts: pa.Array, count: np.ndarray) -> None:
        self.texts, self.count = texts, count
        self.first = np.cumsum(count) - count
        code, words = codes_of(texts)
        earliest = np.zeros(len(words), dtype=np.min_scalar_type(max(1, len(texts))))
        earliest[code[::-1]] = np.arange(len(texts), dtype=earliest.dtype)[::-1]
        self.same = earliest[code]
        self.alike = alike(self.same, code, words)

    def tokenize(self, tokenizer: Tokenizer) -> None:
        """Makes the ids of all sentences."""
        ids, lengths = [np.zeros(0, dtype=np.uint8)], [np.zeros(1, dtype=np.int64)]
        starts = range(0, len(self.texts), CHUNK)
        for start in track(
            starts, "Captions to tokens", transient=True, disable=len(starts) < LONG
        ):
            rows = tokenizer(self.texts.slice(start, CHUNK).to_pylist())
            # two bytes each, mostly
            ids.append(rows[rows != PAD].astype(np.min_scalar_type(rows.max())))
            lengths.append((rows != PAD).sum(1))
        self.ids, self.ends = np.concatenate(ids), np.cumsum(np.concatenate(lengths))

    def of_samples(self, chosen: np.ndarray) -> pa.Array:
        """The sentences of some samples; `chosen` is (N,) bool."""
        return self.texts.filter(pa.array(np.repeat(chosen, self.count)))

    def item(self, sample: int, turn: int) -> int:
        """The number of a sentence; any number of a sample without one."""
        if not self.count[sample]:
            return len(self.texts)
        return int(self.same[self.first[sample] + turn % self.count[sample]])

    def of_each(self) -> tuple[np.ndarray, np.ndarray]:
        """(K,) the sample of each sentence, and (K,) a number that sentences share which say the
        same.
        """
        return np.repeat(np.arange(len(self.count)), self.count), self.alike

    def distinct(self, chosen: np.ndarray) -> int:
        """How many different sentences some samples have."""
        sample, code = self.of_each()
        return len(np.unique(code[np.isin(sample, chosen)]))

    def read(self, item: int) -> np.ndarray:
        """(T,) int64."""
        return self.ids[self.ends[item] : self.ends[item + 1]].astype(np.int64)

    def show(self, item: int) -> Any:
        """The sentence."""
        return self.texts[item].as_py()

    def words(self, items: np.ndarray) -> Sequence[str | None]:
        """The sentences; None for an item that is none, as of a sample without any."""
        there = items < len(self.texts)
        return self.texts.take(pa.array(items, mask=~there)).to_pylist()


def alike(number: np.ndarray, code: np.ndarray, words: pa.Array) -> np.ndarray:
    """(K,) numbers of equal captions -> the same, or others where some are equal but for case and
    blanks.

    Args:
        number: (K,).
        code: (K,) places among the words.
        words: the different captions.
    """
    key, keys = codes_of(caption_keys(words))
    return number if len(keys) == len(words) else key[code].astype(number.dtype)


class Columns:
    """Numbers and codes from the manifest itself.

    Args:
        values: (N, columns) float32: NaN for a missing number, -1 for an unknown code.
        numeric: how many of the columns are numbers; they stand first.
    """

    def __init__(self, values: np.ndarray, numeric: int) -> None:
        self.values = values
        self.blank = np.full(values.shape[1], -1, dtype=np.float32)
        self.blank[:numeric] = np.nan
        there = (
            ~np.isnan(values[:, :numeric]).all(1) if numeric else np.zeros(len(values), dtype=bool)
        )
        self.count = (there | (values[:, numeric:] >= 0).any(1)).astype(np.int64)

    def item(self, sample: int, turn: int) -> int:
        """The number of the sample."""
        return sample

    def read(self, item: int) -> np.ndarray:
        """(columns,) float32."""
        return self.values[item]

    def words(self, items: np.ndarray) -> Sequence[str | None]:
        """None: its place names the row."""
        return [None] * len(items)

    def show(self, item: int) -> Any:
        """The row in words."""
        return ", ".join(
            "missing" if np.isnan(value) else f"{value:.3g}" for value in self.values[item]
        )


def as_typed(row: np.ndarray, numeric: int, learned: Mapping[str, Any]) -> list[float | str | None]:
    """A row of a table as a person would type it; None where a value is missing, or a category is
    unknown.

    Args:
        row: (columns,) float32: standardised numbers, NaN if missing, then codes, -1 if unknown.
        numeric: how many of them are numbers.
        learned: `mean` and `std` of the numbers, `names` of each category.
    """
    scaled = zip(row[:numeric].tolist(), learned["mean"], learned["std"], strict=True)
    numbers = [None if math.isnan(value) else value * std + mean for value, mean, std in scaled]
    coded = zip(row[numeric:].astype(int).tolist(), learned["names"], strict=True)
    return [*numbers, *(names[code] if code >= 0 else None for code, names in coded)]


def padded(arrays: Sequence[np.ndarray]) -> Tensor:
    """B arrays of one dtype and number of dimensions -> (B, ...), with zeros up to the largest size
    of each.
    """
    shape = np.max([array.shape for array in arrays], axis=0)
    result = np.zeros((len(arrays), *shape), dtype=arrays[0].dtype)
    for row, array in zip(result, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return torch.from_numpy(result)


def grouped_captions(texts: pa.Array, sample: np.ndarray, samples: int) -> Captions:
    """Sentences with the sample of each, in any order -> by sample; null is none.

    Args:
        texts: (K,).
        sample: (K,) int64, -1 where it was left out.
        samples: N.
    """
    there = texts.is_valid().to_numpy(zero_copy_only=False) & (sample >= 0)
    order = np.flatnonzero(there)[np.argsort(sample[there], kind="stable")]
    return Captions(taken(texts, order), np.bincount(sample[there], minlength=samples))


def bad_captions(texts: pa.Array, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a sentence is only blanks, and where it has more than `longest` characters."""
    blank = pc.and_(texts.is_valid(), pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0))
    long = pc.greater(pc.utf8_length(texts), longest)
    blank_at, long_at = (
        np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))
        for mask in (blank, long)
    )
    return blank_at, long_at


def unknown_words(captions: Sequence[Captions], unknown: int | None) -> str | None:
    """What to warn of where a tokenizer has a token for words that it does not know; None where
    there are none.
    """
    if unknown is None:
        return None
    count = sum(int((texts.ids == unknown).sum()) for texts in captions)
    whole = sum(len(texts.ids) for texts in captions)
    return (
        f"{count} of {whole} tokens of the captions are words that the tokenizer does not know."
        if count
        else None
    )
