"""Which sample is for training, validation or test; never is one group in two of them."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np
import pyarrow as pa

from polymodal.data.table.files import codes_of
from polymodal.errors import ConfigError, DataError

SPLITS = ("train", "val", "test")
OTHER_NAMES = {
    "training": "train",
    "validation": "val",
    "valid": "val",
    "dev": "val",
    "testing": "test",
}


def check_shares(shares: Sequence[float]) -> None:
    """Refuses shares of train, validation and test that are not three, or do not add up to 1.

    Raises:
        ConfigError: they are not.
    """
    if len(shares) != 3 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            f"data.splits={list(shares)} must be three shares (train, val, test) that add up to 1."
        )


def split_parts(names: Sequence[str]) -> dict[int, str]:
    """Number of the split -> which of these names, such as train, validation and test, is it; empty
    without a train.

    Where val or test is not among them, it is made of train, whose number is then -1: to be dealt
    out.
    """
    known = {OTHER_NAMES.get(name.lower(), name.lower()): name for name in names}
    parts = {number: known[split] for number, split in enumerate(SPLITS) if split in known}
    return {} if 0 not in parts else completed(parts)


def completed(parts: Mapping[int, str]) -> dict[int, str]:
    """Number of the split -> anything; where val or test is not among them, train's number is
    -1.
    """
    whole = len(parts) == len(SPLITS)
    return {number if whole or number else -1: part for number, part in parts.items()}


def named_splits(names: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(N,) text such as train, val, validation, test -> (N,) number of the split, and where it is
    none of these.
    """
    code, values = codes_of(names)
    known = [
        OTHER_NAMES.get(name, name)
        for name in (str(value).strip().lower() for value in values.to_pylist())
    ]
    split = np.array(
        [SPLITS.index(name) if name in SPLITS else -1 for name in known], dtype=np.int64
    )[code]
    return split, np.flatnonzero(split < 0)


def hashed_splits(groups: pa.Array, shares: Sequence[float]) -> np.ndarray:
    """(G,) names of groups -> (G,) number of the split: a pure function of the name, whatever other
    groups there are.

    Args:
        groups: text.
        shares: of train, validation and test.
    """
    ends = np.cumsum(shares)[:-1]
    places = np.fromiter(
        (_place(name.as_py()) for name in groups), dtype=np.float64, count=len(groups)
    )
    return np.digitize(places, ends)


def hashed_split(name: str, shares: Sequence[float]) -> int:
    """The number of the split of one group; see `hashed_splits`."""
    return bisect_right(list(accumulate(shares))[:-1], _place(name))


def dealt_splits(
    given: np.ndarray, key: np.ndarray, names: pa.Array, shares: Sequence[float]
) -> np.ndarray:
    """(N,) number of the split: as given, or by a hash, and then never a split that some sample is
    given to by name.

    Where no other split has a share, what is to be dealt out is for training.

    Args:
        given: (N,) number of the split, -1 where it is to be dealt out.
        key: (N,) what falls into one split together, as a number.
        names: (K,) of the keys.
        shares: of train, validation and test.

    Raises:
        DataError: a key is in several splits.
    """
    open = given < 0
    if open.all():
        return hashed_splits(names, shares)[key]
    split = given
    if open.any():
        free = np.array([part == 0 or not (given == part).any() for part in range(len(SPLITS))])
        left = np.array(shares) * free
        hashed = hashed_splits(names, left / left.sum())[key] if left.any() else 0
        split = np.where(open, hashed, given)
    check_apart(split, key, names)
    return split


def _place(name: str) -> float:
    """A name's fixed place in [0, 1)."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()[:7], "big") / 2**56


def check_apart(split: np.ndarray, group: np.ndarray, names: pa.Array) -> None:
    """Refuses a group whose samples are in several splits.

    Args:
        split: (N,) number of the split.
        group: (N,) number of the group.
        names: (G,) of the groups.

    Raises:
        DataError: names one such group.
    """
    lowest, highest = np.full(len(names), len(SPLITS)), np.full(len(names), -1)
    np.minimum.at(lowest, group, split)
    np.maximum.at(highest, group, split)
    torn = np.flatnonzero(lowest < highest)
    if len(torn):
        first = int(torn[0])
        raise DataError(
            f"{len(torn)} groups are in several splits; {names[first].as_py()!r} is in "
            f"{SPLITS[lowest[first]]} and {SPLITS[highest[first]]}. Metrics on such a split would "
            "be of what was seen in training."
        )


NOT_WANTED = {"val": "trainer.limit_val_batches=0", "test": "test=false"}
"""Which setting says that a run does without a split."""


def check_filled(split: np.ndarray, wanted: Sequence[str] = SPLITS, left_out: str = "") -> None:
    """Refuses a split without samples.

    Args:
        split: (N,) number of the split.
        wanted: the splits that are needed.
        left_out: a sentence about rows that are not among the samples.

    Raises:
        DataError: names it.
    """
    counts = dict(zip(SPLITS, np.bincount(split, minlength=len(SPLITS)).tolist(), strict=True))
    empty = [name for name in SPLITS if name in wanted and counts[name] == 0]
    if empty:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        also = f"{left_out} " if left_out else ""
        raise DataError(
            f"The {empty[0]} split is empty. Samples: {found}. {also}Choose other data.splits, or "
            "name a column (data.columns.split) or files (data.path={train: ..., val: ..., test: "
            f"...}}).{done_without(empty[0], wanted)}"
        )


def done_without(split: str, wanted: Sequence[str]) -> str:
    """How a training does without a split, as a further sentence; empty where it cannot, or nothing
    is trained.
    """
    known = "train" in wanted and split in NOT_WANTED
    return f" To do without it: {NOT_WANTED[split]}." if known else ""


def check_names(path: Mapping[str, object]) -> None:
    """Refuses a path a split of which one is called otherwise.

    Raises:
        ConfigError: names it.
    """
    if not path or set(path) - set(SPLITS):
        given = ", ".join(map(str, path)) or "nothing"
        raise ConfigError(
            f"data.path has {given}: give one path, or one for each of {', '.join(SPLITS)}."
        )


def check_given(path: Mapping[str, object], wanted: Sequence[str]) -> None:
    """Refuses a path a split without one for a split that is needed.

    Raises:
        ConfigError: names it, and how to do without it.
    """
    for name in wanted:
        if name not in path:
            raise ConfigError(
                f"data.path has {', '.join(path)}, and no {name}: give data.path.{name}=<path>."
                f"{done_without(name, wanted)}"
            )
