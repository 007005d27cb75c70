"""CSV and TSV files as columns of text."""

from __future__ import annotations

import csv as python_csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from polymodal.data.quotation import quotation_of, with_bad_lines
from polymodal.data.text_files import utf8_content

BLOCK = 2**24
"""Bytes that are parsed at a time: a row is shorter."""

LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
NAMES = {",": "comma", "\t": "tab"}


class Delimited:
    """A CSV or TSV file, opened.

    Args:
        file: with a header.
        delimiter: one character.

    Attributes:
        names: of the columns, as UTF-8 or else in the code page of Western Europe that spreadsheets write.
        notes: what a person should know of how it is read.
    """

    def __init__(self, file: Path, delimiter: str) -> None:
        self.file, self.delimiter = file, delimiter
        buffer = utf8_content(file)
        self.names, start = self._header(memoryview(buffer), quoted=True)
        self.content = memoryview(buffer)[start:]
        self.header_lines = sum(bool(match.group()) for match in LINE.finditer(memoryview(buffer)[:start]))
        self.notes: list[str] = []
        self.quotation = quotation_of(self.content, delimiter, len(self.names))
        if not self.quotation.used:
            self.notes.append("not all quotation marks are in pairs around cells, so that they are read as text.")
            self.names, _ = self._header(memoryview(buffer), quoted=False)

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
        except python_csv.Error:  # a mark that is never closed
            names = []
        return names, end

    def read(self, wanted: Sequence[str]) -> tuple[pa.Table, dict[int, str]]:
        """The wanted columns as text, "007" too, and row -> why it cannot be read; in the table it is empty.

        Raises:
            ArrowException: the file cannot be read.
        """
        content: Any = self.content
        if self.quotation.open:
            content = with_bad_lines(self.content, self.quotation, self.delimiter, len(self.names))
        if not re.search(rb"[^\r\n]", content):
            return pa.table({name: pa.array([], pa.large_string()) for name in wanted}), {}
        table, bad = self._parsed(content, wanted, threads=True)
        self._note_rows_in_cells()
        if not bad:
            return table, {}
        table, bad = self._parsed(content, wanted, threads=False)  # only so are the bad rows numbered
        rows = [row.number - 1 for row in bad]
        problems = dict(zip(rows, self._problems(bad, self._lines(content, rows)), strict=True))
        return _with_gaps(table, rows), problems

    def _parsed(self, content: Any, wanted: Sequence[str], threads: bool) -> tuple[pa.Table, list[csv.InvalidRow]]:
        bad: list[csv.InvalidRow] = []

        def note(row: csv.InvalidRow) -> str:
            bad.append(row)
            return "skip"

        marks = '"' if self.quotation.used else False
        lines = self.quotation.lines
        return csv.read_csv(
            pa.BufferReader(pa.py_buffer(content)),
            csv.ReadOptions(block_size=BLOCK, column_names=self.names, use_threads=threads),
            csv.ParseOptions(
                delimiter=self.delimiter, quote_char=marks, newlines_in_values=lines, invalid_row_handler=note
            ),
            csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=dict.fromkeys(wanted, pa.large_string()),
                check_utf8=False,  # wrong bytes are found where the column is used
                null_values=[""],
                strings_can_be_null=True,
            ),
        ), bad

    def _problems(self, bad: Sequence[csv.InvalidRow], lines: Mapping[int, int]) -> Iterator[str]:
        sign = NAMES.get(self.delimiter, self.delimiter)
        for row in bad:
            place, text = f"line {lines.get(row.number - 1, '?')}", row.text[:80]
            if text.startswith("\0"):
                shown = text[1:].rstrip(self.delimiter)
                yield (
                    f"{place} opens a quotation mark that does not close at the end of the cell: {shown!r}. Write a "
                    "mark within text twice, and marks around the text."
                )
            else:
                yield (
                    f"{place} has {row.actual_columns} cells and the header {row.expected_columns}: {text!r}. Text "
                    f"with a {sign} in it stands in quotation marks."
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

    def _note_rows_in_cells(self) -> None:
        if places := self.quotation.doubtful:
            text = bytes(self.content[places[0] : places[0] + 60]).decode(errors="replace")
            self.notes.append(
                f"{len(places)} cells hold lines that look like rows. Is a quotation mark missing? The first: {text!r}"
            )


def _python_rows(lines: Iterator[str], delimiter: str, quoted: bool) -> Any:
    quoting = python_csv.QUOTE_MINIMAL if quoted else python_csv.QUOTE_NONE
    return python_csv.reader(lines, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]


def _decoded(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _with_gaps(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """The table with empty rows at these places."""
    gap = np.zeros(len(table) + len(rows), dtype=bool)
    gap[list(rows)] = True
    return table.take(pa.array(np.cumsum(~gap) - 1, mask=gap))
