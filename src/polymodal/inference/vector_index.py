"""The nearest of many vectors by cosine, exact or approximate (faiss)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from polymodal.errors import ConfigError
from polymodal.files import replacing

log = logging.getLogger(__name__)

LARGE = 2_000_000
"""A search of more vectors is approximate by default: a query then takes a fraction of a second."""

PROBES = 32
"""Cells that a query looks into, of about sqrt(N); more find more and take longer."""

SAMPLE = 64
"""Vectors a cell that the cells are learned from."""


class Found(NamedTuple):
    """The nearest vectors of q queries, the best first.

    Attributes:
        cosine: (q, k) float32.
        row: (q, k) int64, the row of each; -1 where there are fewer than k.
    """

    cosine: np.ndarray
    row: np.ndarray


class VectorIndex:
    """Rows of vectors that are searched.

    Exact: every vector is compared. Else they are sorted into about sqrt(N) cells (Sivic &
    Zisserman 2003), of which a query sees the `PROBES` nearest.

    Args:
        index: of faiss.
    """

    def __init__(self, index: Any) -> None:
        self.index = index

    def __len__(self) -> int:
        return self.index.ntotal

    @classmethod
    def build(cls, batches: Callable[[], Iterable[np.ndarray]], exact: bool) -> VectorIndex:
        """An index of all vectors, of which it holds a copy.

        Args:
            batches: gives (n, d) float32 parts, from the start each time; a row with NaN is no
                vector, but counts.
            exact: whether every vector is compared.

        Raises:
            ConfigError: there is no vector.
        """
        faiss = _faiss()
        count, width = 0, 0
        for part in batches():
            count, width = count + len(_vector_rows(part)), part.shape[1]
        if count == 0:
            raise ConfigError("There is no vector to be searched.")
        if exact:
            index = faiss.IndexFlatIP(width)
        else:
            cells = max(1, round(math.sqrt(count)))
            index = faiss.IndexIVFFlat(
                faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT
            )
            step = max(1, count // (cells * SAMPLE))
            index.train(
                np.concatenate([_unit(part[_vector_rows(part)][::step]) for part in batches()])
            )
            index.nprobe = PROBES
        index, first = faiss.IndexIDMap(index), 0
        for part in batches():
            rows = _vector_rows(part)
            index.add_with_ids(_unit(part[rows]), first + rows)
            first += len(part)
        return cls(index)

    def search(self, queries: np.ndarray, top: int) -> Found:
        """(q, d) -> the `top` nearest of each."""
        return Found(*self.index.search(_unit(queries), top))

    def save(self, file: Path) -> None:
        """Writes it, whole or not at all; where the folder cannot be written, it is made anew each
        time.
        """
        try:
            with replacing(file) as part:
                _faiss().write_index(self.index, str(part))
        except (OSError, RuntimeError) as error:  # faiss has no other class for what the file says
            log.warning("The index %s is not kept: %s", file, str(error).splitlines()[0])

    @classmethod
    def load(cls, file: Path) -> VectorIndex:
        """The index that `save` wrote."""
        return cls(_faiss().read_index(str(file)))


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ConfigError("Searching needs faiss: pip install -e '.[search]'") from error
    return faiss


def _vector_rows(part: np.ndarray) -> np.ndarray:
    """Which rows are vectors."""
    return np.flatnonzero(~np.isnan(part).any(1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
