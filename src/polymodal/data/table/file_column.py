"""A column of a table whose cells are files: images, sounds, videos and ready vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.data.loading.bad_samples import BadSampleError
from polymodal.data.media.formats import MediaFormat, read_vector
from polymodal.data.media.image_cache import ImageCache
from polymodal.data.media.source import called
from polymodal.data.table.cells import FileCells
from polymodal.data.table.files import codes_of, taken

VIDEO = 4
"""Dimensions of a video: frames, channels, height, width."""


class FileColumn:
    """One file a sample at most, or the bytes of one. Samples with the same file share an item, the
    first one's number.

    Args:
        cells: of all rows.
        rows: (N,) the row of each sample.
        folder: (N,) number of the folder that a relative path starts from.
        folders: paths.
        load: path or bytes, and `name` -> array.
        blank: what `load` gives, filled with zeros; of another length where lengths vary.
        cache: where decoded images are kept.
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
        """The path if there is one; of an image (S, S) or (S, S, 3) uint8, of a video its frames
        side by side.
        """
        if self.blank.dtype != np.uint8:
            return self.cells.paths[int(self.rows[item])].as_py()
        picture = self.read(item)
        if picture.ndim == VIDEO:
            picture = np.concatenate(picture, axis=2)
        return picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)


def file_column(
    format: MediaFormat,
    kind: str,
    cells: FileCells,
    rows: np.ndarray,
    folder: np.ndarray,
    folders: Sequence[Path],
) -> FileColumn:
    """A modality of kind image, video, audio or vector; the other arguments are `FileColumn`'s."""
    cache = None
    if format.image_cache and kind == "image":
        cache = _image_cache(format, cells, rows, folder, folders)
    column = FileColumn(cells, rows, folder, folders, *format.reader(kind), cache)
    if kind == "vector":
        width = _width(column)
        column.load = partial(read_vector, width=width)
        column.blank = np.zeros(width, dtype=np.float32)
    return column


def _image_cache(
    format: MediaFormat,
    cells: FileCells,
    rows: np.ndarray,
    folder: np.ndarray,
    folders: Sequence[Path],
) -> ImageCache:
    """Places by path; by row where the cells hold bytes."""
    starts = [start.absolute() for start in folders]
    names = zip(folder.tolist(), taken(cells.names(), rows), rows.tolist(), strict=True)
    files = (str(starts[part] / (name.as_py() or str(row))).encode() for part, name, row in names)
    hashes = (
        int.from_bytes(hashlib.blake2b(file, digest_size=8).digest(), "big", signed=True)
        for file in files
    )
    keys = np.fromiter(hashes, dtype=np.int64, count=len(rows))
    most = int(format.image_cache_gb * 1e9)
    folder_of_cache = Path(format.image_cache or "")
    return ImageCache(folder_of_cache, keys, format.image_shape, most, format.image_max)


def _width(column: FileColumn) -> int:
    """Numbers in the first vector that can be read."""
    for sample in np.flatnonzero(column.count).tolist():
        try:
            return len(column.read(sample))
        except BadSampleError:
            continue  # it is rejected when its turn comes
    return 1
