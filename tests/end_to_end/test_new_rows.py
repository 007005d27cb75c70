"""New rows of a table, and values that a person types: answered as a user would write and read
them."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.data.manifests import make_pairs, write_csv, write_jsonl
from tests.export.models import checkpoint_of

from polymodal.cli.programs import EmbedSettings, PredictSettings, parsed
from polymodal.errors import ConfigError, DataError
from polymodal.formatting import readable
from polymodal.inference import embed, predict
from polymodal.inference.evaluate import evaluate
from polymodal.inference.run_predictor import load_run

TINY = ["debug=fast", "logger=none", "callbacks=[checkpoint]", "devices=cpu", "dim=16"]
TABLE = [
    "++data.columns.tabular=[age,sex,pclass]",
    "++data.numeric=1",
    "++data.cardinalities=[2,3]",
]
TEXT = ["++data.columns.text=name", "encoder/text=bow", "++data.vocab_size=300"]
SUPERVISED = ["encoder/image=none", "encoder/tabular=mlp", "fusion=sum", "head=linear"]
KINDS = {
    "class": ["objective=classification", "++data.columns.label=survived", "outputs=2"],
    "value": [
        "objective=regression",
        "++data.columns.label=price",
        "++data.label_kind=value",
        "outputs=1",
    ],
    "tags": [
        "objective=multilabel",
        "++data.columns.label=tags",
        "++data.label_kind=tags",
        "outputs=3",
    ],
}


def people(count: int, seed: int = 0) -> list[dict]:
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        age, sex = int(random.integers(5, 80)), ["male", "female"][number % 2]
        klass = ["1st", "2nd", "3rd"][number % 3]
        row = {"name": f"{'Mrs' if number % 2 else 'Mr'} Smith {number}", "age": str(age)}
        row |= {"sex": sex, "pclass": klass, "survived": ["no", "yes"][number % 2]}
        tags = [
            name
            for name, has in (("old", age > 40), ("rich", klass == "1st"), ("f", number % 2))
            if has
        ]
        rows.append(row | {"price": str(1000 + 50 * age), "tags": "|".join(tags)})
    return rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Untrained models of the three kinds of label, that know the columns of one table."""
    folder = tmp_path_factory.mktemp("people")
    table = write_csv(folder / "people.csv", people(60))
    data = [
        "data=manifest",
        f"++data.path={table}",
        "++data.num_workers=0",
        *TEXT,
        *TABLE,
        *SUPERVISED,
    ]
    for kind, words in KINDS.items():
        checkpoint_of(folder / kind, *data, *words, tiny=TINY)
    return {kind: folder / kind for kind in KINDS}


def new_rows() -> list[dict]:
    """Twelve rows with the columns in another order and more of them, text of all sorts, and no
    label."""
    rows = [
        {key: row[key] for key in ("pclass", "sex", "name", "age")} | {"ticket": f"00{number}"}
        for number, row in enumerate(people(12, 7))
    ]
    rows[1]["name"] = 'He said "hi", then\nleft'
    rows[2]["pclass"], rows[5]["sex"], rows[7]["pclass"] = "4th", "Male", "4th"
    rows[3]["age"] = ""
    rows[8]["age"] = "forty"
    return rows


def answered(run: Path, output: Path, *changes: str) -> list[dict]:
    predict.main(
        PredictSettings(checkpoint=str(run), output=str(output)), ["devices=cpu", *changes]
    )
    if output.suffix == ".parquet":
        return pq.read_table(output).to_pylist()
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in output.read_text().splitlines()]
    with output.open(newline="") as stream:
        return list(csv.DictReader(stream))


def by_hand(run: Path, row: dict) -> torch.Tensor:
    """Y of a row that is given value by value."""
    predictor = load_run(run, "devices=cpu")
    values = {key: row[key] for key in ("age", "sex", "pclass") if row[key]}
    output = predictor.outputs([{"text": row["name"], "tabular": values}])
    return predictor.objective.in_units(output.y[0])


@pytest.mark.parametrize("kind", ["class", "value", "tags"])
def test_rows_without_a_label_are_answered_beside_what_they_are(
    kind: str, runs, tmp_path: Path, capsys, caplog
) -> None:
    rows = new_rows()
    table = write_csv(tmp_path / "new.csv", rows)
    said = answered(runs[kind], tmp_path / "answers.csv", "data=manifest", f"data.path={table}")
    out = capsys.readouterr().out
    assert "Columns as in the training: text=name, tabular=age+sex+pclass" in out
    assert "12 rows in " in out
    assert "11 of them with a prediction" in out
    assert [{key: row[key] for key in rows[0]} for row in said] == rows  # as text, in order
    assert "age='forty' is no number" in said[8]["error"]
    assert {row["error"] for row in said[:8] + said[9:]} == {""}
    notes = " ".join(caplog.messages)
    assert (
        "pclass: 2 of 11 values were not in training: '4th'. Known are '1st', '2nd', '3rd'" in notes
    )
    assert "sex: 1 of 11 values were not in training: 'Male'" in notes
    head = list(said[0])[len(rows[0]) :]
    y = by_hand(runs[kind], rows[0])
    if kind == "class":
        assert head == [
            "prediction",
            "probability",
            "probability no",
            "probability yes",
            "error",
            "source",
        ]
        p = y.softmax(0)
        assert [float(said[0][f"probability {name}"]) for name in ("no", "yes")] == pytest.approx(
            p.tolist()
        )
        assert said[0]["prediction"] == ["no", "yes"][int(p.argmax())]
        assert float(said[0]["probability"]) == pytest.approx(float(p.max()))
    elif kind == "value":
        assert head == ["prediction", "error", "source"]
        assert float(said[0]["prediction"]) == pytest.approx(float(y), rel=1e-5)
        assert 1000 < float(said[0]["prediction"]) < 6000  # in units
    else:
        assert head == [
            "prediction",
            "probability f",
            "probability old",
            "probability rich",
            "error",
            "source",
        ]
        p = dict(zip(("f", "old", "rich"), y.sigmoid().tolist(), strict=True))
        assert {name: float(said[0][f"probability {name}"]) for name in p} == pytest.approx(p)
        assert said[0]["prediction"] == "|".join(name for name in p if p[name] > 0.5)
    assert {said[8][name] for name in head[:-2]} == {""}


def test_every_format_says_the_same_of_the_same_rows(runs, tmp_path: Path) -> None:
    rows = new_rows()
    expected = answered(
        runs["class"],
        tmp_path / "0.csv",
        "data=manifest",
        f"data.path={write_csv(tmp_path / 'new.csv', rows)}",
    )
    typed = [
        row | {"age": int(row["age"]) if row["age"].isdecimal() else None, "more": {"a": [1]}}
        for row in rows
    ]
    lines = answered(
        runs["class"],
        tmp_path / "1.jsonl",
        "data=manifest",
        f"data.path={write_jsonl(tmp_path / 'new.jsonl', typed)}",
    )
    assert [{key: row[key] for key in typed[0]} for row in lines] == typed  # numbers stay numbers
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "new.parquet")
    binary = answered(
        runs["class"],
        tmp_path / "2.parquet",
        "data=manifest",
        f"data.path={tmp_path / 'new.parquet'}",
    )
    for number, (one, two, three) in enumerate(zip(expected, lines, binary, strict=True)):
        if number == 8:  # "forty" is missing in the other two
            assert one["prediction"] == ""
            continue
        assert one["prediction"] == two["prediction"] == three["prediction"]
        assert float(one["probability yes"]) == pytest.approx(two["probability yes"], abs=1e-6)
        assert two["probability yes"] == pytest.approx(three["probability yes"], abs=1e-6)


def test_columns_of_other_names_in_another_order(runs, tmp_path: Path, capsys) -> None:
    rows = new_rows()
    straight = answered(
        runs["value"],
        tmp_path / "0.csv",
        "data=manifest",
        f"data.path={write_csv(tmp_path / 'a.csv', rows)}",
    )
    names = {
        "pclass": "Klasse",
        "sex": "Geschlecht",
        "name": "Name",
        "age": "Alter",
        "ticket": "ticket",
    }
    other = [{names[key]: value for key, value in row.items()} for row in rows]
    changes = ["data=manifest", f"data.path={write_csv(tmp_path / 'b.csv', other)}"]
    with pytest.raises(
        ConfigError, match=r"none of the columns of the training \(name, age, sex, pclass\)"
    ):
        answered(runs["value"], tmp_path / "1.csv", *changes)
    columns = ["data.columns.text=Name", "data.columns.tabular=[Alter,Geschlecht,Klasse]"]
    capsys.readouterr()
    said = answered(runs["value"], tmp_path / "2.csv", *changes, *columns)
    assert (
        "Alter, Geschlecht, Klasse are read as age, sex, pclass of the training"
        in capsys.readouterr().out
    )
    assert [row["prediction"] for row in said] == [row["prediction"] for row in straight]
    mixed = [
        "data=manifest",
        f"data.path={tmp_path / 'a.csv'}",
        "data.columns.tabular=[sex,pclass,age]",
    ]
    again = answered(runs["value"], tmp_path / "3.csv", *mixed)
    assert [row["prediction"] for row in again] == [row["prediction"] for row in straight]
    assert not (tmp_path / "1.csv").exists()
    assert not list(tmp_path.glob("*.parts"))


def test_a_column_that_lacks_is_told(runs, tmp_path: Path, capsys) -> None:
    rows = [{key: row[key] for key in ("age", "sex", "pclass")} for row in new_rows()]
    table = write_csv(tmp_path / "new.csv", rows)
    said = answered(runs["class"], tmp_path / "0.csv", "data=manifest", f"data.path={table}")
    assert (
        "text is missing in all rows: there is no column name. Another: data.columns.text="
        in capsys.readouterr().out
    )
    assert said[0]["prediction"] in ("no", "yes")
    for row in rows:
        row["Sex"] = row.pop("sex")
    write_csv(table, rows)
    with pytest.raises(
        ConfigError, match="data.columns.tabular=sex: .* has no such column. Did you mean 'Sex'"
    ):
        answered(runs["class"], tmp_path / "1.csv", "data=manifest", f"data.path={table}")


def test_labels_that_are_there_are_metrics(runs, tmp_path: Path, capsys) -> None:
    rows = people(20, 3)
    rows[4]["survived"], rows[6]["survived"] = "", "perhaps"
    table = write_csv(tmp_path / "new.csv", rows)
    # with the settings of the run
    said = answered(runs["class"], tmp_path / "0.csv", f"data.path={table}")
    out = capsys.readouterr().out
    known = [row for row in said if row["survived"] in ("yes", "no")]
    accuracy = np.mean([row["prediction"] == row["survived"] for row in known])
    assert "Metrics of 18 rows with a label" in out
    assert f"accuracy  │ {accuracy:.4f}" in out
    assert "1 of 20 values were not in training: 'perhaps'" in out
    assert said[6]["prediction"] in ("no", "yes")  # it is answered all the same
    prices = answered(runs["value"], tmp_path / "1.csv", "data=manifest", f"data.path={table}")
    error = np.mean([abs(float(row["prediction"]) - float(row["price"])) for row in prices])
    assert f"mae      │ {readable(error):>7}" in capsys.readouterr().out
    answered(
        runs["tags"],
        tmp_path / "2.csv",
        "data=manifest",
        f"data.path={table}",
        "data.columns.label=null",
    )
    assert "Metrics" not in capsys.readouterr().out
    assert "trained on" not in out
    answered(runs["class"], tmp_path / "3.csv", f"data.path={runs['class'].parent / 'people.csv'}")
    assert "Rows that the model was trained on may be among them" in capsys.readouterr().out


def test_a_column_called_as_an_answer_is_refused_before_any_work(runs, tmp_path: Path) -> None:
    rows = [row | {"prediction": "?"} for row in people(4)]
    table = write_csv(tmp_path / "new.csv", rows)
    with pytest.raises(
        ConfigError, match="have a column 'prediction', as the predictions will: rename it"
    ):
        answered(runs["class"], tmp_path / "0.csv", "data=manifest", f"data.path={table}")
    assert [file.name for file in tmp_path.iterdir()] == ["new.csv"]
    with pytest.raises(
        ConfigError, match="this is one file, and no table: give it as image=cat.png"
    ):
        answered(runs["class"], tmp_path / "0.csv", "data=manifest", "data.path=cat.png")


def test_of_a_row_with_several_captions_the_mean_counts(runs, tmp_path: Path) -> None:
    rows = [row | {"story": f"told in {row['pclass']}"} for row in people(6, 2)]
    table = write_csv(tmp_path / "new.csv", rows)
    both = ["data=manifest", f"data.path={table}", "data.columns.text=[name,story]"]
    said = answered(runs["value"], tmp_path / "0.csv", *both)
    assert len(said) == 6
    each = [by_hand(runs["value"], rows[2] | {"name": rows[2][key]}) for key in ("name", "story")]
    assert float(said[2]["prediction"]) == pytest.approx(float(sum(each) / 2), rel=1e-5)


def asked(run: Path, capsys, *arguments: str) -> list[dict]:
    """What a command line says, as JSON."""
    settings, changes = parsed([f"checkpoint={run}", "json=true", *arguments], PredictSettings)
    capsys.readouterr()
    predict.main(settings, ["devices=cpu", *changes])
    return json.loads(capsys.readouterr().out)


def test_values_are_typed_as_they_stand_in_the_table(runs, tmp_path: Path, capsys, caplog) -> None:
    rows = [people(4, 9)[0], people(4, 9)[0] | {"age": "", "pclass": ""}]
    table = write_csv(tmp_path / "new.csv", rows)
    whole, part = answered(runs["class"], tmp_path / "0.csv", "data=manifest", f"data.path={table}")
    row = rows[0]
    words = [f"age={row['age']}.0", f"sex={row['sex']}", f"pclass={row['pclass']}"]
    (said,) = asked(runs["class"], capsys, f"text={row['name']}", *words)
    assert said["probability"]["yes"] == pytest.approx(float(whole["probability yes"]), abs=1e-6)
    assert (said["age"], said["sex"], said["text"]) == (f"{row['age']}.0", row["sex"], row["name"])
    (said,) = asked(runs["class"], capsys, f"name={row['name']}", f"tabular.sex={row['sex']}")
    assert said["probability"]["yes"] == pytest.approx(float(part["probability yes"]), abs=1e-6)
    asked(runs["class"], capsys, "sex=mal")
    assert (
        "sex=mal: not in training, so it counts as missing. Known are 'female', 'male'"
        in caplog.text
    )
    with pytest.raises(ConfigError, match="age=forty: this column holds numbers"):
        asked(runs["class"], capsys, "age=forty")
    with pytest.raises(ConfigError, match="sxe=: the model has no such input. Did you mean sex"):
        asked(runs["class"], capsys, "sxe=male")
    with pytest.raises(ConfigError, match="one by one: age=... sex=... pclass=..."):
        asked(runs["class"], capsys, "tabular=40")


def test_typed_values_are_standardised_by_the_training(runs) -> None:
    run = load_run(runs["class"], "devices=cpu")
    row = run.data.read("tabular", {"sex": "male", "age": "30"})
    rows = run.data.learned["tabular"]
    training = [float(row["age"]) for row in people(60)]
    assert min(training) < rows["mean"][0] < max(training)
    assert row[0] == pytest.approx((30 - rows["mean"][0]) / rows["std"][0])
    assert row[1:].tolist() == [1, -1]  # female, male; no class is given


def test_a_folder_of_new_pictures_needs_no_classes(tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 24)
    for row in rows:
        file = tmp_path / "train" / row["class"] / Path(row["filepath"]).name
        file.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / row["filepath"]).rename(file)
    words = [
        "data=folder",
        f"++data.path={tmp_path / 'train'}",
        "++data.image_size=16",
        "encoder/text=none",
    ]
    words += [
        "objective=classification",
        "fusion=sum",
        "head=linear",
        "outputs=4",
        "++data.num_workers=0",
    ]
    checkpoint_of(tmp_path / "run", *words, tiny=TINY)
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, name in enumerate(("red", "blue")):
        file = next((tmp_path / "train" / name).iterdir())
        (photos / f"{number}.png").write_bytes(file.read_bytes())
    (photos / "2.png").write_bytes(b"no image")
    said = answered(tmp_path / "run", tmp_path / "0.csv", "data=folder", f"data.path={photos}")
    assert [row["file"] for row in said] == ["0.png", "1.png", "2.png"]
    assert "damaged" in said[2]["error"]
    model = load_run(tmp_path / "run", "devices=cpu")
    p = model.outputs([{"image": str(photos / "1.png")}]).y[0].softmax(0).tolist()
    names = ["blue", "green", "grey", "red"]
    assert [float(said[1][f"probability {name}"]) for name in names] == pytest.approx(p, abs=1e-6)
    assert said[1]["prediction"] == names[int(np.argmax(p))]
    (photos / "fish").mkdir()  # a class that the model does not know
    (photos / "0.png").rename(photos / "fish" / "0.png")
    (row,) = answered(tmp_path / "run", tmp_path / "1.csv", "data=folder", f"data.path={photos}")
    assert (row["class"], row["prediction"], row["error"]) == ("fish", said[0]["prediction"], "")


def test_a_table_of_which_nothing_can_be_read_says_so(runs, tmp_path: Path) -> None:
    table = write_csv(tmp_path / "new.csv", [row | {"age": "x"} for row in people(3)])
    with pytest.raises(DataError, match="3 of 3 rows left out: bad number 3"):
        answered(runs["class"], tmp_path / "0.csv", "data=manifest", f"data.path={table}")


def test_a_data_set_of_the_library_has_its_columns_beside(runs, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{key: row[key] for key in ("age", "sex", "pclass", "name")} for row in people(5, 4)]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "new")
    said = answered(
        runs["value"], tmp_path / "0.jsonl", "data=huggingface", f"data.name={tmp_path / 'new'}"
    )
    assert [{key: row[key] for key in rows[0]} for row in said] == rows
    assert said[3]["prediction"] == pytest.approx(float(by_hand(runs["value"], rows[3])), rel=1e-5)


def test_other_programs_take_the_columns_of_the_training_too(
    runs, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = people(20, 5)
    table = write_csv(tmp_path / "new.csv", rows)
    changes = ["devices=cpu", "data=manifest", f"data.path={table}"]
    metrics = evaluate(runs["class"], changes)
    said = answered(runs["class"], tmp_path / "0.csv", *changes[1:])
    right = [row["prediction"] == row["survived"] for row in said]
    assert metrics["test/accuracy"] == pytest.approx(np.mean(right))
    rows[3]["survived"] = "perhaps"  # a label that the model does not know
    write_csv(table, rows)
    embed.main(
        EmbedSettings(checkpoint=str(runs["class"]), output=str(tmp_path / "x.parquet")), changes
    )
    vectors = pq.read_table(tmp_path / "x.parquet")
    assert vectors["error"].null_count == len(vectors) == 20
    assert vectors["prediction"].to_pylist() == [row["prediction"] for row in said]
