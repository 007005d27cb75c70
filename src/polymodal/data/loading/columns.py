"""Which columns of a manifest are what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.errors import ConfigError

FILE_KINDS = ("image", "video", "audio", "vector")
KINDS = (*FILE_KINDS, "text", "tabular")
ROLES = ("label", "group", "split", "split_by", "id")


class ColumnChoice:
    """The columns of each modality, and those that are none, `ROLES`.

    Attributes:
        kinds: modality -> its kind, one of `KINDS`.

    Args:
        columns: modality or role -> column, or several of them; a number is a column of that name.
            None is as if it were not there.
        kinds: modality -> kind, where that is not its name.

    Raises:
        ConfigError: there is no modality, one is of no kind, or has several columns that can have
            only one.
    """

    def __init__(self, columns: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
        named = {key: _names(value) for key, value in columns.items()}
        self.columns = {key: names for key, names in named.items() if names}
        self.kinds = {name: kinds.get(name, name) for name in self.columns if name not in ROLES}
        if not self.kinds:
            raise ConfigError(
                "data.columns names no modality. Such as: data.columns.image=filepath"
            )
        for name, kind in self.kinds.items():
            if kind not in KINDS:
                raise ConfigError(
                    f"data.columns.{name}: say what it is, one of {', '.join(KINDS)}: "
                    f"data.kinds.{name}=image"
                )
        if stray := set(kinds) - set(self.kinds):
            raise ConfigError(f"data.kinds.{min(stray)}: there is no data.columns.{min(stray)}.")
        for key, names in self.columns.items():
            if len(names) > 1 and (key in ROLES[1:] or self.kinds.get(key) in FILE_KINDS):
                raise ConfigError(f"data.columns.{key}={names}: give one column.")

    def __contains__(self, key: str) -> bool:
        return key in self.columns

    def __getitem__(self, key: str) -> list[str]:
        return self.columns[key]

    def leave_out(self, *keys: str) -> None:
        """Takes some of `ROLES` away: they are not read."""
        for key in keys:
            self.columns.pop(key, None)

    def of_kind(self, *kinds: str) -> list[str]:
        """The modalities of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]

    def wanted(self) -> dict[str, str]:
        """Column -> the setting that names it."""
        return {
            column: f"data.columns.{key}" for key, names in self.columns.items() for column in names
        }


def _names(value: Any) -> list[str]:
    """A column or several -> their names, as text: YAML and the command line make a number of the
    name 0.
    """
    if value is None or value is False or value == "":
        return []
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return [str(name) for name in several]


def label_name(columns: Any, label: str) -> str:
    """A label as a reader knows it: its columns, or the label itself where it has none.

    Args:
        columns: a `ColumnChoice`, or what other data have in its place.
        label: key of `PairedBatch.labels`.
    """
    if isinstance(columns, ColumnChoice) and label in columns:
        return ", ".join(columns[label])
    return label


def value_names(columns: Any, label: str, count: int) -> list[str]:
    """What the values of a label are called: its columns; the label itself where it is one value
    without a column.

    Args:
        columns: a `ColumnChoice`, or what other data have in its place.
        label: key of `PairedBatch.labels`.
        count: of the values.
    """
    names = columns[label] if isinstance(columns, ColumnChoice) and label in columns else [label]
    return names if len(names) == count else []
