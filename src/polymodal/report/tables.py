"""Tables of classes as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor


def write_confusion(file: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """(K, K) counts: a row a true class, a column a predicted one."""
    rows = [[name, *counts] for name, counts in zip(names, confusion.tolist(), strict=True)]
    _write(file, ["true / predicted", *names], rows)


def write_classes(file: Path, table: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """A row a class; `table` is figure -> (K,) values. A figure that is not defined is an empty cell."""
    columns = [[_cell(value) for value in column.tolist()] for column in table.values()]
    _write(file, ["class", *table], list(zip(names, *columns, strict=True)))


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if value != value else f"{value:.6g}"


def _write(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
