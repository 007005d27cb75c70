"""Of what is embedded every sample is told, those that cannot be read too, and none twice after a
stop."""

import copy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.manifests import make_pairs, write_csv
from tests.data.manifests import ready as ready_table
from tests.data.shards import by_split, ready, sample, write_shard

DIRT = {"on_error": "skip", "max_bad_fraction": 1.0}


def told(loader) -> tuple[list[int], dict[int, str]]:
    """Ids of the batches, and what was left out."""
    ids, left_out = [], {}
    for batch in loader:
        ids += [id for id in batch.id.tolist() if id != -1]
        assert not left_out.keys() & batch.left_out.keys()
        left_out |= batch.left_out
    return ids, left_out


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    rows = make_pairs(folder, 40)
    for row in rows[:4] + rows[8:9]:
        row["filepath"] = "nowhere.png"
    return ready_table(write_csv(folder / "pairs.csv", rows), batch_size=3, **DIRT)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sets(st.integers(0, 39)), st.integers(1, 5))
def test_what_is_left_of_a_table(table, done, batch_size) -> None:
    table.batch_size = batch_size
    expected = table.complete("train", ["image", "text"]).ids
    rest = table.remaining("train", ["image", "text"], np.array(sorted(done)))
    ids, left_out = told(table._loader("train", rest)) if rest else ([], {})
    assert sorted([*ids, *left_out]) == sorted(set(expected.tolist()) - done)
    assert all("nowhere.png" in problem for problem in left_out.values())
    assert set(left_out) <= {0, 1, 2, 3, 8}


def test_a_model_of_some_modalities_needs_no_others(table) -> None:
    text = table.complete("train", ["text"])
    batch = text[list(range(len(text)))]
    assert (set(batch.inputs), batch.left_out) == ({"text"}, {})
    assert text.places(batch.id.numpy())[0].endswith(f"pairs.csv, row {batch.id[0] + 1}")


def test_every_training_glyph_is_seen_as_a_test_glyph_is(glyphs) -> None:
    judged, training = glyphs.complete("train", ["image", "text"]), copy.copy(glyphs.train_set)
    assert judged.ids.tolist() == training.rows.tolist()
    first, second = (judged[[5, 6, 7]] for _ in range(2))
    assert (first.inputs["text"] == second.inputs["text"]).all()
    whole = glyphs.tokenize([glyphs.names[item] for item in first.items["text"].tolist()])
    assert first.inputs["text"].tolist() == whole.tolist()
    assert (
        glyphs.words("text", first.items["text"].numpy())[0]
        == glyphs.names[int(first.items["text"][0])]
    )


def test_a_stream_tells_all_and_passes_over_what_is_done(tmp_path: Path) -> None:
    samples = [sample(number) for number in range(11)]
    for number in (2, 3, 4, 9):
        samples[number]["png"] = b"no image"
    data = ready(
        by_split(str(write_shard(tmp_path / "0.tar", samples[:6])), None, None),
        batch_size=2,
        **DIRT,
    )
    whole, left_out = told(
        data._loader("test", data.remaining("test", ["image", "text"], np.zeros(0, np.int64)))
    )
    assert (len(whole), len(left_out)) == (3, 3)
    assert all("no image" in problem for problem in left_out.values())
    done = np.array([whole[0], min(left_out)])
    rest = data.remaining("test", ["image", "text"], done)
    ids, problems = told(data._loader("test", rest))
    assert sorted([*ids, *problems]) == sorted({*whole, *left_out} - set(done.tolist()))
    assert rest.places(np.array(whole))[0].endswith("sample 1")
