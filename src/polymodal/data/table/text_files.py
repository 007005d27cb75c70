"""Text files of any encoding that says what it is, as UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

import pyarrow as pa

from polymodal.errors import DataError

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
HEAD = 200
"""Bytes at the beginning that show whether an encoding has two bytes a character."""


def utf8_content(file: Path) -> pa.Buffer:
    """The bytes of a file in UTF-8, without a byte order mark; a file that is UTF-8 already is
    mapped, not read.

    Other bytes stay as they are: what is not UTF-8 is found where it is used.

    Raises:
        DataError: it is UTF-16 that does not say so, or breaks off.
    """
    content = pa.memory_map(str(file)).read_buffer()
    head = content.slice(0, min(HEAD, content.size)).to_pybytes()
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            try:
                return pa.py_buffer(content.to_pybytes().decode(encoding).encode())
            except UnicodeError as error:
                raise DataError(
                    f"{file} begins as {encoding.upper()} and cannot be read so: {error}"
                ) from error
    if b"\0" in (head[1::2][:1], head[::2][:1]) and head.count(b"\0") > len(head) // 3:
        raise DataError(f"{file} seems to be UTF-16 without its mark. Save it as UTF-8.")
    return content.slice(len(codecs.BOM_UTF8)) if head.startswith(codecs.BOM_UTF8) else content
