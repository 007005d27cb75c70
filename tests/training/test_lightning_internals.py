"""Each private attribute of Lightning that we use is there, and no other file uses one."""

import re

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies.launchers import subprocess_script
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "polymodal" / "training" / "lightning_internals.py"
PRIVATE = re.compile(
    r"\b(?:trainer|module|logger|loop|fit_loop|epoch_loop|fetcher|connector|subprocess_script)\.(_[a-z]\w+)"
)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", devices=1)


def test_what_we_use_is_there(trainer: Trainer, tmp_path) -> None:
    places = {
        "_is_training_done": type(trainer.fit_loop.epoch_loop),
        "_num_ready_batches_reached": trainer.fit_loop.epoch_loop,
        "_should_check_val_fx": trainer.fit_loop.epoch_loop,
        "_data_fetcher": trainer.fit_loop,
        "_iteration_based_training": trainer.fit_loop,
        "_logger_connector": trainer,
        "_signal_connector": trainer,
        "_kwargs": TensorBoardLogger(tmp_path),
        "_wandb_init": WandbLogger(offline=True, save_dir=str(tmp_path)),
        "_launch_process_observer": subprocess_script,
    }
    assert set(PRIVATE.findall(SOURCE.read_text())) == places.keys()
    lost = [name for name, place in places.items() if not hasattr(place, name)]
    assert not lost, f"Lightning has moved {', '.join(lost)}"
    assert hasattr(trainer._signal_connector, "register_signal_handlers")
    connector = type(trainer._logger_connector)
    assert hasattr(connector, "should_update_logs")
    assert hasattr(connector, "metrics")


def test_no_other_file_uses_a_private_attribute_of_lightning() -> None:
    for file in (ROOT / "src").rglob("*.py"):
        found = PRIVATE.findall(file.read_text().replace("._target_", "")) if file != SOURCE else []
        assert not found, f"{file.name}: {found}"
