"""UCI multiple features: six real descriptions of 2,000 handwritten digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split

from polymodal.data.tensors import TensorData, TensorSet
from polymodal.errors import DataError
from polymodal.types import OpenFraction, PositiveInt, Seed

VIEWS = {"pix": 240, "fou": 76, "fac": 216, "zer": 47, "kar": 64, "mor": 6}
"""View -> its number of columns: pixel averages, Fourier coefficients, profile correlations,
Zernike moments, Karhunen-Loeve coefficients, morphological features."""


class MFeat(TensorData):
    """Handwritten digits, each known by six vectors (Duin 1998; also "Handwritten" in the
    multi-view literature).

    A fifth of the samples is the test split, stratified by digit and drawn from the seed, as
    published results do. Each column is standardised with the mean and standard deviation of the
    training split. Label: `digit`.

    Args:
        path: folder with mfeat-pix.csv and so on; `python scripts/prepare/mfeat.py` makes it.
        val: share of the remaining samples that is kept for validation.
        seed: of the split and of the order of the samples.
        batch_size: samples of a training step, over all processes.
        limit: keep only so many samples of each split.

    Raises:
        DataError: a file is missing, or is not what it should be.
    """

    modalities = tuple(VIEWS)

    def __init__(
        self,
        path: str,
        val: OpenFraction = 0.1,
        seed: Seed = 0,
        batch_size: PositiveInt = 100,
        limit: PositiveInt | None = None,
    ) -> None:
        super().__init__(batch_size, num_workers=0, seed=seed, limit=limit)
        self.path, self.val = Path(path), val
        self.class_names = {"digit": [str(digit) for digit in range(10)]}

    def splits(self) -> tuple[TensorSet, TensorSet, TensorSet]:
        """Reads, splits and standardises."""
        tables = {view: read_view(self.path, view) for view in VIEWS}
        labels = next(iter(tables.values()))[:, -1].astype(np.int64)
        if not all(np.array_equal(table[:, -1], labels) for table in tables.values()):
            raise DataError(
                f"The files in {self.path} do not have the same digits in the same order."
            )
        rest, test = train_test_split(
            np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=self.seed
        )
        train, val = train_test_split(
            rest, test_size=self.val, stratify=labels[rest], random_state=self.seed
        )
        inputs = {view: standardised(table[:, :-1], train) for view, table in tables.items()}
        parts = []
        for rows, first in ((train, 0), (val, len(train)), (test, len(train) + len(val))):
            digits = torch.from_numpy(labels[rows])
            parts.append(
                TensorSet({view: x[rows] for view, x in inputs.items()}, {"digit": digits}, first)
            )
        return parts[0], parts[1], parts[2]


def read_view(folder: Path, view: str) -> np.ndarray:
    """(N, columns + 1) float64, the digit last.

    Raises:
        DataError: the file is missing, is no table of numbers, or has another number of columns.
    """
    file = folder / f"mfeat-{view}.csv"
    try:
        table = np.loadtxt(file, delimiter=",", skiprows=1, ndmin=2)
    except FileNotFoundError as error:
        raise DataError(
            f"{file} is not there. `python scripts/prepare/mfeat.py` gets it."
        ) from error
    except ValueError as error:
        raise DataError(f"{file} is not a table of numbers: {error}") from error
    if table.shape[1] != VIEWS[view] + 1:
        raise DataError(f"{file} has {table.shape[1]} columns instead of {VIEWS[view] + 1}.")
    return table


def standardised(table: np.ndarray, train: np.ndarray) -> torch.Tensor:
    """(N, columns) -> float32 with mean 0 and standard deviation 1 over the rows `train`."""
    mean, deviation = table[train].mean(0), table[train].std(0)
    return torch.from_numpy((table - mean) / np.where(deviation > 0, deviation, 1)).float()
