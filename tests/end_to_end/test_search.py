"""Embedded samples are found by a sentence and by an image, and shown."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from PIL import Image
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.cli.programs import EmbedSettings, SearchSettings
from polymodal.errors import ConfigError
from polymodal.inference import embed, search
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.trained import Trained

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 60))


@pytest.fixture(scope="module")
def clip(pairs: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    words = [
        "data.columns.image=filepath",
        "data.columns.text=caption",
        "data.image_size=16",
        "data.vocab_size=300",
    ]
    plus = [f"++{word}" for word in (*words, "data.num_workers=0", "data.batch_size=16")]
    run(
        folder,
        "data=manifest",
        f"++data.path={pairs}",
        "callbacks=[checkpoint]",
        "debug=fast",
        *plus,
        *QUIET,
    )
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
    said = asked(
        clip, index, capsys, query=str(file), find="image", output=str(tmp_path / "found.png")
    )
    assert said["by"] == said["find"] == "image"
    assert [round(row["cosine"], 2) for row in said["found"]] == sorted(
        (round(row["cosine"], 2) for row in said["found"]), reverse=True
    )
    assert said["found"][0]["cosine"] == pytest.approx(1, abs=1e-3)
    assert str(file) in [row["image_words"] for row in said["found"] if row["cosine"] > 0.999]
    table = search.Embedded(index, RunPredictor(Trained(clip, ["devices=cpu"])))
    assert table.content(said["found"][0], "image").shape == (search.SIDE, search.SIDE, 3)
    assert table.content(said["found"][0], "text") == said["found"][0]["text_words"]
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.width > 500


def test_a_sentence_finds_what_its_vector_is_nearest_to(clip, index, capsys) -> None:
    said = asked(clip, index, capsys, query="a green image number 5")
    table = pq.read_table(index)
    row = next(
        entry for entry in table.to_pylist() if entry["text_words"] == "a green image number 5"
    )
    vectors = torch.tensor([entry["image"] for entry in table.to_pylist()])
    cosine = torch.nn.functional.cosine_similarity(torch.tensor(row["text"])[None], vectors)
    assert (said["by"], said["find"]) == ("text", "image")
    assert [entry["cosine"] for entry in said["found"]] == pytest.approx(
        cosine.topk(7).values.tolist(), abs=1e-3
    )
    assert Path(f"{index}.image.exact.faiss").exists()
    nearly = asked(clip, index, capsys, query="a green image number 5", exact=False)
    assert nearly["found"] == said["found"]  # so few have so few cells that all are looked into


@pytest.mark.parametrize("exact", [True, False])
def test_what_several_rows_share_is_found_once(clip, capsys, tmp_path, exact) -> None:
    rows = make_pairs(tmp_path, 8)
    for row in rows[1:5]:
        row["filepath"] = rows[0]["filepath"]
    changes = [
        "data=manifest",
        f"data.path={write_csv(tmp_path / 'new.csv', rows)}",
        "data.columns.image=filepath",
    ]
    file = tmp_path / "x.parquet"
    embed.main(EmbedSettings(checkpoint=str(clip), output=str(file)), [*changes, "devices=cpu"])
    said = asked(clip, file, capsys, query="a red image", exact=exact)
    assert len({row["image_words"] for row in said["found"]}) == len(said["found"]) == 4


def test_a_table_for_people(clip, index, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    search.main(
        SearchSettings(checkpoint=str(clip), index=str(index), query="a red image", top=2),
        ["devices=cpu"],
    )
    out = capsys.readouterr().out
    assert "pairs.csv, row" in out
    assert "found.png" in out


def test_a_long_sentence_with_any_signs_is_a_sentence(
    clip, pairs, capsys, tmp_path, monkeypatch
) -> None:
    rows = make_pairs(tmp_path, 3)
    rows[0]["caption"] = "a [red] image for $5 [/b] or $\\nothing$"
    changes = [
        "data=manifest",
        f"data.path={write_csv(tmp_path / 'new.csv', rows)}",
        "data.columns.text=caption",
    ]
    file = tmp_path / "x.parquet"
    embed.main(EmbedSettings(checkpoint=str(clip), output=str(file)), [*changes, "devices=cpu"])
    monkeypatch.setenv("COLUMNS", "400")
    query = "what is $this$? " * 30
    settings = SearchSettings(checkpoint=str(clip), index=str(file), query=query, find="text")
    search.main(settings, ["devices=cpu"])
    out = capsys.readouterr().out
    assert rows[0]["caption"] in out
    assert out.count("a green image") == 1


def test_a_table_that_was_put_in_the_place_of_another_has_an_index_of_its_own(
    clip, index, pairs, capsys, tmp_path
):
    """Moved there, it keeps its time, which is earlier than that of the index."""
    changes = ["data=manifest", "data.columns.text=caption", "devices=cpu"]
    for name, rows in (("old", make_pairs(tmp_path, 12)), ("new", make_pairs(tmp_path, 12)[::-1])):
        path = write_csv(tmp_path / f"{name}.csv", rows)
        settings = EmbedSettings(checkpoint=str(clip), output=str(tmp_path / f"{name}.parquet"))
        embed.main(settings, [*changes, f"data.path={path}"])
    time = (tmp_path / "new.parquet").stat()
    first = asked(clip, tmp_path / "old.parquet", capsys, query="a red image", find="text")
    faiss = tmp_path / "old.parquet.text.exact.faiss"
    held = faiss.stat().st_ino
    assert asked(clip, tmp_path / "old.parquet", capsys, query="a red image", find="text") == first
    assert faiss.stat().st_ino == held  # it is made once
    (tmp_path / "new.parquet").replace(tmp_path / "old.parquet")
    assert (tmp_path / "old.parquet").stat().st_mtime_ns == time.st_mtime_ns
    second = asked(clip, tmp_path / "old.parquet", capsys, query="a red image", find="text")
    assert [row["text_words"] for row in second["found"]] == [
        row["text_words"] for row in first["found"]
    ]
    assert [row["source"] for row in second["found"]] != [row["source"] for row in first["found"]]


PITCHES = {"low": 150, "middling": 600, "high": 2400}


def write_sound(file: Path, pitch: int, seed: int) -> Path:
    """Half a second of a tone in noise, at 8 kHz."""
    random = np.random.default_rng(seed)
    time = np.arange(4000) / 8000
    tone = np.sin(2 * np.pi * (pitch * random.uniform(0.9, 1.1) * time + random.random()))
    soundfile.write(file, 0.3 * tone + 0.05 * random.standard_normal(len(time)), 8000)
    return file


@pytest.fixture(scope="module")
def hearing(tmp_path_factory) -> tuple[Path, Path]:
    """A run that has learned what sounds are called, and the embedded rest of them."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = [
        {
            "file": write_sound(folder / f"{name}{seed}.wav", pitch, seed).name,
            "caption": f"a {name} tone",
        }
        | {"split": "test" if seed == 0 else "val" if seed == 1 else "train"}
        for name, pitch in PITCHES.items()
        for seed in range(12)
    ]
    words = [
        "data=manifest",
        f"data.path={write_csv(folder / 'sounds.csv', rows)}",
        "data.columns.audio=file",
    ]
    words += ["data.columns.text=caption", "data.columns.split=split", "data.columns.group=caption"]
    words += ["data.columns.split_by=file"]  # of each tone there are some in every split
    words += [
        "data.sample_rate=8000",
        "data.num_workers=0",
        "data.vocab_size=300",
        "data.batch_size=30",
    ]
    words += [
        "encoder/image=none",
        "encoder/audio=cnn",
        "encoder.audio.widths=[8,16]",
        "encoder/text=bow",
        "dim=16",
    ]
    words += [
        "trainer.max_epochs=25",
        "optimizer.lr=0.01",
        "callbacks=[checkpoint]",
        "data.token_dropout=0",
    ]
    run(folder / "run", *as_hydra_arguments(words), *QUIET)
    table = folder / "vectors.parquet"
    embed.main(
        EmbedSettings(checkpoint=str(folder / "run"), output=str(table), split="test"),
        ["devices=cpu"],
    )
    return folder / "run", table


@pytest.mark.parametrize("name", PITCHES)
def test_a_sound_finds_what_it_is_called_and_sounds_like_it(
    hearing, name, capsys, tmp_path
) -> None:
    query = str(write_sound(tmp_path / "query.wav", PITCHES[name], 99))
    said = asked(*hearing, capsys, query=query, top=3)
    assert (said["by"], said["find"]) == ("audio", "text")
    assert said["found"][0]["text_words"] == f"a {name} tone"
    said = asked(*hearing, capsys, query=query, find="audio", top=3)
    assert Path(said["found"][0]["audio_words"]).name == f"{name}0.wav"
    said = asked(*hearing, capsys, query=f"a {name} tone", top=3)
    assert (said["by"], said["find"]) == ("text", "audio")
    assert Path(said["found"][0]["audio_words"]).name == f"{name}0.wav"


class Kinds:
    """Of a model with these inputs, what the choice of a direction asks for."""

    def __init__(self, **kinds: str) -> None:
        self.model = SimpleNamespace(modalities=list(kinds))
        self.data = SimpleNamespace(kinds=kinds)
        self.columns, self.file = list(kinds), "x"


def test_the_input_is_the_one_that_a_file_is_of(tmp_path) -> None:
    model = Kinds(table="tabular", picture="image", sound="audio", clip="video", words="text")
    for file, by in (
        ("a.PNG", "picture"),
        ("a.wav", "sound"),
        ("a.mp4", "clip"),
        ("a.unknown", "picture"),
    ):
        (tmp_path / file).touch()
        settings = SearchSettings(checkpoint="", index="", query=str(tmp_path / file))
        assert search._directions(settings, model, model)[0] == by
    for sentence in ("three red cats", "a.b"):
        settings = SearchSettings(checkpoint="", index="", query=sentence)
        assert search._directions(settings, model, model) == ("words", "table")
    with pytest.raises(ConfigError, match=r"query=a.png: there is no such file.*by="):
        search._directions(SearchSettings(checkpoint="", index="", query="a.png"), model, model)
    settings = SearchSettings(checkpoint="", index="", query="a.png", by="words", find="sound")
    assert search._directions(settings, model, model) == ("words", "sound")
    with pytest.raises(ConfigError, match="a sentence is no input"):
        search._directions(
            SearchSettings(checkpoint="", index="", query="a cat"), *[Kinds(image="image")] * 2
        )


def test_what_cannot_be_searched_is_said(clip, index, pairs, capsys, tmp_path) -> None:
    with pytest.raises(ConfigError, match="folder of arrays"):
        asked(clip, tmp_path, capsys, query="x")
    with pytest.raises(ConfigError, match="find=audio"):
        asked(clip, index, capsys, query="x", find="audio")
    with pytest.raises(ConfigError, match="no table that embed.py wrote"):
        asked(clip, pairs, capsys, query="x")
    other = torch.load(clip / "checkpoints" / "last.ckpt", weights_only=True)
    other["state_dict"]["objective.logit_scale"] += 1
    torch.save(other, tmp_path / "other.ckpt")
    with pytest.raises(ConfigError, match="another model"):
        asked(tmp_path / "other.ckpt", index, capsys, query="x")
