"""CSV and TSV files as columns of text."""

from __future__ import annotations

import csv as python_csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from polymodal.data.table.quotation import HIDDEN, MARK, quotation_of, with_bad_lines
from polymodal.data.table.text_files import utf8_content
from polymodal.errors import DataError

Handler = Callable[[csv.InvalidRow], str]

BLOCK = 2**24
"""Bytes that are parsed at a time: a row is shorter."""

LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
QUOTED = re.compile(r'"[^"]*"')
LONGEST = 1000
"""Characters of a column's name."""
NAMES = {",": "comma", "\t": "tab"}


class Delimited:
    """A CSV or TSV file, opened.

    Args:
        file: with a header.
        delimiter: one character.

    Attributes:
        names: of the columns, as UTF-8 or else in the code page of Western Europe that spreadsheets
            write.
        notes: what a person should know of how it is read.
    """

    def __init__(self, file: Path, delimiter: str) -> None:
        self.file, self.delimiter = file, delimiter
        buffer = utf8_content(file)
        whole = memoryview(buffer)
        self.names, start = self._header(whole, quoted=True)
        self.notes: list[str] = []
        self.quotation = quotation_of(whole[start:], delimiter, len(self.names))
        if not self.quotation.used:
            self.notes.append(
                "not all quotation marks are in pairs around cells, so that they are read as text."
            )
            names, start = self._header(whole, quoted=False)
            self.names = [name[1:-1] if QUOTED.fullmatch(name) else name for name in names]
        self.content = whole[start:]
        self.header_lines = sum(bool(match.group()) for match in LINE.finditer(whole[:start]))

    def _header(self, content: memoryview, quoted: bool) -> tuple[list[str], int]:
        """The names of the columns, and the byte at which the rows begin."""
        end = 0

        def lines() -> Iterator[str]:
            nonlocal end
            while end < len(content):
                match = LINE.match(content, end)
                assert match is not None
                end = match.end()
                yield _decoded(match.group())

        rows = _python_rows(lines(), self.delimiter, quoted)
        try:
            names: list[str] = next((row for row in rows if row), [])
        except python_csv.Error:
            names = [" " * (LONGEST + 1)]
        if any(len(name) > LONGEST for name in names):
            raise DataError(
                f"{self.file}: the header opens a quotation mark that does not close, or has no "
                "line end."
            )
        return names, end

    def read(self, wanted: Sequence[str]) -> tuple[pa.Table, dict[int, str]]:
        """The wanted columns as text, "007" too, and row -> why it cannot be read; in the table it
        is empty.

        Raises:
            ArrowException: the file cannot be read.
        """
        content: Any = self.content
        if self.quotation.open:
            content = with_bad_lines(self.content, self.quotation, self.delimiter, len(self.names))
        if not re.search(rb"[^\r\n]", content):
            return pa.table({name: pa.array([], pa.large_string()) for name in wanted}), {}
        self._note_odd_cells()
        if _is_utf8(content):
            return self._with_bad_rows(content, wanted)
        try:
            return self._parsed(content, wanted, handler=None), {}
        # Arrow cannot hand over a row that is not UTF-8: for this each byte is a character
        except pa.ArrowInvalid:
            table, bad = self._with_bad_rows(bytes(content).decode("latin-1").encode(), wanted)
            return pa.table({name: _bytes_again(table[name]) for name in wanted}), bad

    def _with_bad_rows(
        self, content: Any, wanted: Sequence[str]
    ) -> tuple[pa.Table, dict[int, str]]:
        bad: list[csv.InvalidRow] = []

        def note(row: csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        table = self._parsed(content, wanted, note)
        if not bad:
            return table, {}
        bad.clear()
        # only so are the bad rows numbered
        table = self._parsed(content, wanted, note, threads=False)
        rows = [row.number - 1 for row in bad]
        return _with_gaps(table, rows), dict(
            zip(rows, self._problems(bad, self._lines(content, rows)), strict=True)
        )

    def _parsed(
        self, content: Any, wanted: Sequence[str], handler: Handler | None, threads: bool = True
    ) -> pa.Table:
        marks = '"' if self.quotation.used else False
        lines = self.quotation.lines
        return csv.read_csv(
            pa.BufferReader(pa.py_buffer(content)),
            csv.ReadOptions(block_size=BLOCK, column_names=self.names, use_threads=threads),
            csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=marks,
                newlines_in_values=lines,
                invalid_row_handler=handler,
            ),
            csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.large_string()),
                check_utf8=False,  # wrong bytes are found where the column is used
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _problems(self, bad: Sequence[csv.InvalidRow], lines: Mapping[int, int]) -> Iterator[str]:
        sign = NAMES.get(self.delimiter, self.delimiter)
        for row in bad:
            place, text = f"line {lines.get(row.number - 1, '?')}", row.text[:80]
            if text.startswith("\0"):
                shown = text[1:].rstrip(self.delimiter).replace(HIDDEN.decode(), MARK.decode())
                yield (
                    f"{place} opens a quotation mark that does not close at the end of the cell: "
                    f"{shown!r}. Write a mark within text twice, and marks around the text."
                )
            else:
                yield (
                    f"{place} has {row.actual_columns} cells and the header "
                    f"{row.expected_columns}: {text!r}. Text with a {sign} in it stands in "
                    "quotation marks."
                )

    def _lines(self, content: Any, rows: Sequence[int]) -> dict[int, int]:
        """Row -> the line in which it begins, counted from 1."""
        lines = (_decoded(match.group()) for match in LINE.finditer(content) if match.group())
        reader = _python_rows(lines, self.delimiter, self.quotation.used)
        found, wanted, row, last = {}, set(rows), 0, 0
        try:
            for cells in reader:
                if cells and row in wanted:
                    found[row] = self.header_lines + last + 1
                row, last = row + bool(cells), reader.line_num
        except python_csv.Error:  # a cell that Python takes for too long
            pass
        return found

    def _note_odd_cells(self) -> None:
        for places, problem in (
            (
                self.quotation.doubtful,
                "hold lines that look like rows. Is a quotation mark missing?",
            ),
            (
                self.quotation.followed,
                "go on after their closing quotation mark. Write a mark within text twice.",
            ),
        ):
            if places:
                text = bytes(self.content[places[0] : places[0] + 60]).decode(errors="replace")
                self.notes.append(f"{len(places)} cells {problem} The first: {text!r}")


def _python_rows(lines: Iterator[str], delimiter: str, quoted: bool) -> Any:
    quoting = python_csv.QUOTE_MINIMAL if quoted else python_csv.QUOTE_NONE
    return python_csv.reader(lines, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _is_utf8(content: Any) -> bool:
    """Whether all of it is, without a copy."""
    buffer = pa.py_buffer(content)
    ends = pa.py_buffer(np.array([0, buffer.size], dtype=np.int64))
    try:
        pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, buffer]).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _bytes_again(column: pa.ChunkedArray) -> pa.Array:
    """Text of one character a byte -> the text of these bytes."""
    cells = [cell and cell.encode("latin-1") for cell in column.to_pylist()]
    return pa.array(cells, pa.large_binary()).view(pa.large_string())


def _with_gaps(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """The table with empty rows at these places."""
    gap = np.zeros(len(table) + len(rows), dtype=bool)
    gap[list(rows)] = True
    return table.take(pa.array(np.cumsum(~gap) - 1, mask=gap))
