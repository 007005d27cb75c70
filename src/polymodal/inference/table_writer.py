"""A table that several processes write in parts."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from polymodal.config.environment import is_first_process
from polymodal.data.table.files import in_one_piece
from polymodal.errors import ConfigError, DataError, PolymodalError
from polymodal.files import replacing, write_whole, writing

PLAIN: dict[str, Any] = {"compression": "lz4", "use_dictionary": False, "write_statistics": ["id"]}
"""Nearly all of a table are vectors: better codes and dictionaries of them take time, and save
nothing."""

ABOUT = b"polymodal"
"""Key of a table's metadata: what it was made of, as JSON."""


class TableWriter:
    """Writes rows as parts into a folder beside the output, and joins them at the end.

    Each part is whole or not there, so that a stopped run is resumed with what it has written.
    Of several processes the first makes the folder. Each has its own `TableWriter` before one of
    them writes a part, and numbers its parts from the same number on: rows that two of them have
    are in parts of one number.

    Args:
        output: what the parts become: .parquet, .csv, or else a folder.
        about: what the rows are made of, which must be the same in a resumed run.

    Raises:
        ConfigError: the output exists, or its parts are of something else.
        StorageError: it cannot be written; from all methods that write.
    """

    def __init__(self, output: Path, about: Mapping[str, Any]) -> None:
        self.output, self.about = output, json.dumps(about, sort_keys=True)
        self.folder = output.with_name(f"{output.name}.parts")
        if output.exists():
            raise ConfigError(
                f"output={output} is there already. Remove it, or choose another name."
            )
        # parts of other rows are not mixed with these
        note, written = self.folder / "about.json", list(self.folder.glob("*-*-*.arrow"))
        if written and note.exists() and note.read_text() != self.about:
            raise ConfigError(
                f"{self.folder} is left from other work. Remove it, or choose another output."
            )
        if is_first_process():
            with writing(output):
                self.folder.mkdir(parents=True, exist_ok=True)
                write_whole(note, self.about)
        # numbers go on where a stopped run has left them
        last = max((int(file.name.split("-")[1]) for file in written), default=-1)
        self.numbers: dict[str, Iterator[int]] = defaultdict(partial(count, 1 + last))

    @contextmanager
    def kept_if_any(self) -> Iterator[None]:
        """Removes the folder of the parts if the block fails before there is a part."""
        try:
            yield
        except PolymodalError:
            if is_first_process() and self.folder.exists() and not self._groups():
                shutil.rmtree(self.folder)
            raise

    def done(self, split: str) -> np.ndarray:
        """Ids of the rows of a split that are written."""
        files = self.folder.glob(f"{split}-*.arrow")
        ids = [_opened(file).read_all()["id"].to_numpy() for file in files]
        return np.concatenate([np.zeros(0, np.int64), *ids])

    def add(self, table: pa.Table, split: str, rank: int) -> None:
        """Writes the next part of a process, in Arrow's format: Parquet takes longer."""
        file = self.folder / f"{split}-{next(self.numbers[split]):06d}-{rank}.arrow"
        with (
            writing(self.output),
            replacing(file) as part,
            pa.ipc.new_file(part, table.schema) as writer,
        ):
            writer.write_table(table)

    def join(self) -> int:
        """Makes the output and removes the parts; the number of its rows.

        Raises:
            DataError: there is no row.
        """
        if not self._groups():
            shutil.rmtree(self.folder)
            raise DataError(
                f"output={self.output}: these data have no sample there. Take another split, or "
                "split=all."
            )
        with writing(self.output):
            rows = self._write(self._schema())
            shutil.rmtree(self.folder)
        return rows

    def rows(self) -> pa.Table:
        """All rows that are written, by their numbers; one without columns where there is none."""
        tables = list(self._tables(self._schema())) if self._groups() else []
        return pa.concat_tables(tables) if tables else pa.table({})

    def finish(self, write: Callable[[Path], None]) -> None:
        """Makes the output by a function that writes it into a file, and removes the parts."""
        with writing(self.output):
            with replacing(self.output) as file:
                write(file)
            shutil.rmtree(self.folder)

    def _write(self, schema: pa.Schema) -> int:
        if self.output.suffix in (".parquet", ".csv"):
            is_parquet = self.output.suffix == ".parquet"
            write = self._write_parquet if is_parquet else self._write_csv
            with replacing(self.output) as file:
                return write(file, schema)
        unfinished = self.output.with_name(f"{self.output.name}.part")
        rows = self._write_arrays(unfinished, schema)
        unfinished.rename(self.output)
        return rows

    def _groups(self) -> list[list[Path]]:
        """Parts of the same number, of all processes, in order: together they hold neighbouring
        rows.
        """
        groups: dict[str, list[Path]] = defaultdict(list)
        for file in sorted(self.folder.glob("*.arrow")):
            groups[file.name.rpartition("-")[0]].append(file)
        order = ("train", "val", "test", "unread")
        names = sorted(groups, key=lambda name: (order.index(name.split("-")[0]), name))
        return [groups[name] for name in names]

    def _schema(self) -> pa.Schema:
        """The schema of all parts; in one of them a column may be null throughout."""
        files = [file for group in self._groups() for file in group]
        schemas = [_opened(file).schema.remove_metadata() for file in files]
        found = pa.unify_schemas(schemas, promote_options="permissive")
        last = sorted(found, key=lambda column: column.name == "error")
        return pa.schema(last, {ABOUT: self.about.encode()})

    def _tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """The rows by their ids, a group of parts at a time."""
        empty = schema.empty_table()
        for group in self._groups():
            tables = [_opened(file).read_all() for file in group]
            table = pa.concat_tables([empty, *tables], promote_options="permissive")
            table = table.select(schema.names)
            # of several processes, which take turns; two of them may have the last sample
            ids = table["id"].to_numpy()
            if (np.diff(ids) <= 0).any():
                table = table.take(pa.array(np.unique(ids, return_index=True)[1]))
            yield table.cast(schema)

    def _write_parquet(self, file: Path, schema: pa.Schema) -> int:
        rows = 0
        with parquet.ParquetWriter(file, schema, **PLAIN) as writer:
            for table in self._tables(schema):
                writer.write_table(table)
                rows += len(table)
        return rows

    def _write_csv(self, file: Path, schema: pa.Schema) -> int:
        rows = 0
        types = [pa.string() if pa.types.is_nested(field.type) else field.type for field in schema]
        plain = pa.schema(list(zip(schema.names, types, strict=True)))
        with csv.CSVWriter(file, plain) as writer:
            for table in self._tables(schema):
                columns = [_flat(column) for column in table.columns]
                writer.write_table(pa.table(columns, schema=plain))
                rows += len(table)
        return rows

    def _write_arrays(self, folder: Path, schema: pa.Schema) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        rows = sum(len(table) for table in self._tables(schema.remove_metadata()))
        # vectors become files of their own, all else one table
        arrays: dict[str, np.memmap] = {}
        for field in schema:
            if pa.types.is_fixed_size_list(field.type):
                place, shape = folder / f"{field.name}.npy", (rows, field.type.list_size)
                arrays[field.name] = np.lib.format.open_memmap(place, "w+", np.float32, shape)
        rest = pa.schema([field for field in schema if field.name not in arrays], schema.metadata)
        done = 0
        with parquet.ParquetWriter(folder / "rows.parquet", rest, **PLAIN) as writer:
            for table in self._tables(schema):
                for name, array in arrays.items():
                    array[done : done + len(table)] = as_array(table[name])
                writer.write_table(table.select(rest.names))
                done += len(table)
        return rows


def _opened(file: Path) -> pa.RecordBatchFileReader:
    """A part, which is read where it is used."""
    return pa.ipc.open_file(pa.memory_map(str(file)))


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """A column of N vectors -> (N, d) float32, NaN where one is null."""
    array = in_one_piece(column)
    result = np.full((len(array), array.type.list_size), np.nan, dtype=np.float32)
    is_valid = array.is_valid().to_numpy(zero_copy_only=False)
    result[is_valid] = (
        array.flatten().to_numpy(zero_copy_only=False).reshape(-1, array.type.list_size)
    )
    return result


def as_vectors(values: np.ndarray, present: np.ndarray) -> pa.Array:
    """(N, d) float32, (N,) bool -> a column of N vectors, null where it is not present."""
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(~present))


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists become text: CSV has no lists."""
    if not pa.types.is_nested(column.type):
        return column
    return pa.chunked_array(
        [pc.binary_join(column.combine_chunks().cast(pa.list_(pa.string())), "|")]
    )
