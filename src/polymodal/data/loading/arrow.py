"""Columns of any type as text, names, numbers and lists: equal values are equal in all formats of
tables.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.loading.values import (
    LARGEST,
    LISTED,
    NUMERIC,
    SPECIAL,
    listed,
    moment_of,
    name_of,
)
from polymodal.errors import DataError

TEXT = pa.large_string()


def as_text(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Any plain column -> its text (large_string, null where a cell is empty), and where its bytes
    are no UTF-8.

    Raises:
        DataError: the cells are lists or records, or of a type that has no text.
    """
    kind = column.type
    if pa.types.is_nested(kind):
        raise DataError(f"a cell is one value here, not {kind}")
    if pa.types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type))
    bad = np.zeros(0, dtype=np.int64)
    if _is_bytes(kind):
        column = column.cast(pa.large_binary())  # readers do not always check the bytes of text
        try:
            text = column.cast(TEXT)
        except pa.ArrowInvalid:
            broken = np.array([not _is_utf8(cell.as_py()) for cell in column])
            bad = np.flatnonzero(broken)
            text = pc.if_else(pa.array(broken), pa.scalar(None, pa.large_binary()), column).cast(
                TEXT
            )
    else:
        text = _written(column)
    empty = pc.equal(text, "").fill_null(False)
    return (pc.if_else(empty, pa.scalar(None, TEXT), text) if empty.true_count else text), bad


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (
        "string",
        "large_string",
        "string_view",
        "binary",
        "large_binary",
        "binary_view",
        "fixed_size_binary",
    )
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _is_utf8(cell: bytes | None) -> bool:
    try:
        return cell is None or bool(cell.decode()) or True
    except UnicodeDecodeError:
        return False


def _written(column: pa.Array) -> pa.Array:
    """Booleans, numbers and dates as Python writes them, see `text_of`; null for NaN."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False").cast(TEXT)
    if pa.types.is_floating(kind):
        column = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        encoded = column.dictionary_encode()
        values = encoded.dictionary.to_numpy(zero_copy_only=False)
        texts = [None if np.isnan(value) else str(value) for value in values]
        return pa.array(texts, TEXT).take(encoded.indices)
    if pa.types.is_timestamp(kind):
        utc = column.cast(pa.timestamp(kind.unit, "UTC")) if kind.tz else column
        encoded = utc.cast(TEXT).dictionary_encode()
        return pa.array(map(moment_of, encoded.dictionary.to_pylist()), TEXT).take(encoded.indices)
    try:
        if pa.types.is_duration(kind):  # its text would be a number, of one unit or another
            raise pa.ArrowTypeError(kind)
        return column.cast(TEXT)
    except pa.ArrowException as error:
        raise DataError(f"a cell is text, a number or a date here, not {kind}") from error


def as_names(column: pa.Array) -> tuple[pa.Array, np.ndarray, list[str]]:
    """Any plain column -> the names that its cells are, see `name_of`; where its bytes are no
    UTF-8; what was joined.

    The last are texts of which another way of writing occurs too: "1.10" beside "1.1".
    """
    text, bad = as_text(column)
    text = _composed(pc.utf8_trim_whitespace(text))
    found = pc.unique(
        text.filter(pc.match_substring_regex(text, SPECIAL).fill_null(False))
    ).to_pylist()
    names = {text: name_of(text) for text in found}
    changed = {before: after for before, after in names.items() if after != before}
    joined: list[str] = []
    if changed:
        others = set(
            pc.unique(
                text.filter(pc.is_in(text, pa.array(list(set(changed.values())), TEXT)))
            ).to_pylist()
        )
        times = Counter(changed.values())
        joined = sorted(b for b, after in changed.items() if after in others or times[after] > 1)
        place = pc.index_in(text, pa.array(list(changed), TEXT))
        text = pc.coalesce(pa.array(list(changed.values()), TEXT).take(place), text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, TEXT), text), bad, joined


def _composed(text: pa.Array) -> pa.Array:
    """Text whose letters are written in one way, such as the "é" of a Mac and that of other
    systems.
    """
    plain = pc.all(pc.string_is_ascii(text)).as_py()
    return text if plain is not False else pc.utf8_normalize(text, "NFC")


def caption_keys(captions: pa.Array) -> pa.Array:
    """What is compared of captions, see `caption_key`."""
    return pc.utf8_trim_whitespace(
        pc.replace_substring_regex(pc.utf8_lower(_composed(captions)), r"\s+", " ")
    )


def as_numbers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """A column -> (N,) float64, NaN where a cell is empty or NaN, and where a cell is no finite
    number of float32.
    """
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        column = (
            column.cast("int8")
            if pa.types.is_boolean(kind)
            else column.cast(pa.float64(), safe=False)
        )
        values = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.float64)
        empty = column.is_null().to_numpy(zero_copy_only=False) | np.isnan(values)
    else:
        text, _ = as_text(column)
        text = pc.utf8_trim_whitespace(text)
        empty = pc.equal(text, "").fill_null(True).to_numpy(zero_copy_only=False)
        lower = pc.ascii_lower(text)
        for word, digit in (("true", "1"), ("false", "0")):
            text = pc.if_else(pc.equal(lower, word), digit, text)
        matched = pc.match_substring_regex(text, NUMERIC).fill_null(False)
        values = np.array(pc.if_else(matched, text, "nan").to_pylist(), dtype=np.float64)
    values[empty] = np.nan
    return values, np.flatnonzero(~(np.abs(values) <= LARGEST) & ~empty)


def is_list(kind: pa.DataType) -> bool:
    """Whether cells are lists."""
    return any(
        getattr(pa.types, f"is_{name}")(kind)
        for name in ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
    )


def as_list_items(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """A column of lists of cells -> all the cells, and the row of each."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        column = column.cast(pa.large_list(column.type.value_type))
    return column.flatten(), pc.list_parent_indices(column).to_numpy(zero_copy_only=False)


def with_lists(text: pa.Array) -> tuple[pa.Array, np.ndarray, bool]:
    """Text, some of it perhaps lists, see `listed` -> all items, the row of each, and whether there
    is a list.
    """
    rows = np.arange(len(text))
    maybe = pc.match_substring_regex(text, LISTED).fill_null(False).to_numpy(zero_copy_only=False)
    read = {row: listed(text[row].as_py()) for row in np.flatnonzero(maybe).tolist()}
    lists = {row: items for row, items in read.items() if items is not None}
    if not lists:
        return text, rows, False
    plain = np.ones(len(text), dtype=bool)
    plain[list(lists)] = False
    row = np.concatenate(
        [rows[plain], np.repeat(list(lists), [len(items) for items in lists.values()])]
    )
    items = pa.array([item or None for items in lists.values() for item in items], TEXT)
    order = np.argsort(row, kind="stable")  # in the order of the rows
    return (
        pa.concat_arrays([text.filter(pa.array(plain)), items]).take(pa.array(order)),
        row[order],
        True,
    )
