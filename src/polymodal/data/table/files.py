"""Manifest files as Arrow columns: read, checked, and never turned into Python objects as a
whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from polymodal.data.loading.arrow import as_text
from polymodal.data.loading.columns import ROLES
from polymodal.data.table.delimited import Delimited
from polymodal.data.table.json_rows import JsonRows
from polymodal.errors import ConfigError, DataError, did_you_mean

DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITERS_ELSEWHERE = ";\t|,"
JSON_LINES, PARQUET = {".jsonl", ".ndjson", ".json"}, {".parquet", ".pq"}


@dataclass(frozen=True)
class Places:
    """Where rows come from, for messages and relative paths.

    Attributes:
        names: of the parts, such as files, whose rows stand one after the other.
        folders: (parts,) where relative paths of each start from.
        starts: (parts,) the first row of each.
    """

    names: Sequence[str]
    folders: Sequence[Path]
    starts: np.ndarray

    def part_of(self, row: np.ndarray) -> np.ndarray:
        """Which of the parts each row is from."""
        return np.searchsorted(self.starts, row, "right") - 1

    def __call__(self, row: int) -> str:
        """`pairs.csv, row 3`: rows are counted from 1 in each file, without the header."""
        part = int(self.part_of(np.array(row)))
        return f"{self.names[part]}, row {row - int(self.starts[part]) + 1}"


@dataclass(frozen=True)
class ManifestTable:
    """The rows of one or several parts, such as files.

    Attributes:
        table: the wanted columns.
        places: where each row is from.
        split: (rows,) number of the split where the source itself gives it, else -1.
        bad: row -> why it cannot be read; it is empty in the table.
        notes: what a person should know of how the parts are read.
    """

    table: pa.Table
    places: Places
    split: np.ndarray
    bad: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> pa.Array:
        """A column in one piece."""
        return in_one_piece(self.table[name])


def in_one_piece(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; categories as their values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        # one piece of these may be larger than 2 GB
        column = column.cast(
            pa.large_string() if pa.types.is_string(column.type) else pa.large_binary()
        )
    pieces = column.combine_chunks()
    return pieces if isinstance(pieces, pa.Array) else pa.concat_arrays(pieces.chunks)


def joined(
    tables: Sequence[pa.Table],
    names: Sequence[str],
    folders: Sequence[Path],
    split: Sequence[int],
    bad: Sequence[Mapping[int, str]] = (),
) -> ManifestTable:
    """Parts one after the other, without a copy where their types are equal; values of different
    types as text.

    Args:
        tables: at least one; of the same columns.
        names: of the parts.
        folders: where their relative paths start from.
        split: (parts,) number of the split that each part is, or -1.
        bad: of each part, row -> why it cannot be read.

    Raises:
        DataError: a column has types that do not go together.
    """
    lengths = [len(table) for table in tables]
    starts = np.cumsum([0, *lengths])[:-1]
    try:
        table = pa.concat_tables(_of_equal_types(tables), promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"{', '.join(names)} do not have columns of the same types: {_first_line(error)}"
        ) from error
    wrong = {
        int(start) + row: why
        for start, part in zip(starts, bad, strict=False)
        for row, why in part.items()
    }
    return ManifestTable(table, Places(names, folders, starts), np.repeat(split, lengths), wrong)


def _of_equal_types(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """The same tables; a column of single values as text where it is not of one type in all of
    them.
    """
    tables = list(tables)
    for name in tables[0].column_names:
        kinds = {table[name].type for table in tables if not pa.types.is_null(table[name].type)}
        if len(kinds) < 2 or any(pa.types.is_nested(kind) or _is_binary(kind) for kind in kinds):
            continue
        for index, table in enumerate(tables):
            text, bad = as_text(in_one_piece(table[name]))
            # else the column stays as it is, and each such row is named when it is used
            if not len(bad):
                tables[index] = table.set_column(table.column_names.index(name), name, text)
    return tables


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def read_tables(
    files: Sequence[Path], wanted: Mapping[str, str], split: Sequence[int] = (-1,)
) -> ManifestTable:
    """CSV, TSV, JSON lines or Parquet, by the ending of the file name.

    Args:
        files: one, or one for each split.
        wanted: column -> the setting that names it, for messages.
        split: number of the split that each file is; -1 for one that is to be divided.

    Raises:
        ConfigError: a file does not have a column, or its ending is unknown.
        DataError: a file is missing, is damaged, has no row, or does not go with the others.
    """
    tables, bad, notes = zip(*(_read(file, wanted) for file in files), strict=True)
    table = joined(
        tables, [str(file) for file in files], [file.parent for file in files], split, bad
    )
    return replace(
        table,
        notes=[f"{file}: {note}" for file, own in zip(files, notes, strict=True) for note in own],
    )


def check_file(file: Path) -> None:
    """Refuses what is no table file.

    Raises:
        ConfigError: its ending is unknown.
        DataError: it is missing or empty.
    """
    known = {*DELIMITERS, *JSON_LINES, *PARQUET}
    if not file.is_file():
        raise DataError(f"data.path: there is no file {file}.")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty.")
    if file.suffix.lower() not in known:
        raise ConfigError(
            f"data.path={file}: a manifest ends in one of {', '.join(sorted(known))}."
        )


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Says of a table file that is read in here that it cannot be.

    Raises:
        DataError: names the file, and why.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read: {_first_line(error)}") from error


def _read(
    file: Path, wanted: Mapping[str, str]
) -> tuple[pa.Table, Mapping[int, str], Sequence[str]]:
    """The wanted columns, row -> why it cannot be read, and what a person should know of it."""
    check_file(file)
    ending = file.suffix.lower()
    bad: Mapping[int, str] = {}
    notes: Sequence[str] = ()
    with reading(file):
        if ending in DELIMITERS:
            text = Delimited(file, DELIMITERS[ending])
            check_columns(str(file), text.names, wanted)
            table, bad = text.read(list(wanted))
            notes = text.notes
        elif ending in JSON_LINES:
            records = JsonRows(file, list(wanted))
            table, bad = records.table, records.bad
            if len(bad) < len(table):
                check_columns(str(file), records.names, wanted)
        else:
            check_columns(str(file), parquet.read_schema(file).names, wanted)
            table = parquet.read_table(file, columns=list(wanted), partitioning=None)
    if not len(table):
        raise DataError(f"{file} has no rows.")
    return table.select(list(wanted)), bad, notes


def check_columns(source: str, there: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Refuses columns that a source does not have.

    Raises:
        ConfigError: names the setting, the nearest column, and all that there are.
        DataError: the source has several columns of that name.
    """
    for name, setting in wanted.items():
        if name not in there:
            hint = did_you_mean(name, there, most=1, all_of=0, quoted=True, cutoff=0.5)
            if setting.rpartition(".")[2] in ROLES:
                hint += f" Without it: {setting}=null."
            if len(there) == 1 and (
                other := [mark for mark in DELIMITERS_ELSEWHERE if mark in there[0]]
            ):
                hint = (
                    f" {other[0]!r} seems to stand between its columns: a .csv file has commas "
                    "there, a .tsv tabs."
                )
            raise ConfigError(
                f"{setting}={name}: {source} has no such column.{hint} It has: {', '.join(there)}."
            )
        if list(there).count(name) > 1:
            raise DataError(f"{setting}={name}: {source} has several columns of this name.")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def taken(column: pa.Array, rows: np.ndarray) -> pa.Array:
    """Some rows of a column; the column itself, without a copy, where that is all of them in their
    order.
    """
    if len(rows) == len(column) and np.array_equal(rows, np.arange(len(rows))):
        return column
    return column.take(pa.array(rows))


def codes_of(text: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """(N,) int64 number of each cell's value in the order of first occurrence, and the values; null
    is one of them.
    """
    encoded = text.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary
