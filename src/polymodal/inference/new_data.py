"""Whether the data of a trained model are those of its training, and how they are split."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

SOURCE = (
    "_target_",
    "path",
    "name",
    "config_name",
    "revision",
    "split",
    "data_dir",
    "data_files",
    "options",
)
"""Settings that say where samples come from."""

DIVISION = ("split", "split_by", "group", "id")
"""Columns on which it depends which split a sample is in."""

ALL_FOR_TESTING = [0.0, 0.0, 1.0]


def is_same_source(data: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two settings of data read the same files, whatever they take for splits and
    columns.
    """
    return all(_located(data.get(key)) == _located(other.get(key)) for key in SOURCE)


def _located(value: Any) -> Any:
    """Paths in one spelling, inside of lists and mappings too; what is equal stays equal."""
    if isinstance(value, Mapping):
        return {key: _located(inner) for key, inner in value.items()} or None
    if isinstance(value, list | tuple):
        return [_located(inner) for inner in value]
    if isinstance(value, str) and os.path.exists(value):  # noqa: PTH110  (a path, or a name that is none)
        return os.path.realpath(value)
    return value


def division_of(
    data: Mapping[str, Any], trained: Mapping[str, Any], given: set[str]
) -> dict[str, Any]:
    """The settings of splits for data of a trained model: key -> value.

    The table of the training is divided as it was then: else samples that were trained on would be
    evaluated. Of another table, which does not say by itself which samples are for testing, all
    are. What is given wins.

    Args:
        data: the settings now.
        trained: those of the training.
        given: keys that a person has given, such as `data.splits`.
    """
    if not is_same_source(data, trained):
        return {} if "data.splits" in given else {"splits": list(ALL_FOR_TESTING)}
    result: dict[str, Any] = {}
    if "splits" in trained and "data.splits" not in given:
        result["splits"] = list(trained["splits"])
    before, now = trained.get("columns") or {}, dict(data.get("columns") or {})
    changed = {key for key in DIVISION if f"data.columns.{key}" in given or "data.columns" in given}
    kept = {
        key: before[key] for key in DIVISION if before.get(key) is not None and key not in changed
    }
    if kept:
        result["columns"] = now | kept
    return result


def seen_in_training(data: Mapping[str, Any], trained: Mapping[str, Any]) -> str:
    """The setting because of which samples that were trained on may be evaluated; empty where there
    is none.

    Args:
        data: the settings now, with what `division_of` says.
        trained: those of the training.
    """
    if not is_same_source(data, trained):
        read = set(_files(trained.get("path"), "train")) & set(_files(data.get("path"), "test"))
        return f"data.path={min(read)}" if read else ""
    now, before = (source.get("columns") or {} for source in (data, trained))
    for key in DIVISION:
        if now.get(key) != before.get(key):
            return f"data.columns.{key}"
    named = isinstance(data.get("path"), Mapping) or before.get("split") is not None
    is_equal = list(data.get("splits", ())) == list(trained.get("splits", ()))
    return "" if named or is_equal else "data.splits"


def _files(path: Any, split: str) -> list[str]:
    """The files of a split; of paths that are for no split in particular all."""
    files = path.get(split) if isinstance(path, Mapping) else path
    located = _located(files if isinstance(files, list | tuple) else [files])
    return [file for file in located if isinstance(file, str)]
