"""Your own data: a table that names files, captions, numbers and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from polymodal.data.loading.splits import SPLITS, check_given, check_names
from polymodal.data.table.files import ManifestTable, read_tables
from polymodal.data.table.module import TableData
from polymodal.data.table.whole_table import column_names, whole_table
from polymodal.errors import ConfigError


class Manifest(TableData):
    """The rows of a CSV, TSV, JSON-lines or Parquet file. Relative paths start from its folder.

        python src/train.py data=manifest data.path=pairs.csv data.columns.image=filepath
        data.columns.text=caption

    Args:
        path: of the manifest; or {train: ..., val: ..., test: ...}, a file a split; with test=false
            no test is needed.
        columns: modality -> column; see `TableData`, which takes all further arguments.

    Raises:
        ConfigError: settings that cannot be, or a column that is not there.
        DataError: a file or a row that cannot be used, or an empty split.
    """

    def __init__(
        self, path: str | Mapping[str, str], columns: Mapping[str, Any], **options: Any
    ) -> None:
        super().__init__(columns, **options)
        if not isinstance(path, str):
            check_names(path)
        if "split" in self.columns and not isinstance(path, str):
            raise ConfigError(
                "data.columns.split and a file a split exclude each other: leave one out."
            )
        self.path = path

    def read_table(self) -> ManifestTable:
        """The rows of the file, or of those of the splits one after the other."""
        if not isinstance(self.path, str):
            check_given(self.path, self.wanted)
        parts = self._parts()
        return read_tables(list(parts.values()), self.columns.wanted(), list(parts))

    def column_names(self) -> list[str]:
        """Columns that all of the files have."""
        names = [column_names(file) for file in self._parts().values()]
        return [name for name in names[0] if all(name in others for others in names)]

    def whole_table(self) -> pa.Table:
        """See `TableData`."""
        return whole_table(list(self._parts().values()))

    def _parts(self) -> dict[int, Path]:
        """Number of the split, or -1 where it is to be divided -> file."""
        if isinstance(self.path, str):
            return {-1: Path(self.path)}
        return {
            number: Path(self.path[name]) for number, name in enumerate(SPLITS) if name in self.path
        }
