"""Columns of a table as a person knows them: numbers in units, categories by their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.values import LARGEST
from polymodal.data.synthetic import Synthetic
from polymodal.data.table.module import TableData
from polymodal.errors import DataError

Value = float | str | None
"""Of a column; None where it is missing."""

DIGITS = 17
"""Decimal digits that are enough to distinguish any two doubles."""


class Number(NamedTuple):
    """A numeric column.

    Attributes:
        name: of the column.
        mean: of the training split.
        std: of the training split.
    """

    name: str
    mean: float = 0.0
    std: float = 1.0

    def code(self, value: Value) -> np.float32:
        """A number in its unit -> the model's input, NaN where it is missing.

        Raises:
            DataError: float32 does not hold it.
        """
        if value is None:
            return np.float32(np.nan)
        standardised = (float(value) - self.mean) / self.std
        if not abs(standardised) <= LARGEST:
            raise DataError(f"{self.name}={value}: this number is too large for the model.")
        return np.float32(standardised)

    def value(self, code: float) -> Value:
        """The model's input -> the shortest number in its unit that is the same input."""
        if math.isnan(code):
            return None
        exact = float(code) * self.std + self.mean
        rounded = (float(f"{exact:.{digits}g}") for digits in range(1, DIGITS))
        return next((number for number in rounded if self.code(number) == np.float32(code)), exact)

    @property
    def step(self) -> float:
        """A power of ten, about a tenth of the spread."""
        return float(10.0 ** math.floor(math.log10(self.std / 5)))


class Category(NamedTuple):
    """A column of categories.

    Attributes:
        name: of the column.
        names: of the categories that were seen in training, in the order of their codes.
    """

    name: str
    names: Sequence[str]

    def code(self, value: Value) -> np.float32:
        """The name of a category -> the model's input, -1 where it is missing.

        Raises:
            DataError: it was not seen in training.
        """
        if value is None:
            return np.float32(-1)
        if value not in self.names:
            raise DataError(f"{self.name}={value}: there was no such category in training.")
        return np.float32(self.names.index(str(value)))

    def value(self, code: float) -> Value:
        """The model's input -> the name of the category."""
        return self.names[int(code)] if 0 <= code < len(self.names) else None


Field = Number | Category


def fields_of(data: PairedDataModule, modality: str) -> list[Field]:
    """The columns of a table in the order of the model's input; none where they are not known.

    Args:
        data: set up.
        modality: its name.
    """
    if data.kinds.get(modality, modality) != "tabular":
        return []
    if isinstance(data, Synthetic):
        numbers = [Number(f"number {place}") for place in range(1, data.numeric + 1)]
        sizes = enumerate(data.cardinalities, 1)
        names_of = {f"code {place}": list(map(str, range(size))) for place, size in sizes}
        return [*numbers, *(Category(*column) for column in names_of.items())]
    if not isinstance(data, TableData) or modality not in data.learned:
        return []
    names, numeric, learned = data.columns[modality], data.format.numeric, data.learned[modality]
    scales = zip(names[:numeric], learned["mean"], learned["std"], strict=True)
    categories = zip(names[numeric:], learned["names"], strict=True)
    return [*(Number(*column) for column in scales), *(Category(*column) for column in categories)]


def row_of(fields: Sequence[Field], values: Mapping[str, Value]) -> np.ndarray:
    """Values by the names of their columns -> (columns,) float32 as the model reads them.

    Raises:
        DataError: a value cannot be read.
    """
    return np.array([field.code(values.get(field.name)) for field in fields], dtype=np.float32)


def values_of(fields: Sequence[Field], row: Sequence[float]) -> dict[str, Value]:
    """The model's input -> values by the names of their columns."""
    return {field.name: field.value(float(code)) for field, code in zip(fields, row, strict=True)}


def in_words(values: Mapping[str, Value]) -> str:
    """`age 40, class 3rd`; what is missing is left out."""
    present = {name: value for name, value in values.items() if value is not None}
    return ", ".join(f"{name} {written(value)}" for name, value in present.items())


def written(value: Value) -> str:
    """A value in a sentence: 7 and not 7.0."""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
