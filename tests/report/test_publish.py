"""What is in a report's folder can be read back from the files of TensorBoard and of wandb."""

import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
import wandb
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from polymodal.loggers.csv import CSVLogger
from polymodal.loggers.wandb import wandb_logger
from polymodal.report.publish import publish
from polymodal.training.process import own_processes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    report = tmp_path / "report"
    (report / "clip").mkdir(parents=True)
    Image.new("RGB", (40, 20), "red").save(report / "curves.png")
    Image.new("RGBA", (30, 20), "blue").save(report / "clip" / "a_to_b.png")
    (report / "classes.csv").write_text("class,f1\na,0.5\nb,\n")
    return report


def test_tensorboard_has_the_pictures(folder: Path, tmp_path: Path) -> None:
    logger = TensorBoardLogger(str(tmp_path), name="tb", version="")
    publish(folder, [CSVLogger(str(tmp_path)), logger], step=7)
    logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    assert set(events.Tags()["images"]) == {"report/curves", "report/clip/a_to_b"}
    (image,) = events.Images("report/curves")
    assert (image.step, image.width, image.height) == (7, 40, 20)


def test_wandb_has_the_pictures_and_tables(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    with own_processes():
        publish(folder, [wandb_logger(str(tmp_path), offline=True)], step=7)
    # waits for its process, which writes the record's last part after the run is finished
    wandb.teardown()
    (files,) = tmp_path.glob("wandb/offline-run-*/files/media")
    pictures = {
        file.parent.name: np.asarray(Image.open(file).convert("RGB"))
        for file in files.rglob("images/**/*.png")
    }
    assert {picture.shape for picture in pictures.values()} == {(20, 40, 3), (20, 30, 3)}
    (table,) = files.rglob("*.table.json")
    stored = json.loads(table.read_text())
    assert (stored["columns"], stored["data"]) == (["class", "f1"], [["a", 0.5], ["b", None]])
    (record,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    keys = record.read_bytes()
    for key in (b"report/curves", b"report/clip/a_to_b", b"report/classes"):
        assert key in keys


@pytest.mark.parametrize(("options", "sent"), [({}, True), ({"log_model": False}, False)])
def test_online_the_best_checkpoint_is_an_artifact(
    options: dict, sent: bool, tmp_path: Path
) -> None:
    run = Mock(id="abc", project="p")
    logger = wandb_logger(str(tmp_path), offline=False, experiment=run, **options)
    best = ModelCheckpoint(dirpath=tmp_path)
    best.best_model_path, best.current_score = str(tmp_path / "best.ckpt"), torch.tensor(0.5)
    (tmp_path / "best.ckpt").write_text("weights")
    logger.after_save_checkpoint(best)
    logger.finalize("success")
    artifacts = [call.args[0] for call in run.log_artifact.call_args_list]
    assert [list(artifact.manifest.entries) for artifact in artifacts] == (
        [["model.ckpt"]] if sent else []
    )
    assert wandb_logger(str(tmp_path), offline=True)._log_model is False
