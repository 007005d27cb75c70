"""Rows that several processes write in parts, and that become one table at the end."""

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


class Parts:
    """Files of a folder beside the output. Each is whole or not there, so that work that was
    stopped goes on.

    Args:
        output: what it becomes: .parquet, .csv, or else a folder.
        about: what the rows are made of, which must be the same when the work goes on.

    Raises:
        ConfigError: the output is there already, or its parts are of something else.
        StorageError: it cannot be written; from all methods that write.

    Of several processes the first makes the folder. All have their own `Parts` before one of them
    writes a part, and count on from the same number: rows that two of them have are in parts of one
    number.
    """

    def __init__(self, output: Path, about: Mapping[str, Any]) -> None:
        self.output, self.about = output, json.dumps(about, sort_keys=True)
        self.folder = output.with_name(f"{output.name}.parts")
        if output.exists():
            raise ConfigError(
                f"output={output} is there already. Remove it, or choose another name."
            )
        note, written = self.folder / "about.json", list(self.folder.glob("*-*-*.arrow"))
        if written and note.exists() and note.read_text() != self.about:
            raise ConfigError(
                f"{self.folder} is left from other work. Remove it, or choose another output."
            )
        if is_first_process():
            with writing(output):
                self.folder.mkdir(parents=True, exist_ok=True)
                write_whole(note, self.about)
        before = (int(file.name.split("-")[1]) for file in written)
        self.numbers: dict[str, Iterator[int]] = defaultdict(
            partial(count, 1 + max(before, default=-1))
        )

    @contextmanager
    def kept_if_any(self) -> Iterator[None]:
        """Removes the folder of the parts where what is done in here fails before there is one."""
        try:
            yield
        except PolymodalError:
            if is_first_process() and self.folder.exists() and not self._groups():
                shutil.rmtree(self.folder)
            raise

    def done(self, split: str) -> np.ndarray:
        """Ids of the rows of a split that are written."""
        files = self.folder.glob(f"{split}-*.arrow")
        return np.concatenate(
            [np.zeros(0, np.int64), *(_opened(file).read_all()["id"].to_numpy() for file in files)]
        )

    def add(self, table: pa.Table, split: str, rank: int) -> None:
        """Writes the next part of a process, as it is in memory: Parquet of long lists takes
        longer.
        """
        file = self.folder / f"{split}-{next(self.numbers[split]):06d}-{rank}.arrow"
        with (
            writing(self.output),
            replacing(file) as part,
            pa.ipc.new_file(part, table.schema) as writer,
        ):
            writer.write_table(table)

    def join(self) -> int:
        """Makes the output, and gives the number of its rows; the parts are gone then.

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
        """Makes the output in another way, by what writes it into a file; the parts are gone
        then.
        """
        with writing(self.output):
            with replacing(self.output) as file:
                write(file)
            shutil.rmtree(self.folder)

    def _write(self, schema: pa.Schema) -> int:
        if self.output.suffix in (".parquet", ".csv"):
            with replacing(self.output) as file:
                return (
                    self._write_parquet if self.output.suffix == ".parquet" else self._write_csv
                )(file, schema)
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
        return [
            groups[name]
            for name in sorted(groups, key=lambda name: (order.index(name.split("-")[0]), name))
        ]

    def _schema(self) -> pa.Schema:
        """Of all parts together: one in which everything is null does not know better."""
        files = [file for group in self._groups() for file in group]
        schemas = [_opened(file).schema.remove_metadata() for file in files]
        found = pa.unify_schemas(schemas, promote_options="permissive")
        last = sorted(found, key=lambda column: column.name == "error")
        return pa.schema(last, {ABOUT: self.about.encode()})

    def _tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        empty = schema.empty_table()
        for group in self._groups():
            tables = [_opened(file).read_all() for file in group]
            table = pa.concat_tables([empty, *tables], promote_options="permissive").select(
                schema.names
            )
            if (
                np.diff(table["id"].to_numpy()) <= 0
            ).any():  # several processes, of which two may have the last sample
                table = table.take(
                    pa.array(np.unique(table["id"].to_numpy(), return_index=True)[1])
                )
            yield table.cast(schema)

    def _write_parquet(self, file: Path, schema: pa.Schema) -> int:
        with parquet.ParquetWriter(file, schema, **PLAIN) as writer:
            return sum(writer.write_table(table) or len(table) for table in self._tables(schema))

    def _write_csv(self, file: Path, schema: pa.Schema) -> int:
        rows = 0
        plain = pa.schema(
            [(f.name, pa.string() if pa.types.is_nested(f.type) else f.type) for f in schema]
        )
        with csv.CSVWriter(file, plain) as writer:
            for table in self._tables(schema):
                writer.write_table(
                    pa.table([_flat(column) for column in table.columns], schema=plain)
                )
                rows += len(table)
        return rows

    def _write_arrays(self, folder: Path, schema: pa.Schema) -> int:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        rows = sum(len(table) for table in self._tables(schema.remove_metadata()))
        vectors = {f.name: f.type.list_size for f in schema if pa.types.is_fixed_size_list(f.type)}
        files = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (rows, width))
            for name, width in vectors.items()
        }
        rest = pa.schema([f for f in schema if f.name not in vectors], schema.metadata)
        done = 0
        with parquet.ParquetWriter(folder / "rows.parquet", rest, **PLAIN) as writer:
            for table in self._tables(schema):
                for name, file in files.items():
                    file[done : done + len(table)] = as_array(table[name])
                writer.write_table(table.select(rest.names))
                done += len(table)
        return rows


def _opened(file: Path) -> pa.RecordBatchFileReader:
    """A part, of which only that is read which is looked at."""
    return pa.ipc.open_file(pa.memory_map(str(file)))


def as_array(column: pa.ChunkedArray) -> np.ndarray:
    """A column of N vectors -> (N, d) float32, NaN where one is null."""
    array = in_one_piece(column)
    result = np.full((len(array), array.type.list_size), np.nan, dtype=np.float32)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    result[there] = array.flatten().to_numpy(zero_copy_only=False).reshape(-1, array.type.list_size)
    return result


def as_vectors(values: np.ndarray, there: np.ndarray) -> pa.Array:
    """(N, d) float32, (N,) bool -> a column of N vectors, null where it is not there."""
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(~there))


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists as text: CSV has none."""
    if not pa.types.is_nested(column.type):
        return column
    return pa.chunked_array(
        [pc.binary_join(column.combine_chunks().cast(pa.list_(pa.string())), "|")]
    )
