"""A resumed run is one run for wandb too."""

import json
from pathlib import Path

import pytest

from polymodal.errors import ConfigError
from polymodal.loggers.wandb import wandb_logger
from polymodal.training.process import own_processes


def test_an_id_stays_with_its_folder(tmp_path: Path) -> None:
    first, again, other = (
        wandb_logger(str(tmp_path / name), offline=True) for name in ("a", "a", "b")
    )
    assert first.version == again.version != other.version
    assert wandb_logger(str(tmp_path / "a"), offline=True, id="mine").version == "mine"


def test_each_job_of_a_sweep_has_its_own_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    for job in ("a", "b"):
        with own_processes():
            logger = wandb_logger(str(tmp_path / job), offline=True)
            assert logger.experiment.id == (tmp_path / job / "wandb_id").read_text()


def test_what_is_recorded_has_the_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    for step in range(2):
        logger = wandb_logger(str(tmp_path), offline=True)
        logger.log_metrics({"loss": 1.0}, step)
        logger.experiment.finish()
    kept = (tmp_path / "wandb_id").read_text()
    recorded = {
        file.stem.removeprefix("run-") for file in tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    }
    assert recorded == {kept}, json.dumps(sorted(recorded))


def test_wandb_is_not_told_of_a_setting_that_it_warns_of(tmp_path: Path) -> None:
    """Lightning passes it on to `wandb.init` whether it is given or not."""
    assert "anonymous" not in wandb_logger(str(tmp_path), offline=True)._wandb_init
    assert (
        wandb_logger(str(tmp_path), offline=True, anonymous=True)._wandb_init["anonymous"]
        == "allow"
    )


def test_an_option_that_wandb_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"logger.wandb.projekt: wandb has no such option. Did you mean project"
    ):
        wandb_logger(str(tmp_path), offline=True, projekt="x")
    with pytest.raises(
        ConfigError, match=r"logger.wandb.api_key: wandb takes its key from WANDB_API_KEY"
    ):
        wandb_logger(str(tmp_path), offline=True, api_key="x")
