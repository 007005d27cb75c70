"""Decoded images on disk, shared by all loading processes and later runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from xxhash import xxh3_64_intdigest

from polymodal.errors import DataError

VERSION = 3
"""Raise it when a change in how images are read alters their pixels."""


class ImageCache:
    """Images of one shape as one memory-mapped array, filled as they are asked for, in the first
    epoch.

    Every image has a place of its own, which it keeps when others come to the list, go or change
    their order. It is valid while its file has the size and the time of change that are noted
    beside it (bytes without a file: the size and the checksum), and its pixels the checksum:
    whatever stopped a writer, what it left is decoded again. Two processes that fill a place write
    the same.

    Args:
        folder: of the caches; those of one shape share a folder in it.
        names: (N,) int64, a hash of what each image is called; equal ones are one image.
        shape: (C, S, S) of each.
        max_bytes: so many are kept at most, with the space reserved at once. When it is full, new
            images take the places of those that are not in their list; what finds no place is
            always decoded.
        image_max: as the images are read with; None: by their type.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """

    def __init__(
        self,
        folder: Path,
        names: np.ndarray,
        shape: tuple[int, ...],
        max_bytes: int,
        image_max: float | None = None,
    ) -> None:
        white = "" if image_max is None else f"_white_{image_max:g}"
        self.folder = folder / f"images_{VERSION}_{'x'.join(map(str, shape))}{white}"
        self.names, self.shape = names, shape
        size = int(np.prod(shape))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock"):
                self._take_places(max_bytes // size, size)
        except OSError as error:
            raise DataError(
                f"The image cache {self.folder} of {min(max_bytes, len(names) * size) / 1e9:.1f} "
                f"GB cannot be written: {error}. Lower data.image_cache_gb, or leave out "
                "data.image_cache."
            ) from error

    def _take_places(self, most: int, size: int) -> None:
        """Finds the place of each image, -1 where there is none, and notes the new ones."""
        stamps = self.folder / "stamps"
        count = stamps.stat().st_size // 32 if stamps.exists() else 0
        names, picture = np.unique(self.names, return_inverse=True)
        noted = (
            np.fromfile(stamps, np.int64, 4 * count)[::4] if count else np.zeros(0, dtype=np.int64)
        )
        _, listed, place = np.intersect1d(names, noted, return_indices=True)
        places = np.full(len(names), -1)
        places[listed] = place
        new = np.flatnonzero(places < 0)
        total = max(count, min(most, count + len(new)))
        free = np.concatenate(
            [np.arange(count, total), np.setdiff1d(np.arange(min(count, most)), place)]
        )[: len(new)]
        new = new[: len(free)]
        places[new] = free
        self.places, self.total = places[picture], total
        if total:
            _reserve(self.folder / "pixels", total * size)
            _reserve(stamps, total * 32)
            self._open()
            self.stamps[free] = np.stack(
                [names[new], *np.zeros((3, len(new)), dtype=np.int64)], axis=1
            )

    def _open(self) -> None:
        if self.total:
            self.pixels = np.memmap(
                self.folder / "pixels", np.uint8, "r+", shape=(self.total, *self.shape)
            )
            self.stamps = np.memmap(self.folder / "stamps", np.int64, "r+", shape=(self.total, 4))

    def __getstate__(self) -> dict[str, object]:
        """Without the maps: a process that is spawned opens them itself."""
        return {
            key: value for key, value in self.__dict__.items() if key not in {"pixels", "stamps"}
        }

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()

    def get(
        self, index: int, source: Path | bytes, read: Callable[[Any], np.ndarray]
    ) -> np.ndarray:
        """Image `index`, of this file or these bytes: (C, S, S) uint8 from the cache, or read and
        kept.
        """
        place, name = self.places[index], self.names[index]
        if place < 0 or self.stamps[place, 0] != name:  # or another run has taken its place
            return read(source)
        kept, stamp = self.pixels[place], _stamp(source)
        if self.stamps[place].tolist() == [name, *stamp, _checksum(kept.data)]:
            return np.array(kept)
        picture = np.ascontiguousarray(read(source))
        kept[:] = picture
        # of what is meant: another run may write here too
        self.stamps[place] = [name, *stamp, _checksum(picture.data)]
        return picture


def _checksum(content: memoryview | bytes) -> int:
    """A signed 64-bit number (XXH3, a tenth of the time of CRC-32)."""
    return xxh3_64_intdigest(content) - 2**63


def _stamp(source: Path | bytes) -> tuple[int, int]:
    """Changes when the content does."""
    if isinstance(source, bytes):
        return len(source), _checksum(source)
    status = source.stat()
    return status.st_size, status.st_mtime_ns


def _reserve(file: Path, size: int) -> None:
    """Makes a file so long without touching what is in it; a full disk is found here and not when a
    page is written.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, max(size, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)
