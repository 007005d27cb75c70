"""Manifest files as Arrow columns: read, checked, and never turned into Python objects as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, json, parquet

from polymodal.errors import ConfigError, DataError

BLOCK = 2**24
"""Bytes that are parsed at a time: a row is shorter."""

NUMBER = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITERS_ELSEWHERE = ";\t|"
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
        split: (rows,) number of the split where the source itself tells it, else -1.
    """

    table: pa.Table
    places: Places
    split: np.ndarray

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
        column = column.cast(pa.large_string() if pa.types.is_string(column.type) else pa.large_binary())
    pieces = column.combine_chunks()
    return pieces if isinstance(pieces, pa.Array) else pa.concat_arrays(pieces.chunks)


def joined(
    tables: Sequence[pa.Table], names: Sequence[str], folders: Sequence[Path], split: Sequence[int]
) -> ManifestTable:
    """Parts one after the other, without a copy where their types are equal.

    Args:
        tables: at least one; of the same columns.
        names: of the parts.
        folders: where their relative paths start from.
        split: (parts,) number of the split that each part is, or -1.

    Raises:
        DataError: a column has types that do not go together.
    """
    lengths = [len(table) for table in tables]
    starts = np.cumsum([0, *lengths])[:-1]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(f"{', '.join(names)} do not have columns of the same types: {_first_line(error)}") from error
    return ManifestTable(table, Places(names, folders, starts), np.repeat(split, lengths))


def read_tables(files: Sequence[Path], wanted: Mapping[str, str], split: Sequence[int] = (-1,)) -> ManifestTable:
    """CSV, TSV, JSON lines or Parquet, told by the ending of the file name.

    Args:
        files: one, or one for each split.
        wanted: column -> the setting that names it, for messages.
        split: number of the split that each file is; -1 for one that is to be divided.

    Raises:
        ConfigError: a file does not have a column, or its ending is unknown.
        DataError: a file is missing, is damaged, has no row, or does not go with the others.
    """
    tables = [_read(file, wanted) for file in files]
    return joined(tables, [str(file) for file in files], [file.parent for file in files], split)


def _read(file: Path, wanted: Mapping[str, str]) -> pa.Table:
    if not file.is_file():
        raise DataError(f"data.path: there is no file {file}.")
    if file.stat().st_size == 0:
        raise DataError(f"{file} is empty.")
    ending = file.suffix.lower()
    try:
        if ending in DELIMITERS:
            table = _read_csv(file, wanted, DELIMITERS[ending])
        elif ending in JSON_LINES:
            table = json.read_json(file, json.ReadOptions(block_size=BLOCK))
            check_columns(str(file), table.column_names, wanted)
        elif ending in PARQUET:
            check_columns(str(file), parquet.read_schema(file).names, wanted)
            table = parquet.read_table(file, columns=list(wanted), partitioning=None)
        else:
            known = ", ".join(sorted({*DELIMITERS, *JSON_LINES, *PARQUET}))
            raise ConfigError(f"data.path={file}: a manifest ends in one of {known}.")
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read: {_first_line(error)}") from error
    if not len(table):
        raise DataError(f"{file} has no rows.")
    return table.select(list(wanted))


def _read_csv(file: Path, wanted: Mapping[str, str], delimiter: str) -> pa.Table:
    reading = csv.ReadOptions(block_size=BLOCK)
    parsing = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    with csv.open_csv(file, reading, parsing) as reader:
        check_columns(str(file), reader.schema.names, wanted)
    converting = csv.ConvertOptions(
        include_columns=list(wanted),
        column_types=dict.fromkeys(
            wanted, pa.large_string()
        ),  # "007" stays what it is, and wrong bytes are found below
        check_utf8=False,
        null_values=[""],
        strings_can_be_null=True,
    )
    return csv.read_csv(file, reading, parsing, converting)


def check_columns(source: str, there: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Refuses columns that a source does not have.

    Raises:
        ConfigError: names the setting, the nearest column, and all that there are.
        DataError: the source has several columns of that name.
    """
    for name, setting in wanted.items():
        if name not in there:
            near = get_close_matches(name, there, 1, 0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if len(there) == 1 and (other := [mark for mark in DELIMITERS_ELSEWHERE if mark in there[0]]):
                hint = f" {other[0]!r} seems to stand between its columns: a .csv file has commas there, a .tsv tabs."
            raise ConfigError(f"{setting}={name}: {source} has no such column.{hint} It has: {', '.join(there)}.")
        if list(there).count(name) > 1:
            raise DataError(f"{setting}={name}: {source} has several columns of this name.")


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__


def as_text(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Any plain column -> its text (large_string, null where a cell is empty), and where its bytes are no UTF-8.

    Raises:
        DataError: the cells are lists or records.
    """
    if pa.types.is_nested(column.type):
        raise DataError(f"a cell is one value here, not {column.type}")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())  # readers do not always check the bytes
    bad = np.zeros(0, dtype=np.int64)
    if pa.types.is_large_binary(column.type) or pa.types.is_binary(column.type):
        try:
            text = column.cast(pa.large_string())
        except pa.ArrowInvalid:
            broken = np.array([not _is_utf8(cell.as_py()) for cell in column])
            bad = np.flatnonzero(broken)
            text = pc.if_else(pa.array(broken), pa.scalar(None, pa.large_binary()), column).cast(pa.large_string())
    else:
        text = column.cast(pa.large_string())
    empty = pc.equal(text, "").fill_null(False)
    return (pc.if_else(empty, pa.scalar(None, pa.large_string()), text) if empty.true_count else text), bad


def _is_utf8(cell: bytes | None) -> bool:
    try:
        return cell is None or bool(cell.decode()) or True
    except UnicodeDecodeError:
        return False


def as_numbers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """A column -> (N,) float64, NaN where a cell is empty, and where a cell is no finite number."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type):
        column = column.cast(pa.float64(), safe=False) if not pa.types.is_boolean(column.type) else column.cast("int8")
        empty = column.is_null().to_numpy(zero_copy_only=False)
        values = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        text, _ = as_text(column)
        empty = text.is_null().to_numpy(zero_copy_only=False)
        matched = pc.match_substring_regex(text, NUMBER).fill_null(False)
        values = np.array(pc.if_else(matched, text, "nan").to_pylist(), dtype=np.float64)
    values[empty] = np.nan
    return values, np.flatnonzero(~np.isfinite(values) & ~empty)


def as_list_items(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """A column of cells or of lists of cells -> all the cells, and the row of each."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.flatten(), pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    return column, np.arange(len(column))


def taken(column: pa.Array, rows: np.ndarray) -> pa.Array:
    """Some rows of a column; the column itself, without a copy, where that is all of them in their order."""
    if len(rows) == len(column) and np.array_equal(rows, np.arange(len(rows))):
        return column
    return column.take(pa.array(rows))


def codes_of(text: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """(N,) int64 number of each cell's value in the order of first occurrence, and the values; null is one of them."""
    encoded = text.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary
