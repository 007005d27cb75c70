"""A resumed run is one run for wandb too."""

import json
from pathlib import Path

import pytest

from polymodal.loggers.wandb import wandb_logger


def test_an_id_stays_with_its_folder(tmp_path: Path) -> None:
    first, again, other = (wandb_logger(str(tmp_path / name), offline=True) for name in ("a", "a", "b"))
    assert first.version == again.version != other.version
    assert wandb_logger(str(tmp_path / "a"), offline=True, id="mine").version == "mine"


def test_what_is_recorded_has_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    for step in range(2):
        logger = wandb_logger(str(tmp_path), offline=True)
        logger.log_metrics({"loss": 1.0}, step)
        logger.experiment.finish()
    kept = (tmp_path / "wandb_id").read_text()
    recorded = {file.stem.removeprefix("run-") for file in tmp_path.glob("wandb/offline-run-*/run-*.wandb")}
    assert recorded == {kept}, json.dumps(sorted(recorded))
