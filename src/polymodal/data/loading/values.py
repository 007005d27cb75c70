"""The one text of a value, in whichever format of table it was stored."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
import unicodedata
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

LARGEST = 3.4028234663852886e38
"""What float32 holds."""

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)\.\d+|-?\d(?:\.\d+)?[eE][-+]\d{1,3}", re.ASCII)
"""A number as Python, pandas, JSON and Arrow write floats and decimals: no "007", no "+5", no
"12e45" of a hash."""

NUMERIC = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
"""A cell of a column of numbers, however it is written."""

MOMENT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d)"
    r"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[-+]\d\d:?\d\d)?",
    re.ASCII,
)
TIME = re.compile(r"(\d\d:\d\d:\d\d)\.(\d+)", re.ASCII)
BOOLEANS = {"true": "True", "false": "False"}

SPECIAL = (
    r"^(-?[0-9]+\.[0-9]+|-?[0-9](\.[0-9]+)?[eE][-+][0-9]+|[0-9:.]{8,}|[0-9-]{10}[T ].*"
    r"|(?i)true|false)$"
)
"""Of Arrow: texts that `name_of` may change, beside those with blanks around."""

LISTED = r"(?s)^\s*(\[.*\]|\(['\"].*\)|\{['\"].*\}|\(\)|set\(\))\s*$"
"""Texts that may be lists, for Arrow too."""

TUPLE_OR_SET = re.compile(r"""\(['"].*\)|\{['"].*\}|\(\)|set\(\)""", re.DOTALL)
NUMPY = re.compile(r"""['"]\s+['"]""")
CONSTANTS = {"None": None, "nan": None, "True": True, "False": False}


def text_of(value: Any) -> str | None:
    """A value as Python and pandas write it into a CSV file; None for what is missing, NaN too.

    Text stays as it is.

    Raises:
        TypeError: it is no single value, such as a list or a mapping.
        UnicodeDecodeError: bytes that are no UTF-8.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8-sig")  # a file of its own may begin with a mark
    if isinstance(value, float):
        return None if math.isnan(value) else repr(float(value))
    if isinstance(value, bool | int | Decimal):
        return str(value)
    if isinstance(value, datetime):
        return moment_of(value.isoformat(" "))
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} instead of text")


def name_of(text: str) -> str:
    """The name that a text is, of a label, category, group, split or id: equal values have equal
    names.

    Its letters are composed (NFC); there are no blanks around it; "1.0" and "1.50" are "1" and
    "1.5", "true" is "True", and a moment is written as "2024-01-31 12:30:00", without the time at
    midnight, and in UTC where its zone is known.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    if NUMBER.fullmatch(text):
        plain = format(Decimal(text), "f")
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain == "-0" else plain
    if match := TIME.fullmatch(text):
        fraction = match[2].rstrip("0")
        return f"{match[1]}.{fraction}" if fraction else match[1]
    return moment_of(text)


def caption_key(caption: str) -> str:
    """What is compared of a caption: captions that differ in case, or in blanks, say the same."""
    return " ".join(unicodedata.normalize("NFC", caption).lower().split())


def moment_of(text: str) -> str:
    """A date with a time in one way of writing; any other text as it is."""
    match = MOMENT.fullmatch(text)
    if match is None:
        return text
    try:
        moment = datetime.fromisoformat(
            f"{match['date']} {match['time']}:{match['second'] or '00'}"
        )
        zone = match["zone"]
        if zone is not None and zone != "Z":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
            moment = moment + offset if zone[0] == "-" else moment - offset
    except (ValueError, OverflowError):  # no such day
        return text
    fraction = (match["fraction"] or "").rstrip("0")
    if zone is None and not fraction and moment.time() == time():
        return match["date"]
    return str(moment) + (f".{fraction}" if fraction else "") + ("" if zone is None else "+00:00")


def number_of(value: Any) -> float:
    """A number; 1 and 0 for true and false, NaN where it is missing.

    Raises:
        ValueError: it is no finite number that float32 holds.
        TypeError: it is no single value.
    """
    text = (text_of(value) or "").strip()
    if not text:
        return math.nan
    if text.lower() in BOOLEANS:
        return float(text.lower() == "true")
    number = float(text) if re.fullmatch(NUMERIC, text, re.ASCII) else math.nan
    if not abs(number) <= LARGEST:
        raise ValueError(f"{text} is no finite number of float32")
    return number


def listed(text: str) -> list[str | None] | None:
    """The items of a list that is written as text: JSON, Python's, or NumPy's as pandas writes it;
    None for no list.

    Also of a tuple or a set of texts, as Python writes it: ('a', 'b'), {'b', 'a'}, of which the
    latter is sorted.
    """
    text = text.strip()
    if TUPLE_OR_SET.fullmatch(text):
        values = [] if text in ("()", "set()") else _of_python(text)
        if isinstance(values, set) and all(isinstance(value, str) for value in values):
            values = sorted(values)
        texts = isinstance(values, list | tuple) and all(
            isinstance(value, str | None) for value in values
        )
        return list(values) if texts else None
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None if NUMPY.search(text) else _of_python(text)
        values = _of_numpy(text) if values is None else values
    try:
        return None if values is None else [text_of(value) for value in values]
    except (TypeError, UnicodeDecodeError):  # a list of lists
        return None


def _of_python(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _of_numpy(text: str) -> list[Any] | None:
    """Strings, numbers and constants between brackets, with or without commas."""
    values: list[Any] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text[1:-1]).readline):
            if token.type in (tokenize.STRING, tokenize.NUMBER):
                values.append(ast.literal_eval(token.string))
            elif token.type == tokenize.NAME and token.string in CONSTANTS:
                values.append(CONSTANTS[token.string])
            elif token.string.strip() not in ("", ","):
                return None
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None
    return values
