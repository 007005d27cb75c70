"""Tables of any columns as a file: CSV, Parquet or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from polymodal.data.table.files import in_one_piece

ENDINGS = (".csv", ".parquet", ".jsonl")
"""Of tables that are written."""


def write_tables(file: Path, tables: Iterator[pa.Table], ending: str) -> None:
    """Writes tables of the same columns one after the other; there is at least one.

    Args:
        file: where to.
        tables: in the order of their rows.
        ending: one of `ENDINGS`, the format.
    """
    writers: Mapping[str, Callable[[Path, pa.Schema], Any]] = {
        ".csv": csv.CSVWriter,
        ".parquet": parquet.ParquetWriter,
        ".jsonl": JsonWriter,
    }
    first = _plain(next(tables), ending)
    with writers[ending](file, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(_plain(table, ending).cast(first.schema))


class JsonWriter:
    """JSON lines.

    Args:
        file: to be written.
        schema: of the tables.
    """

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self.file = file.open("w", encoding="utf-8")

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write_table(self, table: pa.Table) -> None:
        """A line a row; null where a cell is empty."""
        columns = [_python(table[name]) for name in table.column_names]
        for cells in zip(*columns, strict=True):
            row = dict(zip(table.column_names, cells, strict=True))
            self.file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _python(column: pa.ChunkedArray) -> list[Any]:
    """Cells as Python has them; floats of fp32 with the digits that they have, and NaN as null."""
    if pa.types.is_float32(column.type):
        column = pc.cast(pc.cast(column, pa.string()), pa.float64())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        cells = in_one_piece(column).view(pa.large_binary())
        return [cell.as_py() and cell.as_py().decode(errors="replace") for cell in cells]


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists with "|" between their cells, and records as JSON: CSV has neither."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if not pa.types.is_nested(kind):
        return column
    cells = column.to_pylist()
    return pa.chunked_array([pa.array([_cell(cell) for cell in cells], pa.string())])


def _cell(value: Any) -> str | None:
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return "|".join("" if item is None else str(item) for item in value)
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _plain(table: pa.Table, ending: str) -> pa.Table:
    """A table as the format can hold it."""
    if ending != ".csv":
        return table
    return pa.table({name: _flat(table[name]) for name in table.column_names})
