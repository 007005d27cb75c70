"""Of a new table all samples are evaluated; the table of the training is divided as it was then."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.data.manifests import make_pairs, write_csv

from polymodal.inference.new_data import division_of, is_same_source, seen_in_training

TRAINED = {
    "_target_": "polymodal.data.manifest.Manifest",
    "path": "p.csv",
    "columns": {"image": "file", "split_by": "speaker", "split": None},
    "splits": [0.5, 0.25, 0.25],
}


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("p.csv", True),
        ("./p.csv", True),
        ("sub/../p.csv", True),
        ("{here}/p.csv", True),
        ("q.csv", False),
    ],
)
def test_a_table_is_known_by_its_file(path: str, same: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("p.csv", "q.csv"):
        (tmp_path / name).touch()
    data = TRAINED | {
        "path": path.format(here=tmp_path),
        "columns": {"image": "file"},
        "splits": [0.8, 0.1, 0.1],
    }
    assert is_same_source(data, TRAINED) is same
    division = division_of(data, TRAINED, {"data.path"})
    if same:
        assert division == {
            "splits": [0.5, 0.25, 0.25],
            "columns": {"image": "file", "split_by": "speaker"},
        }
    else:
        assert division == {"splits": [0.0, 0.0, 1.0]}


def test_what_is_given_wins() -> None:
    new = TRAINED | {"path": "q.csv", "splits": [0.1, 0.1, 0.8]}
    assert division_of(new, TRAINED, {"data.splits"}) == {}
    own = TRAINED | {"columns": {"image": "file"}}
    assert division_of(own, TRAINED, {"data.splits", "data.columns.split_by"}) == {}
    assert division_of(own, TRAINED, {"data.columns"}) == {"splits": [0.5, 0.25, 0.25]}


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({}, ""),
        ({"columns": {"image": "other", "split_by": "speaker"}}, ""),
        ({"columns": {"image": "file", "split_by": None}}, "data.columns.split_by"),
        (
            {"columns": {"image": "file", "split_by": "speaker", "group": "file"}},
            "data.columns.group",
        ),
        ({"splits": [0.0, 0.0, 1.0]}, "data.splits"),
        ({"path": "./p.csv", "splits": [0.0, 0.0, 1.0]}, "data.splits"),
        ({"path": "q.csv", "splits": [0.0, 0.0, 1.0]}, ""),
        ({"path": {"train": "p.csv", "test": "q.csv"}}, ""),
        ({"path": {"test": ["q.csv", "p.csv"]}}, "data.path={here}/p.csv"),
    ],
)
def test_samples_of_the_training_are_told(
    changes: dict, setting: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p.csv", "q.csv"):
        (tmp_path / name).touch()
    assert seen_in_training(TRAINED | changes, TRAINED) == setting.format(here=tmp_path)


def test_a_file_for_testing_is_not_one_of_the_training() -> None:
    trained = TRAINED | {"path": {"train": "a.csv", "val": "b.csv", "test": "c.csv"}}
    assert seen_in_training(TRAINED | {"path": "c.csv"}, trained) == ""
    assert seen_in_training(TRAINED | {"path": "a.csv"}, trained) == "data.path=a.csv"
    assert seen_in_training(trained | {"splits": [0.1, 0.1, 0.8]}, trained) == ""
    by_column = TRAINED | {"columns": {"image": "file", "split": "part"}}
    assert seen_in_training(by_column | {"splits": [0.0, 0.0, 1.0]}, by_column) == ""


ROOT = Path(__file__).parents[2]
SMALL = [
    "encoder/image=linear",
    "encoder/text=bow",
    "dim=8",
    "data.image_size=8",
    "data.num_workers=0",
]
SMALL += [
    "data.batch_size=16",
    "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false",
    "threads=1",
]
SMALL += ["devices=cpu", "callbacks=[checkpoint]", "logger=none"]


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_how_many_samples_are_evaluated(tmp_path: Path) -> None:
    rows = make_pairs(tmp_path, 60)
    table = write_csv(tmp_path / "p.csv", rows)
    data = ["data=manifest", "data.columns.image=filepath", "data.columns.text=caption"]
    trained = run(
        "src/train.py", *data, f"data.path={table}", *SMALL, f"hydra.run.dir={tmp_path}/run"
    )
    new = write_csv(tmp_path / "new.csv", rows[:20])
    split = write_csv(
        tmp_path / "s.csv",
        [row | {"part": ["test", "val"][n % 4 > 0]} for n, row in enumerate(rows)],
    )
    asked = {
        "own": [],
        "same": [*data, f"data.path={tmp_path}/./p.csv"],
        "new": [*data, f"data.path={new}"],
        "new path": [f"data.path={new}"],
        "shares": [*data, f"data.path={table}", "data.splits=[0.2,0.3,0.5]"],
        "column": [*data, f"data.path={split}", "data.columns.split=part"],
    }
    told = {
        name: run(
            "src/eval.py", f"checkpoint={tmp_path}/run", *words, f"run_dir={tmp_path}/eval {name}"
        )
        for name, words in asked.items()
    }
    told_of_training = "samples that the model was trained on may be among those"
    assert {name for name, text in told.items() if told_of_training in text} == {"shares"}
    counts = {name: text.split("Evaluated ")[1].split(" samples")[0] for name, text in told.items()}
    own = trained.split("Evaluated ")[1].split(" samples")[0]
    assert own.endswith(" of 60")
    assert int(own.split()[0]) < 20
    assert counts["own"] == counts["same"] == own
    assert counts["new"] == counts["new path"] == "20 of 20"
    assert 20 < int(counts["shares"].split()[0]) < 40
    assert counts["column"] == "15 of 60"
    files = [tmp_path / f"eval {name}" / "metrics.json" for name in ("own", "same")]
    first, second = (json.loads(file.read_text())["test/recall@1"] for file in files)
    assert first == second
    written = run(
        "src/embed.py",
        f"checkpoint={tmp_path}/run",
        f"output={tmp_path}/v.parquet",
        f"data.path={new}",
    )
    assert "20 rows in" in written
    assert "of 20 of 20 samples" in written
