"""Embedded samples are found by a sentence and by a picture, and shown."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

from polymodal import embed, search
from polymodal.config.command import EmbedSettings, SearchSettings
from polymodal.errors import ConfigError

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 60))


@pytest.fixture(scope="module")
def clip(pairs: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = ["data.columns.image=filepath", "data.columns.text=caption", "data.image_size=16", "data.vocab_size=300"]
    plus = [f"++{word}" for word in (*words, "data.num_workers=0", "data.batch_size=16")]
    run(folder, "data=manifest", f"++data.path={pairs}", "callbacks=[checkpoint]", "debug=fast", *plus, *QUIET)
    return folder


@pytest.fixture(scope="module")
def index(clip: Path, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("index") / "vectors.parquet"
    embed.main(EmbedSettings(checkpoint=str(clip), output=str(file)), ["devices=cpu"])
    return file


def asked(clip: Path, index: Path, capsys, **settings) -> dict:
    given = {"checkpoint": str(clip), "index": str(index), "top": 7, "json": True} | settings
    capsys.readouterr()
    search.main(SearchSettings(**given), ["devices=cpu"])
    return json.loads(capsys.readouterr().out)


def test_a_picture_of_the_table_finds_itself(clip, index, pairs, capsys, tmp_path) -> None:
    file = pairs.parent / "images" / "007.png"
    said = asked(clip, index, capsys, query=str(file), find="image", output=str(tmp_path / "found.png"))
    assert said["by"] == said["find"] == "image"
    assert [round(row["cosine"], 2) for row in said["found"]] == sorted(
        (round(row["cosine"], 2) for row in said["found"]), reverse=True
    )
    assert said["found"][0]["cosine"] == pytest.approx(1, abs=1e-3)
    assert str(file) in [row["image_words"] for row in said["found"] if row["cosine"] > 0.999]
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.width > 500


def test_a_sentence_finds_what_its_vector_is_nearest_to(clip, index, capsys) -> None:
    said = asked(clip, index, capsys, query="a green picture number 5")
    table = pq.read_table(index)
    row = next(entry for entry in table.to_pylist() if entry["text_words"] == "a green picture number 5")
    vectors = torch.tensor([entry["image"] for entry in table.to_pylist()])
    cosine = torch.nn.functional.cosine_similarity(torch.tensor(row["text"])[None], vectors)
    assert (said["by"], said["find"]) == ("text", "image")
    assert [entry["cosine"] for entry in said["found"]] == pytest.approx(cosine.topk(7).values.tolist(), abs=1e-3)
    assert Path(f"{index}.image.exact.faiss").exists()
    nearly = asked(clip, index, capsys, query="a green picture number 5", exact=False)
    assert nearly["found"] == said["found"]  # so few have so few cells that all are looked into


def test_a_table_for_people(clip, index, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    search.main(SearchSettings(checkpoint=str(clip), index=str(index), query="a red picture", top=2), ["devices=cpu"])
    out = capsys.readouterr().out
    assert "pairs.csv, row" in out
    assert "found.png" in out


def test_what_cannot_be_searched_is_said(clip, index, pairs, capsys, tmp_path) -> None:
    with pytest.raises(ConfigError, match="find=audio"):
        asked(clip, index, capsys, query="x", find="audio")
    with pytest.raises(ConfigError, match="no table that embed.py wrote"):
        asked(clip, pairs, capsys, query="x")
    other = torch.load(clip / "checkpoints" / "last.ckpt", weights_only=True)
    other["state_dict"]["objective.logit_scale"] += 1
    torch.save(other, tmp_path / "other.ckpt")
    with pytest.raises(ConfigError, match="another model"):
        asked(tmp_path / "other.ckpt", index, capsys, query="x")
