"""Files that are whole or not there, written beside the old one and put in its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path, tag: str = "") -> Iterator[Path]:
    """A new, empty file `<name>.part`, which takes the place of `file` when the block ends, and goes when it fails.

    What has that name already, such as the rest of an earlier start or a link, is removed and never written through:
    a folder may come from somebody else.

    Args:
        file: to be written.
        tag: of the name, where several processes may write the same file at a time.

    Raises:
        OSError: the folder cannot be written.
    """
    part = file.with_name(f"{file.name}{tag}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # O_EXCL follows no link
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def write_whole(file: Path, text: str) -> None:
    """The file is the old one until it is the new one.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
