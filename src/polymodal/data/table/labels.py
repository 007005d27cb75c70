"""Labels from text and numbers: one class, several at once, or values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.loading.values import name_of
from polymodal.data.table.files import codes_of
from polymodal.errors import ConfigError, named

SHOWN = 5
"""Unknown values that a message names."""


def sorted_names(names: Sequence[str]) -> list[str]:
    """Names of classes in their order: by value if all are whole numbers, else by the alphabet."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def class_names(text: pa.Array) -> list[str]:
    """The different values, in order; null is none."""
    return sorted_names([name for name in pc.unique(text).to_pylist() if name is not None])


def unique_names(given: Sequence[object]) -> list[str]:
    """Names of classes that were typed, as text.

    Raises:
        ConfigError: one is there twice, so that two classes would be one.
    """
    names = [str(name) for name in given]
    name, count = max(Counter(names).items(), key=lambda pair: pair[1], default=("", 0))
    if count > 1:
        raise ConfigError(f"data.class_names has {name!r} twice. Give each class its own name.")
    return names


def learned_names(
    own: Mapping[str, list[str]], learned: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    """The names of a trained model that replace those of other data, which may have none.

    Labels without names are the numbers of classes. Where the model's names are numbers too, such
    as 1, 2 and 3 of classes 0, 1 and 2, a label is a name.
    """
    names = learned.get("label", [])
    return {"label": names} if names and (own or any(map(str.isdecimal, names))) else {}


def class_codes(text: pa.Array, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(N,) text -> (N,) int64 index of each name, -1 for null and for others; and where it is
    another.
    """
    code, values = codes_of(text)
    index: dict[str | None, int] = {None: -1}
    for number, name in enumerate(names):
        index.setdefault(name_of(name), number)  # models of older versions know names with blanks
    known = np.array([index.get(name, -2) for name in values.to_pylist()], dtype=np.int64)[code]
    return known.clip(min=-1), np.flatnonzero(known == -2)


def unknown_names(what: str, text: pa.Array, unknown: np.ndarray, names: Sequence[str]) -> str:
    """How many values of a column were in no row of the training, which ones, and which were.

    Args:
        what: the column, for the message.
        text: (N,).
        unknown: where a value has no name, one place at least.
        names: of what is known.
    """
    counts = Counter(text.take(pa.array(unknown)).to_pylist())
    most = named([name for name, _ in counts.most_common()], SHOWN)
    return (
        f"{what}: {len(unknown)} of {len(text)} values were not in training: {most}. Known are "
        f"{named(names)}."
    )


def tag_codes(
    tags: pa.Array, row: np.ndarray, there: np.ndarray, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """All the tags of N samples -> (N, C) int8 of 0 and 1, -1 where nothing is known; and which
    tags have no name.

    Args:
        tags: (K,) text.
        row: (K,) the sample of each.
        there: (N,) bool, whether a sample's tags are known; it may have none.
        names: (C,) of the tags.
    """
    code, unknown = class_codes(tags, names)
    result = np.full((len(there), len(names)), -1, dtype=np.int8)
    result[there] = 0
    result[row[code >= 0], code[code >= 0]] = 1
    return result, unknown
