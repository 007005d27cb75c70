"""Predictions of some samples as rows: for a terminal, and for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.markup import escape
from rich.table import Table

from polymodal.files import writing
from polymodal.formatting import readable
from polymodal.inference.table_file import write_tables

SHOWN = 5
"""Classes that are printed of a sample."""


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the values of a table beside the other inputs, by the names of their columns."""
    result: dict[str, Any] = {}
    for key, value in row.items():
        is_table = isinstance(value, dict) and key != "probability"
        result |= value if is_table else {key: value}
    return result


def as_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row a sample: its inputs, the prediction, and the probability of the likeliest classes."""
    inputs = [name for name in rows[0] if name not in ("prediction", "probability", "error")]
    table = Table(*map(escape, inputs), "prediction", "probability")
    for column in table.columns:
        column.overflow = "fold"
    shown = {name: _short([str(row[name]) for row in rows]) for name in inputs}
    for number, row in enumerate(rows):
        by_class = row.get("probability", {}).items()
        ranked = sorted(by_class, key=lambda pair: -pair[1])[:SHOWN]
        likeliest = "\n".join(f"{value:.3f} {name}" for name, value in ranked)
        predicted = row.get("error", row["prediction"])
        text = readable(predicted) if isinstance(predicted, float) else str(predicted)
        cells = [*(shown[name][number] for name in inputs), text, likeliest]
        table.add_row(*map(escape, cells))
    return table


def _short(values: Sequence[str]) -> list[str]:
    """Several files of one folder by their names; anything else as it is."""
    folders = {str(Path(value).parent) for value in values}
    if len(set(values)) > 1 and len(folders) == 1:
        return [Path(value).name for value in values]
    return list(values)


def write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes inputs and predictions, each probability as a column, which any format can hold."""
    plain = [_columns(row) for row in rows]
    names = {key: None for row in plain for key in row}
    ordered = sorted(names, key=lambda name: name == "error")
    table = pa.table({name: [row.get(name) for row in plain] for name in ordered})
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_tables(file, iter([table]), file.suffix)


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    columns = {key: value for key, value in flat(row).items() if key != "probability"}
    for name, value in row.get("probability", {}).items():
        columns[f"probability {name}"] = value
    return columns
