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

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media import audio
from polymodal.data.media.image_cache import ImageCache
from polymodal.data.media.images import read_image
from polymodal.data.media.npy import read_array
from polymodal.data.media.source import called
from polymodal.data.media.video import read_video
from polymodal.data.table.cells import FileCells
from polymodal.data.table.files import codes_of, taken
from polymodal.errors import DataError

VIDEO = 4
"""Dimensions of a video: frames, channels, height, width."""


class Files:
    """One file a sample at most, or the bytes of one. Samples with the same file share an item, the
    first one's number.

    Args:
        cells: of all rows.
        rows: (N,) the row of each sample.
        folder: (N,) number of the folder that a relative path starts from.
        folders: paths.
        load: path or bytes, and `name` -> array.
        blank: what `load` gives, filled with zeros; of another length where lengths vary.
        cache: where decoded pictures are kept.
    """

    def __init__(
        self,
        cells: FileCells,
        rows: np.ndarray,
        folder: np.ndarray,
        folders: Sequence[Path],
        load: Callable[..., np.ndarray],
        blank: np.ndarray,
        cache: ImageCache | None = None,
    ) -> None:
        self.cells, self.rows, self.folder, self.folders = cells, rows, folder, folders
        self.load, self.blank, self.cache = load, blank, cache
        self.count = cells.there()[rows].astype(np.int64)
        names = taken(cells.names(), rows)
        file = codes_of(names)[0]
        _, first, number = np.unique(file, return_index=True, return_inverse=True)
        named = names.is_valid().to_numpy(zero_copy_only=False)
        self.first = np.where(named, first[number], np.arange(len(file)))

    def item(self, sample: int, turn: int) -> int:
        """The number of the first sample with this file; the sample's own where it has none, or
        bytes.
        """
        return int(self.first[sample])

    def distinct(self, chosen: np.ndarray) -> int:
        """How many different files some samples have."""
        return len(np.unique(self.first[chosen][self.count[chosen] > 0]))

    def source(self, item: int) -> tuple[Path | bytes, str | None]:
        """The file or the bytes, and the name in messages where that is not the file's path.

        Raises:
            BadSampleError: there is no such file, or nothing in it.
        """
        source, name = self.cells.source(int(self.rows[item]))
        if isinstance(source, bytes):
            size: int | None = len(source)
        else:
            source, name = self.folders[self.folder[item]] / source, None
            try:
                there = source.is_file() or (self.blank.ndim == VIDEO and source.is_dir())
                size = source.stat().st_size if there else None
            except (OSError, ValueError):  # a name that no file can have, such as a whole caption
                size = None
            if size is None:
                raise BadSampleError("missing file", f"there is no file {str(source)[:300]}.")
        if size == 0:
            raise BadSampleError("empty file", f"{called(source, name)} has no bytes.")
        return source, name

    def read(self, item: int) -> np.ndarray:
        """What the file holds.

        Raises:
            BadSampleError: it is missing, empty or damaged.
        """
        source, name = self.source(item)
        load = partial(self.load, name=name)
        return load(source) if self.cache is None else self.cache.get(item, source, load)

    def words(self, items: np.ndarray) -> Sequence[str | None]:
        """The paths; None for bytes."""
        paths = self.cells.names().take(pa.array(self.rows[items])).to_pylist()
        folders = self.folder[items].tolist()
        return [
            p and str(self.folders[number] / p) for p, number in zip(paths, folders, strict=True)
        ]

    def show(self, item: int) -> Any:
        """The path if there is one; of a picture (S, S) or (S, S, 3) uint8, of a video its frames
        side by side.
        """
        if self.blank.dtype != np.uint8:
            return self.cells.paths[int(self.rows[item])].as_py()
        picture = self.read(item)
        if picture.ndim == VIDEO:
            picture = np.concatenate(picture, axis=2)
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
        frames: T of a video.
        image_max: the value that is white in images of more than 8 bits; None where their type
            tells.
    """

    image_shape: tuple[int, int, int]
    image_cache: str | None
    image_cache_gb: float
    sample_rate: int
    max_seconds: float
    frames: int
    image_max: float | None = None

    def described(self, kind: str) -> dict[str, Any]:
        """The same as plain data, as far as it is of one kind."""
        channels, size, _ = self.image_shape
        if kind == "audio":
            return {"sample_rate": self.sample_rate, "max_seconds": self.max_seconds}
        frames = {"frames": self.frames} if kind == "video" else {}
        white = {} if self.image_max is None else {"image_max": self.image_max}
        return (
            {"size": size, "channels": channels} | white | frames
            if kind in ("image", "video")
            else {}
        )

    def files(
        self,
        kind: str,
        cells: FileCells,
        rows: np.ndarray,
        folder: np.ndarray,
        folders: Sequence[Path],
    ) -> Files:
        """A modality of kind image, video, audio or vector; the rest as for `Files`."""
        cache = (
            self._cache(cells, rows, folder, folders)
            if self.image_cache and kind == "image"
            else None
        )
        files = Files(cells, rows, folder, folders, *self.reader(kind), cache)
        if kind == "vector":
            width = _width(files)
            files.load = partial(read_vector, width=width)
            files.blank = np.zeros(width, dtype=np.float32)
        return files

    def reader(self, kind: str) -> tuple[Callable[..., np.ndarray], np.ndarray]:
        """How a file of kind image, video, audio or vector is read, and what stands where there is
        none.

        The blank of a vector or a sound is one number, since its length is not known.
        """
        channels, size, _ = self.image_shape
        if kind == "audio":
            load = partial(read_sound, sample_rate=self.sample_rate, max_seconds=self.max_seconds)
            return load, np.zeros(1, dtype=np.float32)
        if kind == "vector":
            return read_vector, np.zeros(1, dtype=np.float32)
        if kind == "video":
            load = partial(
                read_video,
                frames=self.frames,
                size=size,
                channels=channels,
                image_max=self.image_max,
            )
            return load, np.zeros((self.frames, *self.image_shape), dtype=np.uint8)
        load = partial(read_image, size=size, channels=channels, image_max=self.image_max)
        return load, np.zeros(self.image_shape, dtype=np.uint8)

    def _cache(
        self, cells: FileCells, rows: np.ndarray, folder: np.ndarray, folders: Sequence[Path]
    ) -> ImageCache:
        """Places by path; by row where the cells hold bytes."""
        starts = [start.absolute() for start in folders]
        names = zip(folder.tolist(), taken(cells.names(), rows), rows.tolist(), strict=True)
        files = (
            str(starts[part] / (name.as_py() or str(row))).encode() for part, name, row in names
        )
        hashes = (
            int.from_bytes(hashlib.blake2b(file, digest_size=8).digest(), "big", signed=True)
            for file in files
        )
        keys = np.fromiter(hashes, dtype=np.int64, count=len(rows))
        most = int(self.image_cache_gb * 1e9)
        return ImageCache(
            Path(self.image_cache or ""), keys, self.image_shape, most, self.image_max
        )


def read_sound(
    source: Path | bytes, sample_rate: int, max_seconds: float, name: str | None = None
) -> np.ndarray:
    """(samples,) float32, no longer than `max_seconds`.

    Raises:
        BadSampleError: see `polymodal.data.media.audio.read`.
    """
    try:
        return audio.read(source, sample_rate, name, max_seconds)
    except DataError as error:
        raise BadSampleError("damaged file", str(error)) from error


def read_vector(
    source: Path | bytes, width: int | None = None, name: str | None = None
) -> np.ndarray:
    """(D,) float32 from an .npy file.

    Raises:
        BadSampleError: it holds anything else than D finite numbers.
    """
    name = called(source, name)
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and said below
            values = np.asarray(read_array(source), dtype=np.float32)
    except (OSError, ValueError, TypeError, EOFError, OverflowError) as error:
        raise BadSampleError(
            "damaged file", f"{name} is no .npy file of numbers: {error}"
        ) from error
    if values.ndim != 1 or (width is not None and len(values) != width):
        wanted = "one dimension" if width is None else f"{width} numbers, as the first one"
        raise BadSampleError(
            "bad value", f"{name} holds an array of shape {values.shape} instead of {wanted}."
        )
    if not np.isfinite(values).all():
        raise BadSampleError(
            "bad number", f"{name}: a number is NaN, infinite or above 3.4e38, where float32 ends."
        )
    return values


def _width(files: Files) -> int:
    """Numbers in the first vector that can be read."""
    for sample in np.flatnonzero(files.count).tolist():
        try:
            return len(files.read(sample))
        except BadSampleError:
            continue  # it is rejected when its turn comes
    return 1
