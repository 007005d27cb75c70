"""A file by its path, or by the bytes that it holds: what the readers of images, sounds and
vectors take.
"""

from __future__ import annotations

import io
from pathlib import Path


def opened(source: Path | bytes) -> Path | io.BytesIO:
    """What libraries that read files take."""
    return io.BytesIO(source) if isinstance(source, bytes) else source


def called(source: Path | bytes, name: str | None) -> str:
    """How messages name it: `name`, or else its path."""
    return name or ("the file" if isinstance(source, bytes) else str(source))
