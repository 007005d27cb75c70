"""All columns of table files as they are written there, and their names: for tables that are handed
back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from polymodal.data.table.delimited import Delimited
from polymodal.data.table.files import DELIMITERS, PARQUET, check_file, joined, reading
from polymodal.data.table.json_rows import JsonRows

TEXT = pa.large_string()


def column_names(file: Path) -> list[str]:
    """The columns that a table file has; those of a name that stands twice are none.

    Raises:
        ConfigError: its ending is unknown.
        DataError: it is missing or damaged.
    """
    check_file(file)
    ending = file.suffix.lower()
    with reading(file):
        if ending in DELIMITERS:
            names = Delimited(file, DELIMITERS[ending]).names
        elif ending in PARQUET:
            names = parquet.read_schema(file).names
        else:
            names = JsonRows(file, []).names
    count = Counter(names)
    return [name for name in names if count[name] == 1]


def whole_table(files: Sequence[Path]) -> pa.Table:
    """All columns of files that stand one after the other: the cells of CSV as text, others as they
    are.

    A row that cannot be read is empty, so that rows have the numbers that they have in
    `read_tables`.

    Raises:
        ConfigError: an ending is unknown.
        DataError: a file is missing or damaged.
    """
    tables = [_whole(file, column_names(file)) for file in files]
    names = list(dict.fromkeys(name for table in tables for name in table.column_names))
    full = [_with_columns(table, names) for table in tables]
    return joined(
        full, [str(file) for file in files], [file.parent for file in files], [-1] * len(files)
    ).table


def _whole(file: Path, names: Sequence[str]) -> pa.Table:
    ending = file.suffix.lower()
    with reading(file):
        if ending in DELIMITERS:
            return Delimited(file, DELIMITERS[ending]).read(names)[0].select(names)
        if ending in PARQUET:
            return parquet.read_table(file, columns=names, partitioning=None)
        records = JsonRows(file, [], keep=True).records
    return pa.table({name: _cells([record.get(name) for record in records]) for name in names})


def _cells(values: list[Any]) -> pa.Array:
    """Values of JSON as they are; as text where they are of several types."""
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeEncodeError):
        return pa.array([None if value is None else _text(value) for value in values], TEXT)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="replace").decode()


def _with_columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """The table with all of these columns in this order; one that it does not have is empty."""
    columns: Mapping[str, Any] = {
        name: table[name] if name in table.column_names else pa.nulls(len(table)) for name in names
    }
    return pa.table(dict(columns))
