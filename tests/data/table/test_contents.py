"""Token ids of many captions, kept flat and small."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymodal.batch import PAD
from polymodal.data.table import contents
from polymodal.data.table.contents import Captions


def spelled(captions: list[str]) -> np.ndarray:
    """A tokenizer whose captions are their ids."""
    rows = [[int(word) for word in caption.split()] for caption in captions]
    return np.array(
        [row + [PAD] * (max(map(len, rows)) - len(row)) for row in rows], dtype=np.int64
    )


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(contents, "CHUNK", 3)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 200_000), min_size=1, max_size=6), min_size=1, max_size=10))
def test_ids_of_any_size_come_back(ids: list[list[int]]) -> None:
    captions = Captions(
        pa.array([" ".join(map(str, row)) for row in ids]), np.ones(len(ids), dtype=np.int64)
    )
    captions.tokenize(spelled)
    for item, row in enumerate(ids):
        read = captions.read(item)
        assert read.dtype == np.int64
        assert read.tolist() == row


def test_ids_take_two_bytes_where_the_vocabulary_allows_it() -> None:
    captions = Captions(
        pa.array([f"{number} 40000" for number in range(1, 9)]), np.ones(8, dtype=np.int64)
    )
    captions.tokenize(spelled)
    assert captions.ids.dtype == np.uint16


def test_no_caption_at_all() -> None:
    captions = Captions(pa.array([], pa.large_string()), np.zeros(4, dtype=np.int64))
    captions.tokenize(spelled)
    assert len(captions.ids) == 0
