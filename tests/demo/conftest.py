"""Small runs: two on images with captions, one that aligns them and one that tells their class from
both, one that aligns sounds with captions, and two that read a table beside a text, of which one
predicts a value."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from polymodal.cli.programs import DemoSettings
from polymodal.demo.held_out import HeldOut, opened
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

COLUMNS = {"image": "filepath", "text": "caption", "label": "class"}


@pytest.fixture(scope="package")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 60))


@pytest.fixture(scope="package")
def sounds(tmp_path_factory) -> Path:
    """Tones of half a second, each of its own pitch, with a caption."""
    folder, rows = tmp_path_factory.mktemp("sounds"), []
    for number in range(40):
        wave = np.sin(np.arange(4000) * (0.1 + 0.07 * number)) / 2
        soundfile.write(folder / f"{number:02}.flac", wave, 8000)
        pitch = "low" if number < 20 else "high"
        rows.append({"sound": f"{number:02}.flac", "caption": f"a {pitch} tone number {number}"})
    return write_csv(folder / "sounds.csv", rows)


def trained(folder: Path, table: Path, *changes: str, columns: Mapping[str, str] = COLUMNS) -> Path:
    data = [
        f"++data.path={table}",
        *(f"++data.columns.{key}={column}" for key, column in columns.items()),
    ]
    small = [
        "++data.image_size=16",
        "++data.vocab_size=300",
        "++data.num_workers=0",
        "++data.batch_size=16",
    ]
    split = ["++data.splits=[0.4,0.1,0.5]", "++trainer.max_epochs=3", "callbacks=[checkpoint]"]
    run(folder, "data=manifest", *data, *small, *split, *QUIET, *changes)
    return folder


@pytest.fixture(scope="package")
def clip(pairs: Path, tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("clip"), pairs)


@pytest.fixture(scope="package")
def classifier(pairs: Path, tmp_path_factory) -> Path:
    kind = ["objective=classification", "fusion=gated", "head=linear", "outputs=4"]
    return trained(tmp_path_factory.mktemp("classifier"), pairs, *kind)


@pytest.fixture(scope="package")
def listening(sounds: Path, tmp_path_factory) -> Path:
    kind = ["encoder/image=none", "encoder/audio=cnn", "++data.sample_rate=8000"]
    columns = {"audio": "sound", "text": "caption"}
    return trained(tmp_path_factory.mktemp("listening"), sounds, *kind, columns=columns)


@pytest.fixture(scope="package")
def aligned(clip: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(clip)), ("devices=cpu",))


@pytest.fixture(scope="package")
def classifying(classifier: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(classifier)), ("devices=cpu",))


CLASSES = ("1st", "2nd", "3rd")
TABLE = ["encoder/image=none", "encoder/text=bow", "encoder/tabular=mlp", "head=linear"]
TABLE += ["++data.numeric=2", "++data.cardinalities=[2,3]"]


@pytest.fixture(scope="package")
def passengers(tmp_path_factory) -> Path:
    """A table of people; some ages and sexes are missing."""
    rows = [
        {
            "name": f"passenger {number}",
            "age": "" if number % 7 == 0 else 20 + number % 31,
            "fare": f"{7.25 + 3.1 * number:.2f}",
            "sex": "" if number % 11 == 0 else ("male", "female")[number % 2],
            "class": CLASSES[number % 3],
            "outcome": ("died", "survived")[number % 2],
            "score": 1000 + 5 * number,
        }
        for number in range(60)
    ]
    return write_csv(tmp_path_factory.mktemp("passengers") / "passengers.csv", rows)


def on_table(folder: Path, table: Path, label: str, *changes: str) -> Path:
    columns = {"text": "name", "tabular": "[age,fare,sex,class]", "label": label}
    return trained(folder, table, *TABLE, *changes, columns=columns)


@pytest.fixture(scope="package")
def survival(passengers: Path, tmp_path_factory) -> Path:
    kind = ["objective=classification", "fusion=concat", "outputs=2"]
    return on_table(tmp_path_factory.mktemp("survival"), passengers, "outcome", *kind)


@pytest.fixture(scope="package")
def scores(passengers: Path, tmp_path_factory) -> Path:
    kind = ["objective=regression", "fusion=gated", "outputs=1", "++data.label_kind=value"]
    return on_table(tmp_path_factory.mktemp("scores"), passengers, "score", *kind)


@pytest.fixture(scope="package")
def surviving(survival: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(survival)), ("devices=cpu",))


@pytest.fixture(scope="package")
def scoring(scores: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(scores)), ("devices=cpu",))
