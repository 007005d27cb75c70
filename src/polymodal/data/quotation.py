"""Quotation marks of CSV and TSV files: whether they mean anything, and which ones swallow rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MARK = b'"'


class Quotation(NamedTuple):
    """What the marks of a file are.

    Attributes:
        used: whether they stand around cells; else they are text, as in most TSV files.
        lines: whether some cell has several lines.
        open: byte at which a cell is opened that does not close as it should -> what is wrong.
        doubtful: bytes at which a cell is opened whose lines look like rows.
    """

    used: bool = True
    lines: bool = False
    open: Mapping[int, str] = {}
    doubtful: tuple[int, ...] = ()


def quotation_of(content: memoryview, delimiter: str, columns: int) -> Quotation:
    """Reads all marks of a file once.

    In a CSV file marks stand around cells. In a TSV file they do if each cell that begins with one ends with one, and
    no cell holds what looks like rows.

    Args:
        content: the file.
        delimiter: one character.
        columns: of the header.
    """
    break_ = re.escape(delimiter.encode()) + rb"\r\n"
    strict = delimiter == "\t"
    ends = rb"(?=[" + break_ + rb"]|\Z)" if strict else b""
    # All up to the next cell that is opened and does not close in its line: other text, marks within text, whole cells.
    simple = re.compile(
        rb'(?:[^"]++|(?<=[^' + break_ + rb'])"|(?:(?<=[' + break_ + rb'])|\A)"(?:[^"\r\n]++|"")*+"' + ends + rb")*+"
    )
    cell = re.compile(rb'"((?:[^"]++|"")*+)("?)')
    line_end = re.compile(rb"[\r\n]|\Z")
    position, lines, open_, doubtful = 0, False, {}, []
    while (position := simple.match(content, position).end()) < len(content):  # type: ignore[union-attr]
        match = cell.match(content, position)
        assert match is not None
        after = bytes(content[match.end() : match.end() + 1])
        closes = bool(match[2]) and after in (b"", delimiter.encode(), b"\r", b"\n")
        rows = closes and _looks_like_rows(content, position, match, delimiter.encode(), columns, 0 if strict else 1)
        if strict and (rows or not closes):
            return Quotation(used=False)
        if closes:
            lines = True
            doubtful += [position] * rows
            position = match.end()
        else:
            open_[position] = "is followed by text" if match[2] else "is never closed"
            position = line_end.search(content, position).end()  # type: ignore[union-attr]
    return Quotation(True, lines, open_, tuple(doubtful))


def _looks_like_rows(
    content: memoryview, start: int, match: re.Match[bytes], delimiter: bytes, columns: int, between: int
) -> bool:
    """Whether each line of a cell would be a row of the table, were it not for the marks."""
    parts = match[1].splitlines()
    if columns < 2 or len(parts) < 2 + between:
        return False
    before, rest = _line_before(content, start), _line_after(content, match.end())
    whole = [before + parts[0], *parts[1:-1], parts[-1] + rest]
    return all(part.count(delimiter) == columns - 1 for part in whole)


def _line_before(content: memoryview, position: int) -> bytes:
    line = bytes(content[max(0, position - 2**16) : position]).splitlines(keepends=True)
    return line[-1] if line and not line[-1].endswith((b"\n", b"\r")) else b""


def _line_after(content: memoryview, position: int) -> bytes:
    return (bytes(content[position : position + 2**16]).splitlines() or [b""])[0]


def with_bad_lines(content: memoryview, quotation: Quotation, delimiter: str, columns: int) -> bytes:
    """The file, with each line in which a cell is opened for nothing marked by a 0 and too many cells."""
    result, position = bytearray(), 0
    for start in quotation.open:
        begin = start - len(_line_before(content, start))
        line = _line_after(content, begin)
        result += content[position:begin]
        result += b"\0" + line.replace(MARK, b"'") + delimiter.encode() * columns
        position = begin + len(line)
    return bytes(result + content[position:])
