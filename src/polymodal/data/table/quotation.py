"""Quotation marks of CSV and TSV files: whether they mean anything, and which ones swallow rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

MARK, HIDDEN = b'"', b"\1"
LINE_END = re.compile(rb"[\r\n]|\Z")


class Quotation(NamedTuple):
    """What the marks of a file are.

    Attributes:
        used: whether they stand around cells; else they are text, as in most TSV files.
        lines: whether some cell has several lines.
        open: byte at which a cell is opened that does not close as it should -> what is wrong.
        doubtful: bytes at which a cell is opened whose lines look like rows.
        followed: bytes at which a cell is opened that goes on after its closing mark, in its line.
    """

    used: bool = True
    lines: bool = False
    open: Mapping[int, str] = {}
    doubtful: tuple[int, ...] = ()
    followed: tuple[int, ...] = ()


def quotation_of(content: memoryview, delimiter: str, columns: int) -> Quotation:
    """Reads all marks of a file once.

    In a CSV file marks stand around cells. In a TSV file they do if each cell that begins with one
    ends with one, and no cell holds what looks like rows.

    Args:
        content: the file.
        delimiter: one character.
        columns: of the header.
    """
    break_ = re.escape(delimiter.encode()) + rb"\r\n"
    strict = delimiter == "\t"
    ends = rb"(?=[" + break_ + rb"]|\Z)"
    blanks = re.compile(rb"[^\S" + break_ + rb"]*+" + ends)
    # All up to the next cell that is opened and does not close in its line: other text, marks
    # within text, whole cells.
    simple = re.compile(
        rb'(?:[^"]++|(?<=[^'
        + break_
        + rb'])"|(?:(?<=['
        + break_
        + rb'])|\A)"(?:[^"\r\n]++|"")*+"'
        + ends
        + rb")*+"
    )
    cell = re.compile(rb'"((?:[^"]++|"")*+)("?)')
    position, lines, open_, doubtful, followed = 0, False, {}, [], []
    while (position := simple.match(content, position).end()) < len(content):  # type: ignore[union-attr]
        match = cell.match(content, position)
        assert match is not None
        after = bytes(content[match.end() : match.end() + 1])
        closes = bool(match[2]) and after in (b"", delimiter.encode(), b"\r", b"\n")
        rows = closes and _looks_like_rows(
            content, position, match, delimiter.encode(), columns, 0 if strict else 1
        )
        if strict and (rows or not closes):
            return Quotation(used=False)
        if closes:
            lines = True
            doubtful += [position] * rows
            position = match.end()
        elif match[2] and not re.search(rb"[\r\n]", match[1]):
            followed += [] if blanks.match(content, match.end()) else [position]
            position = match.end()
        else:
            open_[position] = "is followed by text" if match[2] else "is never closed"
            position = _line_end(content, position)
    return Quotation(True, lines, open_, tuple(doubtful), tuple(followed))


def _looks_like_rows(
    content: memoryview,
    start: int,
    match: re.Match[bytes],
    delimiter: bytes,
    columns: int,
    between: int,
) -> bool:
    """Whether each line of a cell would be a row of the table, were it not for the marks."""
    parts = match[1].splitlines()
    if columns < 2 or len(parts) < 2 + between:
        return False
    begin, end = _line_start(content, start), _line_end(content, match.end())
    before, rest = bytes(content[begin:start]), bytes(content[match.end() : end])
    whole = [before + parts[0], *parts[1:-1], parts[-1] + rest]
    return all(part.count(delimiter) == columns - 1 for part in whole)


def _line_start(content: memoryview, position: int) -> int:
    size = 256
    while True:
        begin = max(0, position - size)
        part = bytes(content[begin:position])
        found = max(part.rfind(b"\n"), part.rfind(b"\r"))
        if found >= 0 or begin == 0:
            return begin + found + 1
        size *= 4


def _line_end(content: memoryview, position: int) -> int:
    match = LINE_END.search(content, position)
    assert match is not None
    return match.start()


def with_bad_lines(
    content: memoryview, quotation: Quotation, delimiter: str, columns: int
) -> bytes:
    """The file, with each line in which a cell is opened for nothing begun by a 0, without marks,
    too many cells.
    """
    result, position = bytearray(), 0
    for start in quotation.open:
        begin, end = _line_start(content, start), _line_end(content, start)
        line = bytes(content[begin:end])
        result += content[position:begin]
        result += b"\0" + line.replace(MARK, HIDDEN) + delimiter.encode() * columns
        position = end
    return bytes(result + content[position:])
