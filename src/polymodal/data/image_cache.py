"""Decoded pictures on disk, shared by all loading processes and later runs."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from polymodal.errors import DataError

VERSION = 1
"""Raise it when a change in how pictures are read alters their pixels."""


class ImageCache:
    """The first pictures of a list as one memory-mapped array, filled as they are asked for.

    A picture is valid while its file has the size and the time of change that are noted beside it, and its pixels the
    checksum: whatever stopped a writer, what it left is decoded again. Two processes that fill a place write the same.

    Args:
        folder: of all caches; one of these pictures and settings gets a folder of its own in it.
        key: what the pixels depend on beside the files.
        count: number of pictures.
        shape: (C, S, S) of each.
        max_bytes: so many are kept at most, with the space reserved at once; later pictures are always decoded.

    Raises:
        DataError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path, key: str, count: int, shape: tuple[int, ...], max_bytes: int) -> None:
        size = int(np.prod(shape))
        self.capacity = min(count, max_bytes // size)
        name = hashlib.sha256(f"{VERSION} {shape} {key}".encode()).hexdigest()[:16]
        self.folder = folder / f"images_{name}"
        self.shape = shape
        if self.capacity:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                for file, width in (("pixels", size), ("stamps", 24)):
                    _reserve(self.folder / file, self.capacity * width)
            except OSError as error:
                raise DataError(
                    f"The image cache {self.folder} of {self.capacity * size / 1e9:.1f} GB cannot be written: {error}. "
                    "Lower data.image_cache_gb, or leave out data.image_cache."
                ) from error
        self._open()

    def _open(self) -> None:
        if self.capacity:
            pixels, stamps = self.folder / "pixels", self.folder / "stamps"
            self.pixels = np.memmap(pixels, np.uint8, "r+", shape=(self.capacity, *self.shape))
            self.stamps = np.memmap(stamps, np.int64, "r+", shape=(self.capacity, 3))

    def __getstate__(self) -> dict[str, object]:
        """Without the maps: a process that is spawned opens them itself."""
        return {key: value for key, value in self.__dict__.items() if key not in {"pixels", "stamps"}}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open()

    def get(self, index: int, file: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
        """Picture `index`, whose file this is: (C, S, S) uint8 from the cache, or read and kept."""
        if index >= self.capacity:
            return read(file)
        status = file.stat()
        kept = self.pixels[index]
        stamp = [status.st_size, status.st_mtime_ns, zlib.crc32(kept)]
        if self.stamps[index].tolist() == stamp:
            return np.array(kept)
        picture = read(file)
        kept[:] = picture
        self.stamps[index] = [*stamp[:2], zlib.crc32(kept)]
        return picture


def _reserve(file: Path, size: int) -> None:
    """Makes a file so long without touching what is in it; a full disk is found here and not when a page is written."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, max(size, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)
