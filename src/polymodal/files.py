"""Files that are written whole or not at all, and what is said where they cannot be written or
read.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polymodal.errors import ConfigError, StorageError

log = logging.getLogger(__name__)


def check_output(output: Path, key: str = "output") -> None:
    """Refuses an output that could not be written, before any work is done for it. Nothing is made.

    Args:
        output: a file or a folder that may not be there yet, nor the folders above it.
        key: what the user gave it as.

    Raises:
        ConfigError: says which folder cannot be written.
    """
    try:
        there = (
            output
            if output.is_dir()
            else next(path for path in output.absolute().parents if path.exists())
        )
    except OSError as error:  # a name that is too long
        raise ConfigError(f"{key}={output} cannot be written: {error.strerror}.") from error
    if not there.is_dir():
        raise ConfigError(f"{key}={output} cannot be written: {there} is no folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{key}={output} cannot be written: the folder {there} is not writable. Choose another."
        )


@contextmanager
def writing(output: Path, key: str = "output") -> Iterator[None]:
    """Says of what is written in here that it cannot be.

    Raises:
        StorageError: names the output, and why.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{key}={output} cannot be written: {error.strerror or error}."
        ) from error


def read_json(file: Path) -> dict[str, Any]:
    """What a JSON file of a run holds; nothing where it is not there, or was cut or damaged, of
    which it warns.
    """
    if not file.is_file():  # a pipe, which somebody else may have put there, would be waited for
        return {}
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:  # a text that is no UTF-8 or no JSON is a ValueError
        log.warning("%s cannot be read, and is taken for empty: %s", file, error)
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def replacing(file: Path, tag: str = "") -> Iterator[Path]:
    """A new, empty file `<name>.part`, which takes the place of `file` when the block ends, and
    goes when it fails.

    What has that name already, such as the rest of an earlier start or a link, is removed and never
    written through: a folder may come from somebody else.

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
