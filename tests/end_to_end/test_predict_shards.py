"""Answers to a stream have the columns of answers to a table."""

import csv
from pathlib import Path

import pytest
from tests.data.shards import write_shards
from tests.end_to_end.test_experiments import QUIET, run

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.cli.programs import PredictSettings
from polymodal.errors import ConfigError
from polymodal.inference import predict

STREAM = [
    "data=webdataset",
    "data.image_size=16",
    "data.num_workers=0",
    "data.vocab_size=300",
    "data.batch_size=16",
]
STREAM += ["callbacks=[checkpoint]"]
SUPERVISED = [
    "objective=classification",
    "fusion=concat",
    "head=linear",
    "outputs=3",
    "data.columns.label=json.label",
]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, [12, 12, 12])
    return f"{folder}/{{000..002}}.tar"


@pytest.fixture(scope="module")
def classifier(shards: str, tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("run"), shards, *SUPERVISED)


def trained(folder: Path, shards: str, *words: str) -> Path:
    changes = [f"data.path={shards}", "trainer.max_steps=2", "data.epoch_samples=32", *words]
    run(folder, *as_hydra_arguments([*STREAM, *changes]), *QUIET, "++trainer.log_every_n_steps=1")
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_has_the_columns_of_a_table(
    shards: str, classifier: Path, tmp_path: Path, workers: int
) -> None:
    output = tmp_path / "answers.csv"
    settings = PredictSettings(checkpoint=str(classifier), output=str(output))
    changes = ["devices=cpu", f"data.path={shards}", f"data.num_workers={workers}"]
    predict.main(settings, changes)
    with output.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 36
    names = [
        name.removeprefix("probability ") for name in rows[0] if name.startswith("probability ")
    ]
    assert len(names) == 3
    each = [f"probability {name}" for name in names]
    assert list(rows[0]) == ["id", "split", "source", "prediction", "probability", *each, "error"]
    for row in rows:
        assert row["prediction"] in names
        assert (
            row["probability"]
            == row[f"probability {row['prediction']}"]
            == max(row[name] for name in each)
        )
        assert row["source"]


def test_a_stream_needs_a_model_that_answers(shards: str, tmp_path: Path) -> None:
    model = trained(tmp_path / "run", shards)
    output = tmp_path / "answers.csv"
    with pytest.raises(ConfigError, match="was not trained to predict anything"):
        predict.main(
            PredictSettings(checkpoint=str(model), output=str(output)), [f"data.path={shards}"]
        )
    assert list(tmp_path.iterdir()) == [model]
