"""What the index finds is what a comparison with every vector finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.errors import ConfigError

pytest.importorskip("faiss")
from polymodal.inference.vector_index import VectorIndex


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(0, 5), st.sets(st.integers(0, 200)))
def test_exact_search_is_that_of_numpy_and_rows_without_a_vector_count(
    count, top, seed, absent
) -> None:
    x = vectors(count, seed)
    x[[row for row in absent if 0 < row < count]] = np.nan
    queries = vectors(3, seed + 100)
    index = VectorIndex.build(lambda: np.array_split(x, 3), exact=True)
    there = ~np.isnan(x).any(1)
    unit = np.where(there[:, None], x / np.linalg.norm(x, axis=1, keepdims=True), 0)
    cosine = np.where(
        there, queries / np.linalg.norm(queries, axis=1, keepdims=True) @ unit.T, -np.inf
    )
    order = np.argsort(-cosine, axis=1)[:, : min(top, there.sum())]
    found = index.search(queries, top)
    assert len(index) == there.sum()
    assert (found.row[:, : order.shape[1]] == order).all()
    assert (found.row[:, order.shape[1] :] == -1).all()
    assert found.cosine[:, : order.shape[1]] == pytest.approx(
        np.take_along_axis(cosine, order, 1), abs=1e-5
    )


def test_approximate_search_finds_nearly_all_and_a_file_keeps_it(tmp_path) -> None:
    x = vectors(3000)
    exact, nearly = (
        VectorIndex.build(lambda: [x[:1000], x[1000:]], kind) for kind in (True, False)
    )
    queries = vectors(50, 1)
    truth, found = exact.search(queries, 10).row, nearly.search(queries, 10).row
    assert (
        np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(truth, found, strict=True)]) > 0.9
    )
    nearly.save(tmp_path / "x.faiss")
    assert (VectorIndex.load(tmp_path / "x.faiss").search(queries, 10).row == found).all()


def test_nothing_to_search_is_said() -> None:
    with pytest.raises(ConfigError, match="no vector"):
        VectorIndex.build(lambda: [np.full((2, 3), np.nan, np.float32)], exact=True)
