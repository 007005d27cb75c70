"""Cells that name files, or that hold what would be in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.errors import DataError


@dataclass(frozen=True)
class FileCells:
    """A column of images, sounds or the like.

    Attributes:
        paths: (rows,) text; beside bytes, what they are called. Null where there is none.
        content: (rows,) bytes, null where a path names the file. Never copied as a whole: it may be
            a mapped file.
        spelled: (rows,) the paths, each file in one spelling; None where they are in one already.
    """

    paths: pa.Array
    content: pa.ChunkedArray | None = None
    spelled: pa.Array | None = None

    def there(self) -> np.ndarray:
        """(rows,) bool: which cells are not empty."""
        valid = self.paths.is_valid().to_numpy(zero_copy_only=False)
        return valid if self.content is None else valid | self.content.is_valid().to_numpy()

    def sizes(self) -> np.ndarray:
        """(rows,) int64: how many bytes each cell holds, -1 for none."""
        if self.content is None:
            return np.full(len(self.paths), -1)
        return pc.binary_length(self.content).fill_null(-1).to_numpy().astype(np.int64)

    def names(self) -> pa.Array:
        """(rows,) paths of files, each file in one spelling; null for bytes, whose names need not
        differ.
        """
        names = self.called()
        if self.content is None:
            return names
        files = self.content.is_null().combine_chunks()
        return pc.if_else(files, names, pa.scalar(None, names.type))

    def called(self) -> pa.Array:
        """(rows,) paths, each file in one spelling; beside bytes, what they are called."""
        return self.paths if self.spelled is None else self.spelled

    def source(self, row: int) -> tuple[Path | bytes, str | None]:
        """The path or the bytes of a cell that is not empty, and what they are called."""
        path = self.paths[row].as_py()
        content = None if self.content is None else self.content[row].as_py()
        return (Path(path), path) if content is None else (content, path)


def bytes_and_paths(
    column: pa.ChunkedArray,
) -> tuple[pa.ChunkedArray | None, pa.ChunkedArray | None]:
    """The bytes in a column of cells, and its paths; None for what it does not have.

    Raises:
        DataError: the cells are lists, or records of something else.
    """
    kind, content, paths = column.type, None, column
    if pa.types.is_struct(kind):
        fields = {
            kind.field(index).name: kind.field(index).type for index in range(kind.num_fields)
        }
        if (
            not fields
            or not fields.keys() <= {"bytes", "path"}
            or not _is_binary(fields.get("bytes", pa.binary()))
        ):
            raise DataError(f"a cell is a path, bytes, or a record of bytes and path, not {kind}")
        content, paths = (
            pc.struct_field(column, key) if key in fields else None for key in ("bytes", "path")
        )
    elif _is_binary(kind):
        content, paths = column, None
    if content is not None and paths is not None and content.null_count == len(content):
        content = None
    return content, paths


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
