# ruff: noqa: F811
"""New samples are classified, by hand and from a table, with whatever they have."""

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.end_to_end.test_embed import NEW, classifier, dirty, embedded, pairs  # noqa: F401  (fixtures)

from polymodal.cli.programs import EvalSettings, PredictSettings
from polymodal.errors import ConfigError, DataError
from polymodal.inference import evaluate, predict
from polymodal.inference.run_predictor import RunPredictor
from polymodal.inference.trained import Trained

COLOURS = {"red", "green", "blue", "grey"}


def predicted(checkpoint: Path, capsys, *changes: str, **inputs: str) -> list[dict]:
    capsys.readouterr()
    predict.main(
        PredictSettings(checkpoint=str(checkpoint), inputs=inputs, json=True),
        ["devices=cpu", *changes],
    )
    return json.loads(capsys.readouterr().out)


def test_by_hand_it_is_what_the_table_says(classifier, pairs, capsys, tmp_path) -> None:
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", "devices=cpu")).to_pylist()
    row = table[3]
    (said,) = predicted(classifier, capsys, image=row["image_words"], text=row["text_words"])
    assert said["prediction"] == row["prediction"]
    assert list(said["probability"].values()) == pytest.approx(row["probability"], abs=1e-5)
    assert set(said["probability"]) == COLOURS
    assert max(said["probability"], key=said["probability"].get) == said["prediction"]


def test_a_pattern_is_a_sample_a_file_and_a_modality_may_be_missing(
    classifier, pairs, capsys
) -> None:
    rows = predicted(classifier, capsys, image=f"{pairs.parent}/images/00*.png")
    assert [Path(row["image"]).name for row in rows] == [f"00{number}.png" for number in range(10)]
    (alone,) = predicted(classifier, capsys, image=rows[4]["image"])
    assert list(alone["probability"].values()) == pytest.approx(
        list(rows[4]["probability"].values()), abs=1e-5
    )
    (text,) = predicted(classifier, capsys, text="what is *this*?")
    assert text["text"] == "what is *this*?"
    long = "is it red? It is a/b. " * 20
    both = predicted(classifier, capsys, image=f"{pairs.parent}/images/00[12].png", text=long)
    assert [row["text"] for row in both] == [long, long]
    (again,) = predicted(classifier, capsys, image=both[1]["image"], text=long)
    assert list(again["probability"].values()) == pytest.approx(
        list(both[1]["probability"].values()), abs=1e-5
    )


def test_a_folder_and_a_list_are_a_sample_a_file_too(classifier, pairs, capsys) -> None:
    folder = pairs.parent / "images"
    rows = predicted(classifier, capsys, image=str(folder))
    assert [row["image"] for row in rows] == [str(file) for file in sorted(folder.glob("*.png"))]
    few = predicted(classifier, capsys, image=f"[{folder}/005.png, {folder}/002.png]")
    assert [row["image"] for row in few] == [rows[5]["image"], rows[2]["image"]]
    assert few[0]["probability"] == pytest.approx(rows[5]["probability"], abs=1e-5)
    with pytest.raises(ConfigError, match="there is no image in this folder"):
        predicted(classifier, capsys, image=str(folder.parent))


def test_a_file_that_cannot_be_read_is_a_row_with_its_error(
    classifier, pairs, capsys, tmp_path
) -> None:
    (tmp_path / "0.png").write_bytes(b"no image")
    (tmp_path / "1.png").write_bytes((pairs.parent / "images" / "001.png").read_bytes())
    broken, whole = predicted(classifier, capsys, image=f"{tmp_path}/*.png")
    assert "0.png is damaged or no image" in broken["error"]
    assert broken["prediction"] is None
    assert whole["prediction"] in COLOURS
    output = tmp_path / "answers.csv"
    predict.main(
        PredictSettings(
            checkpoint=str(classifier), inputs={"image": f"{tmp_path}/*.png"}, output=str(output)
        ),
        [],
    )
    assert f"2 rows in {output}" in capsys.readouterr().out
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "image",
        "prediction",
        *(f"probability {name}" for name in whole["probability"]),
        "error",
    ]
    assert [row["prediction"] for row in rows] == ["", whole["prediction"]]
    predict.main(
        PredictSettings(checkpoint=str(classifier), inputs={"image": f"{tmp_path}/*.png"}), []
    )
    assert "no image" in capsys.readouterr().out


def test_more_files_than_are_read_at_a_time(classifier, pairs, capsys, monkeypatch) -> None:
    every = predicted(classifier, capsys, image=f"{pairs.parent}/images/00*.png")
    monkeypatch.setattr(predict, "TOGETHER", 4)
    few = predicted(classifier, capsys, image=f"{pairs.parent}/images/00*.png")
    assert [row["image"] for row in few] == [row["image"] for row in every]
    for one, other in zip(few, every, strict=True):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)


def test_the_table_for_people_shows_every_character(
    classifier, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    settings = PredictSettings(
        checkpoint=str(classifier), inputs={"text": "a [red] image [/b] [b]"}
    )
    predict.main(settings, ["devices=cpu"])
    out = capsys.readouterr().out
    assert "a [red] image [/b] [b]" in out
    assert out.index("prediction") < out.index("probability")
    first = [line for line in out.splitlines() if "[red]" in line][0]
    assert any(f"{colour} " in first for colour in COLOURS)
    shown = re.findall(r"(\d\.\d{3}) (?:red|green|blue|grey)", out)
    assert len(shown) == 4
    assert shown == sorted(shown, reverse=True)
    output = tmp_path / "new" / "answers.csv"
    predict.main(
        PredictSettings(checkpoint=str(classifier), inputs={"text": "a red"}, output=str(output)),
        [],
    )
    with output.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert sum(float(row[f"probability {colour}"]) for colour in COLOURS) == pytest.approx(
        1, abs=1e-5
    )


def test_what_a_frozen_encoder_gave_for_the_data_is_not_taken_for_a_file(classifier, pairs) -> None:
    predictor = RunPredictor(Trained(classifier, ["devices=cpu"]))
    before = predictor.outputs([{"image": f"{pairs.parent}/images/003.png"}]).y

    def wrong(encoder, inputs, items):
        raise AssertionError("sample 0 of the data is predictor for")

    predictor.model.caches["image"] = wrong
    assert torch.equal(predictor.outputs([{"image": f"{pairs.parent}/images/003.png"}]).y, before)


def test_a_manifest_becomes_a_table_of_answers(classifier, dirty, tmp_path) -> None:
    output = tmp_path / "answers.csv"
    settings = PredictSettings(checkpoint=str(classifier), output=str(output))
    predict.main(
        settings,
        [
            "data=manifest",
            f"data.path={dirty}",
            "data.columns.text=null",
            "data.image_size=16",
            "devices=cpu",
        ],
    )
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    assert {row["prediction"] for row in rows if not row["error"]} <= COLOURS
    assert sum("no file" in row["error"] for row in rows) == 1
    assert sum("none of image is there" in row["error"] for row in rows) == 4
    for row in rows:
        known = {colour: row[f"probability {colour}"] for colour in COLOURS}
        if row["error"]:
            assert set(known.values()) == {""}
        else:
            assert sum(map(float, known.values())) == pytest.approx(1, abs=1e-5)
            assert max(known, key=lambda colour: float(known[colour])) == row["prediction"]


def test_the_data_of_the_run_are_a_table_too(classifier, dirty, tmp_path) -> None:
    output = tmp_path / "answers.parquet"
    settings = PredictSettings(checkpoint=str(classifier), output=str(output))
    predict.main(settings, [f"data.path={dirty}", "data.columns.label=null", "devices=cpu"])
    assert len(pq.read_table(output)) == 20


def test_a_mistake_says_what_to_type(classifier, pairs, capsys) -> None:
    with pytest.raises(ConfigError, match="no such input. Did you mean image"):
        predicted(classifier, capsys, imaeg="x.png")
    with pytest.raises(ConfigError, match="no such file"):
        predicted(classifier, capsys, image="x.png")
    with pytest.raises(ConfigError, match="Give an input"):
        predicted(classifier, capsys)
    with pytest.raises(ConfigError, match="text=: there is nothing in it"):
        predicted(classifier, capsys, text=" ")
    with pytest.raises(ConfigError, match=r"x\*.png: there is no such file"):
        predicted(classifier, capsys, image="x*.png")
    with pytest.raises(ConfigError, match="image and other are patterns"):
        predict.samples_of(
            {"image": "a*.png", "other": "b*.png", "text": "c*.png"}, {"other": "image"}
        )
    with pytest.raises(
        ConfigError, match="x.xlsx: give a name that ends in .csv or .parquet or .jsonl"
    ):
        predict.main(
            PredictSettings(checkpoint=str(classifier), inputs={"text": "a red"}, output="x.xlsx"),
            [],
        )
    with pytest.raises(DataError, match="pairs.csv is damaged or no image"):
        predicted(classifier, capsys, image=str(pairs))


def test_other_data_and_several_checkpoints_are_judged(
    classifier, pairs, capsys, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two = [str(classifier), str(classifier / "checkpoints" / "best.ckpt")]
    changes = [
        *NEW,
        f"data.path={pairs}",
        "data.columns.label=class",
        "data.splits=[0,0,1]",
        "callbacks=[probe]",
    ]
    evaluate.main(EvalSettings(checkpoint=two, json=True), changes)
    said = json.loads(capsys.readouterr().out)
    assert list(said) == two
    assert said[two[0]]["test/accuracy"] == said[two[1]]["test/accuracy"]
    assert "test/probe/nmi" in said[two[0]]
    files = [
        json.loads(file.read_text()) for file in (tmp_path / "logs" / "eval").rglob("metrics.json")
    ]
    assert [metrics["test/accuracy"] for metrics in files] == [said[two[0]]["test/accuracy"]] * 2
    with pytest.raises(ConfigError, match="run_dir= is one folder"):
        evaluate.main(EvalSettings(checkpoint=two), ["devices=cpu", f"run_dir={tmp_path}"])
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: pytest.fail("the second one is none"))
    with pytest.raises(ConfigError, match="nowhere: neither"):
        evaluate.main(EvalSettings(checkpoint=[two[0], "nowhere"]), ["devices=cpu"])
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    evaluate.main(EvalSettings(checkpoint=two), ["devices=cpu"])
    assert "checkpoints/best.ckpt" in capsys.readouterr().out.replace("\n", "")


def test_a_comparison_has_a_column_a_checkpoint() -> None:
    table = evaluate.comparison(
        {
            "runs/[a]/best.ckpt": {"test/x": 0.25, "val/x": 1.0},
            "runs/b/best.ckpt": {"test/x": 0.5, "test/y": 6320.44},
        }
    )
    assert [column.header for column in table.columns] == [
        "metric",
        r"\[a]/best.ckpt",
        "b/best.ckpt",
    ]
    assert [list(column.cells) for column in table.columns] == [
        ["test/x", "test/y"],
        ["0.2500", ""],
        ["0.5000", "6,320"],
    ]
