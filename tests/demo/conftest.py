"""Two small runs on pictures with captions: one that aligns them, and one that tells their class from both."""

from pathlib import Path

import pytest

from polymodal.config.command import DemoSettings
from polymodal.demo.held_out import HeldOut, opened
from tests.data.manifests import make_pairs, write_csv
from tests.end_to_end.test_experiments import QUIET, run

COLUMNS = {"image": "filepath", "text": "caption", "label": "class"}


@pytest.fixture(scope="package")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    return write_csv(folder / "pairs.csv", make_pairs(folder, 60))


def trained(folder: Path, pairs: Path, *changes: str) -> Path:
    data = [f"++data.path={pairs}", *(f"++data.columns.{key}={column}" for key, column in COLUMNS.items())]
    small = ["++data.image_size=16", "++data.vocab_size=300", "++data.num_workers=0", "++data.batch_size=16"]
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
def aligned(clip: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(clip)), ("devices=cpu",))


@pytest.fixture(scope="package")
def classifying(classifier: Path) -> HeldOut:
    return opened(DemoSettings(checkpoint=str(classifier)), ("devices=cpu",))
