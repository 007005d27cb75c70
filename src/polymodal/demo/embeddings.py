"""The vectors of held-out samples: the nearest items to a vector, and their map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from polymodal.report.embedding_map import places_of

POINTS = 1500
"""Of the map, at most."""
FEWEST = 5
"""Points of a map."""


class Found(NamedTuple):
    """Items of a modality, the nearest first.

    Attributes:
        cosine: (k,) float32.
        item: (k,) numbers.
        row: (k,) of the first sample that has it, in the table.
    """

    cosine: np.ndarray
    item: np.ndarray
    row: np.ndarray


class Point(NamedTuple):
    """A sample's vector of one modality on the map."""

    x: float
    y: float
    modality: str
    item: int
    class_name: str


class Embeddings:
    """The embedded samples of a split.

    Args:
        table: columns id (N,), items and mask (N, m), x (N, m, d) of length 1, label (N,), -1 where
            there is none.
        modalities: names of the m rows of X.
    """

    def __init__(self, table: Mapping[str, Tensor], modalities: Sequence[str]) -> None:
        self.table, self.modalities = table, list(modalities)

    def __len__(self) -> int:
        return len(self.table["id"])

    @property
    def vectors(self) -> int:
        """How many vectors there are, of all modalities."""
        return int(self.table["mask"][:, : len(self.modalities)].sum())

    def nearest(self, modality: str, vector: Tensor, top: int) -> Found:
        """The nearest distinct items of a modality to a vector (d,) of length 1."""
        vectors, rows = self._distinct[modality]
        cosine, best = (vectors @ vector).topk(min(top, len(rows)))
        row = rows[best]
        item = self.table["items"][row, self.modalities.index(modality)]
        return Found(cosine.numpy(), item.numpy(), row.numpy())

    def points(self, class_names: Sequence[str]) -> list[Point]:
        """t-SNE of the vectors of all modalities in one space; [] where they are too few.

        Args:
            class_names: of the labels.
        """
        most = POINTS // len(self.modalities)
        rows = [self._distinct_rows(name, most) for name in self.modalities]
        if sum(map(len, rows)) < FEWEST:
            return []
        vectors = [self.table["x"][chosen, index] for index, chosen in enumerate(rows)]
        places = iter(places_of(torch.cat(vectors).numpy()).tolist())
        labels = self.table["label"].tolist()
        points = []
        for index, (name, chosen) in enumerate(zip(self.modalities, rows, strict=True)):
            for row in chosen.tolist():
                x, y = next(places)
                class_name = class_names[labels[row]] if labels[row] >= 0 else ""
                item = int(self.table["items"][row, index])
                points.append(Point(x, y, name, item, class_name))
        return points

    def _distinct_rows(self, modality: str, most: int) -> Tensor:
        """One row for each distinct item of a modality, at most so many, spread evenly."""
        index = self.modalities.index(modality)
        present = self.table["mask"][:, index].nonzero().squeeze(1)
        items = self.table["items"][present, index].numpy()
        first = np.unique(items, return_index=True)[1]
        rows = present[torch.from_numpy(np.sort(first))]
        return rows[torch.linspace(0, len(rows) - 1, min(most, len(rows))).long()]

    @cached_property
    def _distinct(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Modality -> (n, d) vectors of its distinct items, and (n,) the row of each."""
        found = {}
        for index, name in enumerate(self.modalities):
            rows = self._distinct_rows(name, len(self))
            found[name] = self.table["x"][rows, index], rows
        return found
