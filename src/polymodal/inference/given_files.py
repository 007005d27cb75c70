"""The files that a person means by one word: a file, several, a pattern of names, or a folder."""

from __future__ import annotations

import glob
from pathlib import Path

from polymodal.data.loading.hidden import is_hidden
from polymodal.errors import ConfigError

ENDINGS = dict.fromkeys(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg"), "image"
)
ENDINGS |= dict.fromkeys((".wav", ".flac", ".ogg", ".mp3"), "audio")
ENDINGS |= dict.fromkeys((".mp4", ".webm", ".mkv", ".mov", ".avi"), "video") | {".npy": "vector"}
"""What a file is likely to hold."""


def are_several(given: str, kind: str) -> bool:
    """Whether that is a list, a pattern or a folder; a folder of frames is one video."""
    place = Path(given)
    if place.exists():
        return place.is_dir() and kind != "video"
    return given[:1] + given[-1:] == "[]" or glob.has_magic(given)


def files_of(name: str, given: str, kind: str) -> list[str]:
    """The files of a list, a pattern or a folder, in order.

    Args:
        name: of the modality, for messages.
        given: such as `[a.png,b.png]`, `photos/*.png` or `photos`.
        kind: of the modality.

    Raises:
        ConfigError: there is no such file.
    """
    place = Path(given)
    if place.is_dir():
        files = [file for file in sorted(place.iterdir()) if not is_hidden(file.name)]
        found = [str(file) for file in files if ENDINGS.get(file.suffix.lower()) == kind]
        if not found:
            raise ConfigError(f"{name}={given}: there is no {kind} in this folder.")
        return found
    if given[:1] + given[-1:] == "[]":
        return [part.strip().strip("\"'") for part in given[1:-1].split(",")]
    matching = sorted(glob.glob(given, recursive=True))  # noqa: PTH207  (it may start anywhere)
    if not matching:
        raise ConfigError(f"{name}={given}: there is no such file.")
    return matching
