"""JSON lines, or one JSON list of records, as columns of text and of lists of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.data.loading.values import text_of
from polymodal.data.table.text_files import utf8_content

LINE = re.compile(rb"[^\S\n]*+[^\s][^\n]*+")
ROWS = 50_000
"""Rows that are Python objects at a time."""

TEXT = pa.large_string()
Cell = str | list[str | None] | None


class JsonRows:
    """The wanted fields of the records in a file; others are of any type, and are not looked at.

    Args:
        file: JSON lines, or one list.
        wanted: names of fields.
        keep: whether all records are kept as they are.

    Attributes:
        names: of all fields, in the order in which they occur.
        bad: row -> why it cannot be used; in the table it is empty.
        table: a column a wanted field: text, or lists of text where a cell is a list.
        records: of all rows, {} for one that cannot be read; nothing where they are not kept.
    """

    def __init__(self, file: Path, wanted: Sequence[str], keep: bool = False) -> None:
        self.wanted = wanted
        self.records: list[Mapping[str, Any]] = []
        self.bad: dict[int, str] = {}
        seen: dict[str, None] = {}
        chunks: dict[str, list[pa.Array]] = {name: [] for name in wanted}
        cells: dict[str, list[Cell]] = {name: [] for name in wanted}
        self.rows = 0
        for record in self._records(memoryview(utf8_content(file))):
            if not record.keys() <= seen.keys():
                seen.update(dict.fromkeys(record))
            if keep:
                self.records.append(record)
            for name in wanted:
                value = record.get(name)
                cells[name].append(value if isinstance(value, str) else self._cell(name, value))
            self.rows += 1
            if self.rows % ROWS == 0:
                _flush(cells, chunks)
        _flush(cells, chunks)
        self.names = list(seen)
        self.table = pa.table({name: _column(parts) for name, parts in chunks.items()})

    def _records(self, content: memoryview) -> Iterator[Mapping[str, Any]]:
        first = LINE.search(content)
        if first is not None and first.group().lstrip().startswith(b"["):
            try:
                whole = json.loads(bytes(content).decode(errors="surrogateescape"))
            except (ValueError, RecursionError):
                pass  # then lines, each of which is said to be wrong
            else:
                yield from (self._checked(record, "record") for record in whole)
                return
        for match in LINE.finditer(content):
            try:
                record = json.loads(match.group().decode(errors="surrogateescape"))
            except (ValueError, RecursionError) as error:
                where = (
                    f" at character {error.pos + 1}"
                    if isinstance(error, json.JSONDecodeError)
                    else ""
                )
                self.bad[self.rows] = f"it is no JSON: {getattr(error, 'msg', error)}{where}."
                yield {}
            else:
                yield self._checked(record, "line")

    def _checked(self, record: Any, what: str) -> Mapping[str, Any]:
        if isinstance(record, dict):
            return record
        self.bad[self.rows] = f"a {what} is {{...}} with names and values, not {str(record)[:60]}."
        return {}

    def _cell(self, name: str, value: Any) -> Cell:
        try:
            if isinstance(value, list):
                return [text_of(item) for item in value]
            if (
                isinstance(value, dict)
                and value.get("bytes") is None
                and set(value) <= {"bytes", "path"}
            ):
                return text_of(value.get("path"))
            return text_of(value)
        except TypeError:
            self.bad.setdefault(
                self.rows, f"{name} is one value, or a list of them, not {json.dumps(value)[:60]}."
            )
            return None


def _flush(cells: dict[str, list[Cell]], chunks: dict[str, list[pa.Array]]) -> None:
    """Makes arrays of the cells, and forgets these."""
    for name, values in cells.items():
        chunks[name].append(_array(values))
        values.clear()


def _array(cells: Sequence[Cell]) -> pa.Array:
    """Text or, where one of them is a list, lists of text."""
    if not any(isinstance(cell, list) for cell in cells):
        return _text(cells)  # type: ignore[arg-type]
    lists = [[cell] if isinstance(cell, str) else cell for cell in cells]
    ends = np.cumsum([0, *(0 if cells is None else len(cells) for cells in lists)])
    items = _text([item for cells in lists if cells is not None for item in cells])
    missing = pa.array([cells is None for cells in lists])
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), items, mask=missing)


def _text(cells: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(cells, TEXT)
    # the bytes as they were: who reads the column says in which row they are no text
    except UnicodeEncodeError:
        return pa.array(
            [cell and cell.encode(errors="surrogatepass") for cell in cells], pa.large_binary()
        ).view(TEXT)


def _column(parts: Sequence[pa.Array]) -> pa.ChunkedArray:
    """Lists everywhere where there is one in some part."""
    lists = next((part.type for part in parts if part.type != TEXT), None)
    if lists is not None:
        parts = [part if part.type == lists else _single(part) for part in parts]
    return pa.chunked_array(parts, TEXT if lists is None else lists)


def _single(text: pa.Array) -> pa.Array:
    """Cells -> lists of one cell each; null stays null."""
    ends = np.cumsum([0, *text.is_valid().to_numpy(zero_copy_only=False)])
    missing = text.is_null()
    return pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), text.drop_null(), mask=missing)
