"""Output i has one name wherever it is shown, written or exported; a spare output is never called
like a class."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET
from tests.export.models import checkpoint_of

import polymodal
from polymodal.cli.programs import EmbedSettings, PredictSettings
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.data.webdataset import WebDataset
from polymodal.demo.contributions import explain
from polymodal.demo.held_out import HeldOut
from polymodal.errors import ConfigError, DataError
from polymodal.export.folder import export
from polymodal.inference import embed, evaluate, predict
from polymodal.inference.trained import Trained
from polymodal.training.build import build

SPARE = "(output 3)"
CLASSES = ["1", "2", "3", SPARE]
SMALL = [
    "data.image_size=8",
    "data.num_workers=0",
    "data.batch_size=16",
    "data.splits=[0.4,0.1,0.5]",
]
KIND = [
    *("data=manifest", "data.columns.image=filepath", "data.columns.label=number"),
    *("encoder/image=linear", "encoder/text=none", "fusion=sum", "head=linear", "dim=8"),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    """30 images of the classes 1, 2 and 3, with tags."""
    folder = tmp_path_factory.mktemp("numbers")
    rows = make_pairs(folder, 30)
    for index, row in enumerate(rows):
        row["number"], row["tags"] = str(1 + index % 3), "a|b" if index % 2 else "a"
    return write_csv(folder / "numbers.csv", rows)


def words(table: Path, *overrides: str) -> list[str]:
    """All of a tiny run's command line, as Hydra takes it."""
    typed = [*KIND, f"data.path={table}", *SMALL, "callbacks=none", *overrides]
    return [*QUIET, *(f"++{word}" if word.startswith("data.") else word for word in typed)]


def always(folder: Path, table: Path, output: int, *overrides: str) -> Path:
    """The run folder of a model whose `output` is the largest, whatever it sees."""
    file, _ = checkpoint_of(folder, tiny=words(table, *overrides))
    state = torch.load(file, weights_only=True)
    bias = state["state_dict"]["model.head.layers.1.bias"]
    bias.fill_(-9.0)
    bias[output] = 9.0
    torch.save(state, file)
    return folder


@pytest.fixture(scope="module", params=[1, 3])
def run(request, table: Path, tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("run")
    options = ["objective=classification", "outputs=4"]
    return always(folder, table, request.param, *options), CLASSES[request.param]


def by_hand(folder: Path, table: Path, capsys) -> dict:
    capsys.readouterr()
    inputs = {"image": f"{table.parent}/images/001.png"}
    predict.main(PredictSettings(checkpoint=str(folder), inputs=inputs, json=True), [])
    return json.loads(capsys.readouterr().out)[0]


def test_predictions(run: tuple[Path, str], table: Path, tmp_path: Path, capsys) -> None:
    folder, name = run
    said = by_hand(folder, table, capsys)
    assert said["prediction"] == name
    assert list(said["probability"]) == CLASSES
    assert max(said["probability"], key=said["probability"].get) == name
    file = tmp_path / "answers.csv"
    predict.main(PredictSettings(checkpoint=str(folder), output=str(file)), ["data.batch_size=8"])
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["prediction"] for row in rows} == {name}
    assert [c for c in rows[0] if c.startswith("prob")] == [
        "probability",
        *(f"probability {c}" for c in CLASSES),
    ]
    assert all(float(row[f"probability {name}"]) > 0.9 for row in rows)
    output = tmp_path / "rows.parquet"
    embed.main(EmbedSettings(checkpoint=str(folder), output=str(output)), [])
    written = pq.read_table(output)
    assert set(written["prediction"].to_pylist()) == {name}
    assert json.loads(written.schema.metadata[b"polymodal"])["classes"] == CLASSES


def test_report(run: tuple[Path, str], tmp_path: Path) -> None:
    folder, name = run
    evaluate.evaluate(folder, [f"run_dir={tmp_path}", "callbacks=[report]"])
    with (tmp_path / "report" / "classes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class"] for row in rows] == CLASSES
    assert [float(row["recall"]) for row in rows] == [float(c == name != SPARE) for c in CLASSES]
    with (tmp_path / "report" / "confusion.csv").open(newline="") as stream:
        header, *counts = csv.reader(stream)
    column = header.index(name)
    assert header[1:] == [row[0] for row in counts] == CLASSES
    assert all(int(row[column]) == sum(map(int, row[1:])) for row in counts)


def test_demo(run: tuple[Path, str], table: Path) -> None:
    folder, name = run
    held = HeldOut(Trained(folder, ["devices=cpu"]), 100)
    numbers = [int(batch.items["image"][0]) for batch in held.examples]
    assert [held.truth(batch) for batch in held.examples] == [str(1 + n % 3) for n in numbers]
    scores = explain(held.predictor, held.examples[0]).scores
    assert list(scores) == CLASSES
    assert max(scores, key=scores.get) == name


def test_export(run: tuple[Path, str], table: Path, tmp_path: Path) -> None:
    folder, name = run
    export(str(folder), str(tmp_path / "exported"), ["safetensors"], "MIT")
    model = polymodal.load(tmp_path / "exported")
    output = model(image=str(table.parent / "images" / "001.png"))
    assert model.labels == CLASSES
    assert model.labels[int(output.y[0].argmax())] == name
    assert json.loads((tmp_path / "exported" / "config.json").read_text())["labels"] == CLASSES
    assert "Classes: 1, 2, 3, (output 3)." in (tmp_path / "exported" / "README.md").read_text()


def test_an_older_export_has_names_for_its_spare_outputs_too(run, tmp_path: Path) -> None:
    export(str(run[0]), str(tmp_path / "exported"), ["safetensors"], "MIT")
    config = tmp_path / "exported" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"labels": ["1", "2", "3"]}))
    assert polymodal.load(tmp_path / "exported").labels == CLASSES


def test_tags(table: Path, tmp_path: Path, capsys) -> None:
    options = [
        "objective=multilabel",
        "outputs=2",
        "data.columns.label=tags",
        "data.label_kind=tags",
    ]
    folder = always(tmp_path / "run", table, 1, *options)
    said = by_hand(folder, table, capsys)
    assert said["prediction"] == ["b"]
    assert list(said["probability"]) == ["a", "b"]
    held = HeldOut(Trained(folder, ["devices=cpu"]), 100)
    numbers = [int(batch.items["image"][0]) for batch in held.examples]
    assert [held.truth(b) for b in held.examples] == ["a, b" if n % 2 else "a" for n in numbers]
    export(str(folder), str(tmp_path / "exported"), ["safetensors"], "MIT")
    assert polymodal.load(tmp_path / "exported").labels == ["a", "b"]
    assert "Tags: a, b." in (tmp_path / "exported" / "README.md").read_text()


def test_of_several_objectives_the_supervised_one_names_the_outputs(
    table: Path, tmp_path: Path, capsys
) -> None:
    folder = always(tmp_path / "run", table, 3, *BOTH, "outputs=4")
    said = by_hand(folder, table, capsys)
    assert said["prediction"] == SPARE
    export(str(folder), str(tmp_path / "exported"), ["safetensors"], "MIT")
    assert polymodal.load(tmp_path / "exported").labels == CLASSES


BOTH = [
    *("objective=clip_and_classification", "encoder/text=bow", "data.columns.text=caption"),
    "data.vocab_size=300",
]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["objective=classification", "outputs=2"],
            r"3 classes and outputs=2: '1', '2', '3'\. Give outputs=3",
        ),
        ([*BOTH, "outputs=2"], r"3 classes and outputs=2: '1', '2', '3'\. Give outputs=3"),
        (
            [
                *("objective=multilabel", "outputs=3"),
                *("data.columns.label=tags", "data.label_kind=tags"),
            ],
            r"2 classes and outputs=3: 'a', 'b'\. Give outputs=2",
        ),
    ],
    ids=["classes", "classes of one of several objectives", "tags"],
)
def test_a_wrong_number_of_outputs_is_refused_before_training(
    overrides: list[str], message: str, table: Path, tmp_path: Path, monkeypatch
) -> None:
    config = check_config(compose_config([*words(table, *overrides), f"++run_dir={tmp_path}"]))
    data, module, trainer = build(config, config)
    monkeypatch.setattr(module, "training_step", lambda *_: pytest.fail("a batch was trained on"))
    with pytest.raises(DataError, match=message):
        trainer.fit(module, datamodule=data)


def test_numbers_in_shards_are_names_to_a_model_whose_classes_are_called_by_numbers() -> None:
    columns = {"image": "png", "label": "cls"}
    learned = {"learned": {"label": ["1", "2", "3"]}}
    data = WebDataset("x.tar", columns)
    data.load_state_dict(learned)
    assert data.class_names == {"label": ["1", "2", "3"]}
    plain = WebDataset("x.tar", columns)
    plain.load_state_dict({"learned": {"label": ["cat", "dog"]}})
    assert plain.class_names == {}  # a number is no name here, and stays the number of a class
    unlabelled = WebDataset("x.tar", {"image": "png"})
    unlabelled.load_state_dict(learned)
    assert unlabelled.class_names == {}


def test_a_class_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="data.class_names has 'cat' twice"):
        WebDataset("x.tar", {"image": "png", "label": "cls"}, class_names=["cat", "dog", "cat"])
