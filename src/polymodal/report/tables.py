"""Tables as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from polymodal.files import replacing
from polymodal.metrics.regression import regression_metrics


def write_confusion(file: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """(K, K) counts: a row a true class, a column a predicted one."""
    rows = [[name, *counts] for name, counts in zip(names, confusion.tolist(), strict=True)]
    _write(file, ["true / predicted", *names], rows)


def write_confused(
    file: Path, predicted: Tensor, target: Tensor, names: Sequence[str], most: int = 10_000
) -> None:
    """(N,), (N,) classes: a row a pair of a true class and a wrong prediction that occurs, the most
    frequent first.

    Args:
        file: to write.
        predicted: of the model.
        target: the true classes.
        names: of the classes.
        most: rows.
    """
    wrong = predicted != target
    pairs = torch.stack([target[wrong], predicted[wrong]], dim=1)
    pairs, counts = pairs.unique(dim=0, return_counts=True)
    order = counts.argsort(descending=True, stable=True)[:most]
    rows = []
    for (a, b), count in zip(pairs[order].tolist(), counts[order].tolist(), strict=True):
        rows.append([names[a], names[b], count])
    _write(file, ["true", "predicted", "samples"], rows)


def write_classes(file: Path, table: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """A row a class; `table` is metric -> (K,) values. A metric that is not defined is an empty
    cell.
    """
    columns = [[_cell(value) for value in column.tolist()] for column in table.values()]
    _write(file, ["class", *table], list(zip(names, *columns, strict=True)))


def write_values(file: Path, y: Tensor, target: Tensor, names: Sequence[str]) -> None:
    """A row an output of a regression: how many of its values are known, and its metrics.

    Args:
        file: to write.
        y: (N, p) predictions, in the units of the labels.
        target: (N, p), NaN where it is not known.
        names: of the p outputs.
    """
    columns = range(len(names))
    metrics = [regression_metrics(y[:, [k]], target[:, [k]]) for k in columns]
    keys = list({key: None for of_output in metrics for key in of_output})
    counts = (~target.isnan()).sum(0).tolist()
    cells = [[_cell(float(metrics[k].get(key, torch.nan))) for key in keys] for k in columns]
    _write(file, ["output", "samples", *keys], [[names[k], counts[k], *cells[k]] for k in columns])


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "" if value != value else f"{value:.10g}"


def _write(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])


class TextTable(NamedTuple):
    """The start of a CSV file.

    Attributes:
        header: names of the columns.
        rows: cells; in a column that holds nothing but numbers they are floats, and None where it
            is empty.
        shares: columns of numbers from 0 to 1, some of them between.
        left_out: what there is beyond these rows and columns, in words; "" for nothing.
    """

    header: list[str]
    rows: list[list[str | float | None]]
    shares: set[int]
    left_out: str

    @property
    def numeric(self) -> set[int]:
        """Columns of numbers, whose heads stand to the right as the numbers do."""
        found = set()
        for index, column in enumerate(zip(*self.rows, strict=True)):
            if not any(isinstance(cell, str) for cell in column):
                found.add(index)
        return found


def read_table(file: Path, rows: int | None = None, columns: int | None = None) -> TextTable:
    """A CSV file with a header, at most so many rows and columns of it."""
    with file.open(newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        header = next(lines, [])
        shown = [line[:columns] for line in islice(lines, rows)]
        further = sum(1 for _ in lines)
    cells = [_numbers(column) for column in zip(*shown, strict=True)]
    shares = {index for index, column in enumerate(cells) if _are_shares(column)}
    beyond = {"rows": further, "columns": len(header) - len(header[:columns])}
    left_out = " and ".join(f"{beyond[what]} {what}" for what in beyond if beyond[what])
    return TextTable(
        header[:columns], [list(row) for row in zip(*cells, strict=True)], shares, left_out
    )


def _numbers(column: Sequence[str]) -> Sequence[str | float | None]:
    try:
        return [float(cell) if cell else None for cell in column]
    except ValueError:
        return column


def _are_shares(column: Sequence[str | float | None]) -> bool:
    values = [value for value in column if isinstance(value, float)]
    are_in_range = all(0 <= value <= 1 for value in values)
    return are_in_range and any(0 < value < 1 for value in values)
