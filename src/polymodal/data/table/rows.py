"""The cells of a manifest, checked row by row; and which rows are of one sample."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.loading.arrow import (
    as_list_items,
    as_names,
    as_numbers,
    as_text,
    is_list,
    with_lists,
)
from polymodal.data.loading.bad_samples import BadSampleError, Reason, Skips
from polymodal.data.loading.values import name_of
from polymodal.data.table.cells import FileCells, bytes_and_paths
from polymodal.data.table.contents import bad_captions
from polymodal.data.table.files import ManifestTable, codes_of, in_one_piece
from polymodal.data.table.spelling import one_spelling
from polymodal.errors import DataError

SHOWN = 5
"""Values that a message names."""


class Rows:
    """Columns of a table as text, numbers or lists. A row with a cell that cannot be used is
    rejected.

    Args:
        table: of one or several files.
        skips: where rejected rows are noted.

    Attributes:
        notes: what a person should know of how cells are read.
    """

    def __init__(self, table: ManifestTable, skips: Skips) -> None:
        self.table, self.skips = table, skips
        self.notes = list(table.notes)
        self.reject(np.array(sorted(table.bad), dtype=np.int64), "bad value", table.bad.__getitem__)
        for row in sorted(table.bad)[:SHOWN]:
            self.notes.append(f"Left out: {table.places(row)}: {table.bad[row]}")

    def names(self, name: str) -> pa.Array:
        """(rows,) names of labels, categories, groups and the like, see `as_names`; null where a
        cell is empty.
        """
        return self._as_names(name, self.table.column(name), np.arange(len(self.table)))

    def files(self, name: str) -> FileCells:
        """(rows,) paths or bytes; empty where a cell is."""
        try:
            content, paths = bytes_and_paths(self.table.table[name])
        except DataError as error:
            raise DataError(f"Column {name}: {error}.") from error
        if paths is None:
            return FileCells(pa.nulls(len(self.table), pa.large_string()), content)
        text, bad = self._as_text(name, in_one_piece(paths))
        self.reject(bad, "bad text", lambda _: _no_text(name))
        return FileCells(text, content, one_spelling(text, self.table.places))

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """(rows, columns) float64, NaN where a cell is empty."""
        result = np.empty((len(self.table), len(names)))
        for index, name in enumerate(names):
            column = self.table.column(name)
            try:
                result[:, index], bad = as_numbers(column)
            except DataError as error:
                raise DataError(f"Column {name}: {error}.") from error
            self.reject(bad, "bad number", partial(_no_number, name, column))
        return result

    def tags(self, name: str) -> tuple[pa.Array, np.ndarray, np.ndarray]:
        """All tags (K,) of a column, the row of each, and (rows,) bool whether those of a row are
        known.

        A cell is a list, or text with "|" between them. Where some are lists, [] is no tag and an
        empty cell means that they are not known. Where all are text, an empty cell is all that can
        say that there is none.
        """
        column = self.table.column(name)
        known = column.is_valid().to_numpy(zero_copy_only=False)
        if is_list(column.type):
            tags, row = as_list_items(column)
        else:
            text, _ = self._as_text(name, column)
            self._note_nested(name, text)
            tags, row, lists = with_lists(text)
            if not lists:
                known = np.ones(len(column), dtype=bool)
                tags, row = as_list_items(pc.split_pattern(tags, "|"))
        names = self._as_names(name, tags, row)
        return names, row, known

    def _items(self, name: str) -> tuple[pa.Array, np.ndarray]:
        """A column of cells or of lists -> all its cells (K,) as text, and the row of each."""
        column = self.table.column(name)
        cells, row = (
            as_list_items(column) if is_list(column.type) else (column, np.arange(len(column)))
        )
        text, bad = self._as_text(name, cells)
        self.reject(row[bad], "bad text", lambda _: _no_text(name))
        self._note_nested(name, text)
        items, of, lists = with_lists(text)
        return items, row[of] if lists else row

    def captions(self, names: Sequence[str], longest: int) -> tuple[pa.Array, np.ndarray]:
        """The sentences (K,) of one or several columns, each a cell or a list, and the row of
        each.
        """
        # several columns of captions are one list
        parts = [self._items(name) for name in names]
        texts, row = parts[0]
        if len(parts) > 1:
            texts = pa.concat_arrays([part[0] for part in parts])
            row = np.concatenate([part[1] for part in parts])

        # captions that no model should learn from
        blank, long = bad_captions(texts, longest)
        self.reject(
            row[blank],
            "bad caption",
            lambda _: f"a caption in column {', '.join(names)} holds nothing but blanks.",
        )
        self.reject(
            row[long],
            "bad caption",
            lambda _: (
                f"a caption in column {', '.join(names)} is longer than data.max_caption={longest} "
                "characters."
            ),
        )

        # programs write a missing text as a word
        words = pc.sum(pc.equal(texts, "nan")).as_py()
        if words:
            self.notes.append(
                f"Column {', '.join(names)}: {words} captions are the word 'nan', which some "
                "programs write where there is none. Leave such cells empty."
            )
        return pc.utf8_trim_whitespace(texts), row

    def _note_nested(self, name: str, text: pa.Array) -> None:
        nested = pc.match_substring_regex(text, r"(?s)^\s*\[\s*[\[(].*\]\s*$").fill_null(False)
        if nested.true_count:
            self.notes.append(
                f"Column {name}: {nested.true_count} cells look like lists of lists, and are read "
                f"as text. The first: {text.filter(nested)[0].as_py()[:60]!r}. A cell is one "
                "value, or a list of them."
            )

    def reject(self, bad: np.ndarray, reason: Reason, problem: Callable[[int], str]) -> None:
        """Rejects rows, each with what is wrong with it."""
        for row in bad.tolist():
            if not self.skips.reasons[row]:  # of several problems the first counts
                self.skips.reject(row, BadSampleError(reason, problem(row)))

    def samples(
        self, ids: pa.Array | None, same: dict[str, pa.Array | np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows are of one sample: those of one id, or else every row is one.

        Args:
            ids: (rows,) text, or None.
            same: column -> cells that must be equal in all rows of an id.

        Returns:
            (N,) the first row of each sample, and (rows,) the sample of each row, -1 where it was
            left out.
        """
        if ids is None:
            return _numbered(np.arange(len(self.table)), self.skips.kept())
        code, names = codes_of(ids)
        missing = ids.is_null().to_numpy(zero_copy_only=False)
        self.reject(np.flatnonzero(missing), "bad value", lambda _: "there is no id.")
        first, sample = _numbered(code, self.skips.kept())
        for name, cells in same.items():
            values = (
                codes_of(cells)[0]
                if isinstance(cells, pa.Array)
                else np.nan_to_num(cells, nan=np.inf)
            )
            there = np.flatnonzero(sample >= 0)
            if not len(there):
                break
            differs = values[there] != values[first[sample[there]]]
            bad = there[differs.reshape(len(there), -1).any(1)]
            self.reject(bad, "bad value", partial(self._duplicate, name, ids, first[sample]))
        return _numbered(code, self.skips.kept())

    def _duplicate(self, name: str, ids: pa.Array, first: np.ndarray, row: int) -> str:
        other = self.table.places(int(first[row]))
        return (
            f"id {ids[row].as_py()!r} has another {name} than in {other}. Rows of one id may "
            "differ in text alone."
        )

    def _as_text(self, name: str, column: pa.Array) -> tuple[pa.Array, np.ndarray]:
        try:
            return as_text(column)
        except DataError as error:
            raise DataError(f"Column {name}: {error}.") from error

    def _as_names(self, name: str, column: pa.Array, row: np.ndarray) -> pa.Array:
        try:
            names, bad, joined = as_names(column)
        except DataError as error:
            raise DataError(f"Column {name}: {error}.") from error
        self.reject(row[bad], "bad text", lambda _: _no_text(name))
        if joined:
            pairs = ", ".join(f"{text!r} as {name_of(text)!r}" for text in joined[:SHOWN])
            self.notes.append(
                f"Column {name}: equal numbers and dates are one value: {pairs} is read."
            )
        return names


def _numbered(code: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(kept)
    _, first, inverse = np.unique(code[rows], return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # samples in the order of their first rows
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    sample = np.full(len(code), -1, dtype=np.int64)
    sample[rows] = place[inverse]
    return rows[first[order]], sample


def _no_number(name: str, column: pa.Array, row: int) -> str:
    value = column[row].as_py()
    shown = repr(value.decode(errors="replace") if isinstance(value, bytes) else value)[:60]
    if isinstance(value, str) and not re.search(r"(?i)\d[eE]\+?\d|\d{30}|nan|inf", value):
        return f"{name}={shown} is no number: write it as 1234.5, or leave the cell empty."
    return f"{name}={shown} is no finite number of float32, which ends at 3.4e38."


def _no_text(name: str) -> str:
    return f"{name} holds bytes that are not UTF-8: save the file as UTF-8."
