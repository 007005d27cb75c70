"""Modalities whose items are files: pictures, sounds and ready vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.data import audio
from polymodal.data.contents import Single
from polymodal.data.image_cache import ImageCache
from polymodal.data.images import read_image
from polymodal.data.skips import BadSampleError
from polymodal.errors import DataError


class Files(Single):
    """One file a sample.

    Args:
        paths: (N,) text, null where there is none.
        folder: (N,) number of the folder that a relative path starts from.
        folders: paths.
        load: path -> array.
        blank: what `load` gives, filled with zeros; of another length where lengths vary.
        cache: where decoded pictures are kept.
    """

    def __init__(
        self,
        paths: pa.Array,
        folder: np.ndarray,
        folders: Sequence[Path],
        load: Callable[[Path], np.ndarray],
        blank: np.ndarray,
        cache: ImageCache | None = None,
    ) -> None:
        self.paths, self.folder, self.folders, self.load = paths, folder, folders, load
        self.blank, self.cache = blank, cache
        self.count = paths.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)

    def read(self, item: int) -> np.ndarray:
        """What the file holds.

        Raises:
            BadSampleError: it is missing, empty or damaged.
        """
        file = self.folders[self.folder[item]] / self.paths[item].as_py()
        try:
            size = file.stat().st_size if file.is_file() else None
        except (OSError, ValueError):  # a name that no file can have, such as a whole caption
            size = None
        if size is None:
            raise BadSampleError("missing file", f"there is no file {str(file)[:300]}.")
        if size == 0:
            raise BadSampleError("empty file", f"{file} has no bytes.")
        return self.load(file) if self.cache is None else self.cache.get(item, file, self.load)

    def show(self, item: int) -> Any:
        """The path, or of a picture (S, S) or (S, S, 3) uint8."""
        if self.blank.dtype != np.uint8:
            return self.paths[item].as_py()
        picture = self.read(item)
        return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


@dataclass(frozen=True)
class MediaFormat:
    """How files are read.

    Attributes:
        image_shape: (C, S, S) of pictures.
        image_cache: folder where decoded pictures are kept, or None.
        image_cache_gb: so much of them at most.
        sample_rate: of sounds, in Hz.
        max_seconds: of sounds.
    """

    image_shape: tuple[int, int, int]
    image_cache: str | None
    image_cache_gb: float
    sample_rate: int
    max_seconds: float

    def files(self, kind: str, paths: pa.Array, folder: np.ndarray, folders: Sequence[Path]) -> Files:
        """A modality of kind image, audio or vector; the rest as for `Files`."""
        if kind == "audio":
            load = partial(read_sound, sample_rate=self.sample_rate, max_seconds=self.max_seconds)
            return Files(paths, folder, folders, load, np.zeros(1, dtype=np.float32))
        if kind == "vector":
            files = Files(paths, folder, folders, read_vector, np.zeros(1, dtype=np.float32))
            width = _width(files)
            files.load, files.blank = partial(read_vector, width=width), np.zeros(width, dtype=np.float32)
            return files
        channels, size, _ = self.image_shape
        load = partial(read_image, size=size, channels=channels)
        cache = self._cache(paths, folder, folders) if self.image_cache else None
        return Files(paths, folder, folders, load, np.zeros(self.image_shape, dtype=np.uint8), cache)

    def _cache(self, paths: pa.Array, folder: np.ndarray, folders: Sequence[Path]) -> ImageCache:
        starts = [str(start.absolute()) for start in folders]
        files = (f"{starts[number]}/{path.as_py()}".encode() for number, path in zip(folder, paths, strict=True))
        hashes = (int.from_bytes(hashlib.blake2b(file, digest_size=8).digest(), "big", signed=True) for file in files)
        names = np.fromiter(hashes, dtype=np.int64, count=len(paths))
        return ImageCache(Path(self.image_cache or ""), names, self.image_shape, int(self.image_cache_gb * 1e9))


def read_sound(file: Path, sample_rate: int, max_seconds: float) -> np.ndarray:
    """(samples,) float32, no longer than `max_seconds`.

    Raises:
        BadSampleError: see `polymodal.data.audio.read`.
    """
    try:
        return audio.read(file, sample_rate)[: round(max_seconds * sample_rate)]
    except DataError as error:
        raise BadSampleError("damaged file", str(error)) from error


def read_vector(file: Path, width: int | None = None) -> np.ndarray:
    """(D,) float32 from an .npy file.

    Raises:
        BadSampleError: it holds anything else than D finite numbers.
    """
    try:
        vector = np.load(file, allow_pickle=False)
        values = np.asarray(vector, dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise BadSampleError("damaged file", f"{file} is no .npy file of numbers: {error}") from error
    if values.ndim != 1 or (width is not None and len(values) != width):
        wanted = "one dimension" if width is None else f"{width} numbers, as the first one"
        raise BadSampleError("bad value", f"{file} holds an array of shape {values.shape} instead of {wanted}.")
    if not np.isfinite(values).all():
        raise BadSampleError("bad number", f"{file}: a number is NaN or infinite.")
    return values


def _width(files: Files) -> int:
    """Numbers in the first vector that can be read."""
    for sample in np.flatnonzero(files.count).tolist():
        try:
            return len(files.read(sample))
        except BadSampleError:
            continue  # it is rejected when its turn comes
    return 1
