"""Renders every named character of the fonts that matplotlib ships, once, into a memory-mapped
cache.

A cache is a folder whose name carries a hash of all that its content depends on (font files,
Pillow, FreeType, the Unicode version, the settings). It is built beside its place and renamed into
it when whole, so that a crash leaves nothing half-written, and two processes that build at once do
no harm: the first one wins.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import PIL
from fontTools.ttLib import TTFont
from PIL import ImageFont, features
from rich.progress import track

from polymodal.errors import DataError

log = logging.getLogger(__name__)

LAYOUT = 1
"""Number of this file's drawing rules: raise it when a change alters the images."""

ARRAYS = {"images.npy", "codepoints.npy", "fonts.npy"}
"""Files of a cache, beside their checksums."""


@dataclass(frozen=True)
class GlyphTable:
    """All rendered characters: N images of C characters.

    Attributes:
        images: (N, S, S) uint8, memory-mapped, ink is 255.
        codepoints: (N,) int32 Unicode code points.
        fonts: (N,) int16 index into `font_names`.
        font_names: file names, without ending.
    """

    images: np.ndarray
    codepoints: np.ndarray
    fonts: np.ndarray
    font_names: list[str]


def font_files(families: Sequence[str]) -> list[Path]:
    """The font files of matplotlib's wheel whose names start with one of `families`, sorted.

    Raises:
        DataError: a family matches no file.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    available = sorted(folder.glob("*.ttf"))
    for family in families:
        if not any(file.name.startswith(family) for file in available):
            names = ", ".join(sorted({file.stem for file in available}))
            raise DataError(
                f"No font file starts with {family!r} (data.families). There are: {names}"
            )
    return [file for file in available if file.name.startswith(tuple(families))]


def load_glyphs(root: Path, families: Sequence[str], image_size: int) -> GlyphTable:
    """The cached table under `root`, built first where it is missing or damaged."""
    files = font_files(families)
    folder = root / f"glyphs_{_fingerprint(files, image_size)}"
    was_there = folder.exists()  # asked first: another process may finish it while we look
    if not _is_whole(folder):
        if was_there:
            log.warning("The glyph cache %s is damaged: it is built again.", folder)
            shutil.rmtree(folder, ignore_errors=True)
        _build(folder, files, image_size)
    images = np.load(folder / "images.npy", mmap_mode="r")
    codepoints, fonts = np.load(folder / "codepoints.npy"), np.load(folder / "fonts.npy")
    return GlyphTable(images, codepoints, fonts, [file.stem for file in files])


def _fingerprint(files: Sequence[Path], image_size: int) -> str:
    digest = hashlib.sha256()
    versions = [PIL.__version__, features.version("freetype2"), unicodedata.unidata_version]
    digest.update(json.dumps([LAYOUT, image_size, versions]).encode())
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _is_whole(folder: Path) -> bool:
    """True where every file has the checksum that was noted when the cache was finished."""
    try:
        checksums = json.loads((folder / "checksums.json").read_text())
        named = checksums.keys() == ARRAYS
        return named and all(_checksum(folder / name) == value for name, value in checksums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _build(folder: Path, files: Sequence[Path], image_size: int) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}_", dir=folder.parent))
    except OSError as error:
        raise DataError(f"The cache folder {folder.parent} cannot be written: {error}") from error
    try:
        images, codepoints, fonts = [], [], []
        for index, file in enumerate(track(files, description="Rendering glyphs", transient=True)):
            for codepoint, image in _render_font(file, image_size):
                images.append(image)
                codepoints.append(codepoint)
                fonts.append(index)
        np.save(building / "images.npy", np.stack(images))
        np.save(building / "codepoints.npy", np.array(codepoints, dtype=np.int32))
        np.save(building / "fonts.npy", np.array(fonts, dtype=np.int16))
        checksums = {file.name: _checksum(file) for file in sorted(building.glob("*.npy"))}
        (building / "checksums.json").write_text(json.dumps(checksums))
        building.chmod(0o755)  # a cache may be shared; temporary folders are private
        building.rename(folder)
    except OSError as error:
        if not _is_whole(folder):  # another process was first: its cache is as good as ours
            raise DataError(f"The glyph cache {folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _render_font(file: Path, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(code point, (S, S) image) of each named character of one font that leaves any ink."""
    with TTFont(file, lazy=True) as font:
        codepoints = sorted(font.getBestCmap())
    em = round(size * 0.8)  # accents over capitals and descenders still fit
    fonts = {em: ImageFont.truetype(file, em, layout_engine=ImageFont.Layout.BASIC)}
    for codepoint in codepoints:
        if unicodedata.name(chr(codepoint), None) is None:
            continue
        mask, (_, top) = fonts[em].getmask2(chr(codepoint), mode="L", anchor="ls")
        # too large: the same character in a smaller size of the same font
        if max(mask.size) > size:
            smaller = max(1, int(em * size / max(mask.size)))
            if smaller not in fonts:
                fonts[smaller] = ImageFont.truetype(
                    file, smaller, layout_engine=ImageFont.Layout.BASIC
                )
            mask, (_, top) = fonts[smaller].getmask2(chr(codepoint), mode="L", anchor="ls")
        if mask.getbbox() is not None:
            yield codepoint, _place(mask, top, size)


def _place(mask: Any, top: int, size: int) -> np.ndarray:
    """Centres the ink from left to right and keeps its height over the base line, which
    distinguishes ' from ,
    """
    width, height = mask.size
    ink = np.frombuffer(bytes(mask), dtype=np.uint8).reshape(height, width)[:size, :size]
    baseline = round(size * 0.76)
    row = min(max(baseline + top, 0), size - ink.shape[0])
    column = (size - ink.shape[1]) // 2
    picture = np.zeros((size, size), dtype=np.uint8)
    picture[row : row + ink.shape[0], column : column + ink.shape[1]] = ink
    return picture
