"""A table of new rows, with the prediction of a supervised model beside each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.bad_samples import Skips
from polymodal.data.loading.columns import ROLES
from polymodal.data.table.files import ManifestTable, Places
from polymodal.data.table.labels import class_codes, tag_codes, unknown_names
from polymodal.data.table.module import TableData
from polymodal.data.table.rows import Rows
from polymodal.errors import ConfigError
from polymodal.formatting import readable
from polymodal.inference.new_data import is_same_source
from polymodal.inference.predictions import NO_PREDICTIONS, column_names_of, prediction_columns
from polymodal.inference.table_file import write_tables
from polymodal.inference.table_writer import TableWriter, as_array
from polymodal.inference.trained import Trained
from polymodal.objectives.supervised import Supervised, known

ERROR = "error"
"""The column that says why a row has no prediction."""

SOURCE = "source"
"""The column that says where a row is from, where the table has none of this name."""

CHUNK = 50_000
"""Rows that are written at a time."""


class PredictedTable:
    """The rows of a table in their order, all columns as they are, with predictions beside; see
    `embed.Output`.

    Each row is a sample by itself: ids, groups and splits are not read. Of a row with several
    captions the mean of Y counts.

    Args:
        trained: the model, with the data.
        output: a table file, see `table_file.ENDINGS`.

    Raises:
        ConfigError: a column of the table has the name of a column of predictions.
    """

    def __init__(self, trained: Trained, output: Path) -> None:
        self.trained, self.output = trained, output

    def begin(self, data: PairedDataModule, objective: Supervised | None) -> None:
        """Takes the columns out that matter for training alone."""
        assert isinstance(data, TableData)
        if objective is None:
            raise ConfigError(NO_PREDICTIONS)
        self.data, self.objective = data, objective
        self.label = self.trained.label_columns or objective.label
        self.names = self.trained.class_names.get(objective.label)
        data.columns.leave_out(*ROLES)
        added = {*column_names_of(objective, self.label, self.names), ERROR}
        taken = added & set(data.column_names())
        if taken:
            raise ConfigError(
                f"The data have a column {min(taken)!r}, as the predictions will: rename it."
            )

    def end(self, outputs: TableWriter) -> None:
        """Writes the table, and prints how many rows have a prediction; the metrics too where
        labels are known.
        """
        table = _without_bytes(self.data.whole_table(), self.output)
        y, errors = self._by_row(outputs.rows(), len(table))
        is_predicted = np.isfinite(y).all(1)
        chunks = self._chunks(table, y, is_predicted, errors)
        outputs.finish(lambda file: write_tables(file, chunks, self.output.suffix))
        print(f"{len(table)} rows in {self.output}, {is_predicted.sum()} of them with a prediction")
        if not is_predicted.all():
            first = next((error for error in errors if error), "")
            print(f"The column {ERROR} says why the others have none. The first: {first}")
        self._print_metrics(table, torch.from_numpy(y), torch.from_numpy(is_predicted))

    def _by_row(self, outputs: pa.Table, rows: int) -> tuple[np.ndarray, list[str | None]]:
        """(rows, p) Y, NaN where there is none, and why there is none."""
        total, count = np.zeros((rows, self.objective.outputs)), np.zeros(rows)
        # rows that could not be made samples
        errors: list[str | None] = [None] * rows
        for row, problem in self.data.samples.skips.problems.items():
            errors[row] = problem
        # a row with several captions is several samples
        if "id" in outputs.column_names:
            row_of = self.data.samples.rows_of(outputs["id"].to_numpy())
            if "y" in outputs.column_names:
                y = as_array(outputs["y"]).astype(np.float64)
                is_finite = np.isfinite(y).all(1)
                np.add.at(total, row_of[is_finite], y[is_finite])
                np.add.at(count, row_of[is_finite], 1)
            if ERROR in outputs.column_names:
                problems = outputs[ERROR].to_pylist()
                for row, problem in zip(row_of.tolist(), problems, strict=True):
                    errors[row] = problem or errors[row]
        mean = np.full_like(total, np.nan)
        np.divide(total, count[:, None], out=mean, where=count[:, None] > 0)
        # a row with one readable caption has a prediction, and no error
        return mean, [None if n else error for n, error in zip(count, errors, strict=True)]

    def _chunks(
        self,
        table: pa.Table,
        y: np.ndarray,
        is_predicted: np.ndarray,
        errors: Sequence[str | None],
    ) -> Iterator[pa.Table]:
        """The rows with their predictions, some at a time."""
        for start in range(0, len(table), CHUNK):
            rows = slice(start, start + CHUNK)
            part, present = table.slice(start, CHUNK), is_predicted[rows]
            # predictions are made of the rows that have a Y, and put back into their places
            predicted = torch.from_numpy(y[rows][present])
            columns = prediction_columns(self.objective, predicted, self.label, self.names)
            place = pa.array(np.cumsum(present) - 1, mask=~present)
            columns = {name: column.take(place) for name, column in columns.items()}
            columns[ERROR] = pa.array(errors[rows], pa.string())
            if SOURCE not in part.column_names:
                place_of = self.data.samples.skips.place
                places = [place_of(row) for row in range(start, start + len(part))]
                columns[SOURCE] = pa.array(places, pa.string())
            yield pa.table({**dict(zip(part.column_names, part.columns, strict=True)), **columns})

    def _print_metrics(self, table: pa.Table, y: Tensor, is_predicted: Tensor) -> None:
        """Prints the metrics of the rows whose labels are known, if there are any."""
        columns = self._label_columns()
        if not columns or not set(columns) <= set(table.column_names):
            return
        settings = self.trained.config["data"]
        kind = settings.get("label_kind", "class")
        labels, note = labels_of(table.select(columns), kind, self.names)
        if note:
            print(note)
        # rows without a label, or without a prediction, are left out
        target = self.objective.targets(torch.from_numpy(labels))
        has_label = known(target) if target.ndim == 1 else known(target).any(1)
        counted = is_predicted & has_label
        if not counted.any():
            return
        metrics = self.objective.all_metrics(y[counted].double(), target[counted])
        printed = Table()
        printed.add_column("metric")
        printed.add_column("value", justify="right")
        for name, value in metrics.items():
            printed.add_row(escape(name), readable(float(value)))
        print(f"Metrics of {int(counted.sum())} rows with a label:")
        Console().print(printed)
        if self.trained.seen or is_same_source(settings, self.trained.stored["data"]):
            print("Rows that the model was trained on may be among them.")

    def _label_columns(self) -> list[str]:
        """The columns of the labels, as given or as folders are classes; [] where there is none."""
        given = self.trained.config["data"].get("columns") or {}
        label = given.get("label", self._of_folders())
        several = label if isinstance(label, list) else [label]
        return [str(name) for name in several if name]

    def _of_folders(self) -> str | None:
        """The column of the classes that folders are."""
        return "class" if self.data.column_names() == ["file", "class"] else None


def labels_of(table: pa.Table, kind: str, names: Sequence[str] | None) -> tuple[np.ndarray, str]:
    """Columns of labels -> (N, ...) as a batch has them, -1 or NaN where they are not known; a
    note about those.

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
