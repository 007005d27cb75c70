"""A table of new rows with what a supervised model answers to each beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyarrow import csv, parquet
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.bad_samples import Skips
from polymodal.data.loading.columns import ROLES
from polymodal.data.table.files import ManifestTable, Places, in_one_piece
from polymodal.data.table.labels import class_codes, tag_codes, unknown_names
from polymodal.data.table.module import TableData
from polymodal.data.table.rows import Rows
from polymodal.errors import ConfigError
from polymodal.formatting import readable
from polymodal.inference.new_data import is_same_source
from polymodal.inference.predictions import NO_ANSWERS, answer_columns, answer_names
from polymodal.inference.table_writer import Parts, as_array
from polymodal.inference.trained import Trained
from polymodal.objectives.supervised import Supervised, known

ENDINGS = (".csv", ".parquet", ".jsonl")
"""Of tables that are written."""

ERROR = "error"
"""The column that says why a row has no answer."""

SOURCE = "source"
"""The column that says where a row is from, where the table has none of this name."""

CHUNK = 50_000
"""Rows that are made words of, and written, at a time."""


class AnswerTable:
    """The rows of a table in their order, all columns as they are, and the answers beside; see
    `embed.Output`.

    Each row is a sample by itself: which rows of it are of one group, id or split does not matter.
    Of a row with several captions the mean of Y counts.

    Args:
        trained: the model, with the data.
        output: a table file, one of `ENDINGS`.

    Raises:
        ConfigError: a column of the table is called as one of the answers.
    """

    def __init__(self, trained: Trained, output: Path) -> None:
        self.trained, self.output = trained, output

    def begin(self, data: PairedDataModule, objective: Supervised | None) -> None:
        """Takes what matters for samples of a training out of the columns."""
        assert isinstance(data, TableData)
        if objective is None:
            raise ConfigError(NO_ANSWERS)
        self.data, self.objective = data, objective
        self.label = self.trained.label_columns or objective.label
        self.names = self.trained.class_names.get(objective.label)
        data.columns.leave_out(*ROLES)
        answered = [*answer_names(objective, self.label, self.names), ERROR]
        if taken := set(answered) & set(data.column_names()):
            raise ConfigError(
                f"The data have a column {min(taken)!r}, as the answers will: rename it."
            )

    def end(self, parts: Parts) -> None:
        """Writes the table, and says how many rows have an answer, and the metrics where labels are
        known.
        """
        table = _without_bytes(self.data.whole_table(), self.output)
        y, errors = self._answered(parts.rows(), len(table))
        there = np.isfinite(y).all(1)
        write = TableWriter(self.output.suffix)
        parts.finish(lambda file: write(file, self._chunks(table, y, there, errors)))
        print(f"{len(table)} rows in {self.output}, {there.sum()} of them with an answer")
        if not there.all():
            first = next((error for error in errors if error), "")
            print(f"The column {ERROR} says why the others have none. The first: {first}")
        self._report(table, torch.from_numpy(y), torch.from_numpy(there))

    def _answered(self, written: pa.Table, rows: int) -> tuple[np.ndarray, list[str | None]]:
        """(rows, p) Y, NaN where there is none, and why there is none."""
        total, count = np.zeros((rows, self.objective.outputs)), np.zeros(rows)
        errors: list[str | None] = [None] * rows
        for bad, problem in self.data.samples.skips.problems.items():
            errors[bad] = problem
        if "id" in written.column_names:
            row = self.data.samples.rows_of(written["id"].to_numpy())
            if "y" in written.column_names:
                y = as_array(written["y"]).astype(np.float64)
                there = np.isfinite(y).all(1)
                np.add.at(total, row[there], y[there])
                np.add.at(count, row[there], 1)
            said = written[ERROR].to_pylist() if ERROR in written.column_names else []
            for number, problem in zip(row.tolist(), said, strict=False):
                errors[number] = problem or errors[number]
        mean = np.full_like(total, np.nan)
        np.divide(total, count[:, None], out=mean, where=count[:, None] > 0)
        return mean, [None if n else error for n, error in zip(count, errors, strict=True)]

    def _chunks(
        self, table: pa.Table, y: np.ndarray, there: np.ndarray, errors: Sequence[str | None]
    ) -> Iterator[pa.Table]:
        """The rows with their answers, some at a time."""
        for start in range(0, len(table), CHUNK):
            rows = slice(start, start + CHUNK)
            own = torch.from_numpy(y[rows][there[rows]])
            said = answer_columns(self.objective, own, self.label, self.names)
            place = pa.array(np.cumsum(there[rows]) - 1, mask=~there[rows])
            columns = {name: column.take(place) for name, column in said.items()}
            columns[ERROR] = pa.array(errors[rows], pa.string())
            part = table.slice(start, CHUNK)
            if SOURCE not in part.column_names:
                places = [
                    self.data.samples.skips.place(row) for row in range(start, start + len(part))
                ]
                columns[SOURCE] = pa.array(places, pa.string())
            yield pa.table({**dict(zip(part.column_names, part.columns, strict=True)), **columns})

    def _report(self, table: pa.Table, y: Tensor, there: Tensor) -> None:
        """Prints the metrics of the rows whose labels are known, if there are any."""
        settings = self.trained.config["data"]
        given = (settings.get("columns") or {}).get("label", self._of_folders())
        columns = [str(name) for name in (given if isinstance(given, list) else [given]) if name]
        if not columns or not set(columns) <= set(table.column_names):
            return
        kind = settings.get("label_kind", "class")
        labels, note = labels_of(table.select(columns), kind, self.names)
        target = self.objective.targets(torch.from_numpy(labels))
        known_rows = known(target) if target.ndim == 1 else known(target).any(1)
        counted = there & known_rows
        if note:
            print(note)
        if not counted.any():
            return
        metrics = self.objective.all_metrics(y[counted].double(), target[counted])
        shown = Table()
        shown.add_column("metric")
        shown.add_column("value", justify="right")
        for name, value in metrics.items():
            shown.add_row(escape(name), readable(float(value)))
        print(f"Metrics of {int(counted.sum())} rows with a label:")
        Console().print(shown)
        if self.trained.seen or is_same_source(settings, self.trained.stored["data"]):
            print("Rows that the model was trained on may be among them.")

    def _of_folders(self) -> str | None:
        """The column of the classes that folders are."""
        return "class" if self.data.column_names() == ["file", "class"] else None


def labels_of(table: pa.Table, kind: str, names: Sequence[str] | None) -> tuple[np.ndarray, str]:
    """Columns of labels -> (N, ...) as a batch has them, -1 or NaN where they are not known; what
    to say of those.

    Args:
        table: these columns alone.
        kind: class, value or tags.
        names: of the classes or tags of the training.
    """
    places = Places([""], [Path()], np.zeros(1, dtype=np.int64))
    columns = table.column_names
    rows = Rows(ManifestTable(table, places, np.zeros(0)), Skips(len(table), places, "skip", 1.0))
    if kind == "value":
        return rows.numbers(columns).astype(np.float32), ""
    if kind == "class":
        text = rows.names(columns[0])
        labels, unknown = class_codes(text, names or [])
    else:
        text, row, there = rows.tags(columns[0])
        labels, unknown = tag_codes(text, row, there, names or [])
    problem = (
        unknown_names(f"Column {columns[0]}", text, unknown, names or []) if len(unknown) else ""
    )
    return labels, problem


class TableWriter:
    """Writes tables one after the other into a file: CSV, Parquet or JSON lines.

    Args:
        ending: of `ENDINGS`.
    """

    def __init__(self, ending: str) -> None:
        ways: Mapping[str, Callable[[Path, pa.Schema], Any]] = {
            ".csv": csv.CSVWriter,
            ".parquet": parquet.ParquetWriter,
            ".jsonl": JsonWriter,
        }
        self.ending, self.open = ending, ways[ending]

    def __call__(self, file: Path, tables: Iterator[pa.Table]) -> None:
        """Writes all of them; there is at least one."""
        first = self._plain(next(tables))
        with self.open(file, first.schema) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(self._plain(table).cast(first.schema))

    def _plain(self, table: pa.Table) -> pa.Table:
        """As the format can have it."""
        if self.ending != ".csv":
            return table
        return pa.table({name: _flat(table[name]) for name in table.column_names})


class JsonWriter:
    """JSON lines.

    Args:
        file: to be written.
        schema: of the tables.
    """

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self.file = file.open("w", encoding="utf-8")

    def __enter__(self) -> JsonWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write_table(self, table: pa.Table) -> None:
        """A line a row; null where a cell is empty."""
        columns = [_python(table[name]) for name in table.column_names]
        for cells in zip(*columns, strict=True):
            row = dict(zip(table.column_names, cells, strict=True))
            self.file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _python(column: pa.ChunkedArray) -> list[Any]:
    """Cells as Python has them; floats of fp32 with the digits that they have, and NaN as null."""
    if pa.types.is_float32(column.type):
        column = pc.cast(pc.cast(column, pa.string()), pa.float64())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except UnicodeDecodeError:
        cells = in_one_piece(column).view(pa.large_binary())
        return [cell.as_py() and cell.as_py().decode(errors="replace") for cell in cells]


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists with "|" between their cells, and records as JSON: CSV has neither."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if not pa.types.is_nested(kind):
        return column
    cells = column.to_pylist()
    return pa.chunked_array([pa.array([_cell(cell) for cell in cells], pa.string())])


def _cell(value: Any) -> str | None:
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return "|".join("" if item is None else str(item) for item in value)
    return None if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _without_bytes(table: pa.Table, output: Path) -> pa.Table:
    """The table; without columns of bytes where the output has no place for them, of which it says
    so.
    """
    if output.suffix == ".parquet":
        return table
    left_out = [field.name for field in table.schema if _holds_bytes(field.type)]
    if left_out:
        print(f"{', '.join(left_out)}: bytes are left out of {output}; a .parquet file has them.")
    return table.drop_columns(left_out)


def _holds_bytes(kind: pa.DataType) -> bool:
    inner = [kind.field(index).type for index in range(kind.num_fields)]
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return binary or any(map(_holds_bytes, inner))
