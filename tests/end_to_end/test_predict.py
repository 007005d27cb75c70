"""New samples are classified, by hand and from a table, with whatever they have."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.end_to_end.test_embed import NEW, classifier, dirty, embedded, pairs  # noqa: F401  (fixtures)

from polymodal import evaluate, predict
from polymodal.config.command import EvalSettings, PredictSettings
from polymodal.errors import ConfigError

COLOURS = {"red", "green", "blue", "grey"}


def predicted(checkpoint: Path, capsys, *changes: str, **inputs: str) -> list[dict]:
    capsys.readouterr()
    predict.main(PredictSettings(checkpoint=str(checkpoint), inputs=inputs, json=True), ["devices=cpu", *changes])
    return json.loads(capsys.readouterr().out)


def test_by_hand_it_is_what_the_table_says(classifier, pairs, capsys, tmp_path) -> None:  # noqa: F811
    table = pq.read_table(embedded(classifier, tmp_path / "x.parquet", "devices=cpu")).to_pylist()
    row = table[3]
    (said,) = predicted(classifier, capsys, image=row["image_words"], text=row["text_words"])
    assert said["prediction"] == row["prediction"]
    assert list(said["probability"].values()) == pytest.approx(row["probability"], abs=1e-5)
    assert set(said["probability"]) == COLOURS


def test_a_pattern_is_a_sample_a_file_and_a_modality_may_be_missing(classifier, pairs, capsys) -> None:  # noqa: F811
    rows = predicted(classifier, capsys, image=f"{pairs.parent}/images/00*.png")
    assert [Path(row["image"]).name for row in rows] == [f"00{number}.png" for number in range(10)]
    (alone,) = predicted(classifier, capsys, image=rows[4]["image"])
    assert list(alone["probability"].values()) == pytest.approx(list(rows[4]["probability"].values()), abs=1e-5)
    (text,) = predicted(classifier, capsys, text="what is *this*?")
    assert text["text"] == "what is *this*?"


def test_a_manifest_becomes_a_table_of_answers(classifier, dirty, tmp_path) -> None:  # noqa: F811
    output = tmp_path / "answers.csv"
    settings = PredictSettings(checkpoint=str(classifier), output=str(output))
    predict.main(
        settings,
        ["data=manifest", f"data.path={dirty}", "data.columns.image=filepath", "data.image_size=16", "devices=cpu"],
    )
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 20
    assert {row["prediction"] for row in rows if not row["error"]} <= COLOURS
    assert sum("no file" in row["error"] for row in rows) == 1
    assert sum("none of image is there" in row["error"] for row in rows) == 4
    assert "image" not in rows[0]


def test_a_mistake_says_what_to_type(classifier, capsys) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="no such input. Did you mean image"):
        predicted(classifier, capsys, imaeg="x.png")
    with pytest.raises(ConfigError, match="no such file"):
        predicted(classifier, capsys, image="x.png")
    with pytest.raises(ConfigError, match="Give an input"):
        predicted(classifier, capsys)


def test_other_data_and_several_checkpoints_are_judged(classifier, pairs, capsys, tmp_path, monkeypatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    two = [str(classifier), str(classifier / "checkpoints" / "best.ckpt")]
    changes = [*NEW, f"data.path={pairs}", "data.columns.label=class", "data.splits=[0,0,1]", "callbacks=[probe]"]
    evaluate.main(EvalSettings(checkpoint=two, json=True), changes)
    said = json.loads(capsys.readouterr().out)
    assert list(said) == two
    assert said[two[0]]["test/accuracy"] == said[two[1]]["test/accuracy"]
    assert "test/probe/nmi" in said[two[0]]
    evaluate.main(EvalSettings(checkpoint=two), ["devices=cpu"])
    assert "checkpoints/best.ckpt" in capsys.readouterr().out.replace("\n", "")
