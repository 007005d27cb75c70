"""What correctness needs holds whatever a trainer file of one's own says or leaves out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.resumed import TINY, configured, differences

from polymodal.cli.train import as_hydra_arguments
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError
from polymodal.training.build import build
from polymodal.training.run import train


def with_own_file(folder: Path, text: str, *overrides: str) -> dict[str, Any]:
    """The config with `trainer=mine`, a file that does not repeat what ours says."""
    (folder / "mine" / "trainer").mkdir(parents=True)
    (folder / "mine" / "trainer" / "mine.yaml").write_text(text)
    arguments = as_hydra_arguments([*TINY, "trainer=mine", *overrides])
    return check_config(
        compose_config([*arguments, f"++run_dir={folder / 'run'}"], config_dir=str(folder / "mine"))
    )


def test_a_trainer_file_of_one_s_own_need_not_repeat_what_correctness_needs(tmp_path: Path) -> None:
    config = with_own_file(tmp_path, "max_epochs: 2\nenable_progress_bar: false\n")
    assert (
        config["trainer"]
        .keys()
        .isdisjoint({"use_distributed_sampler", "num_sanity_val_steps", "default_root_dir"})
    )
    trainer = build(config, config)[2]
    assert trainer._accelerator_connector.use_distributed_sampler is False
    assert trainer.num_sanity_val_steps == 0
    assert trainer.default_root_dir == str(tmp_path / "run")
    assert trainer.max_epochs == 3  # of the command line


@pytest.mark.slow
def test_two_processes_train_on_all_of_the_data_with_a_trainer_file_of_one_s_own(
    command, tmp_path: Path
) -> None:
    """128 samples in batches of 16 are 8 steps an epoch, on one process and on two."""
    (tmp_path / "mine" / "trainer").mkdir(parents=True)
    (tmp_path / "mine" / "trainer" / "mine.yaml").write_text(
        "_target_: lightning.pytorch.Trainer\nmax_epochs: 1\n"
    )
    own = [
        "--config-dir",
        str(tmp_path / "mine"),
        "trainer=mine",
        *TINY[:-2],
        "test=false",
        "devices=ddp_cpu",
    ]
    done = command(
        "train.py", *own, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["trainer.enable_checkpointing=false"],
            "type callbacks.checkpoint=null callbacks.last=null",
        ),
        (["trainer.enable_checkpointing=true", "callbacks=none"], r"add callbacks=\[checkpoint\]"),
        (["trainer.plugins=[x]"], r"trainer\.plugins=x: input should be"),
        (["trainer.plugins=x"], r"trainer\.plugins=x: input should be"),
        (
            ["trainer.plugins=[{_target_: lightning.pytorch.plugins.TorchCheckpointIO}]"],
            "Leave the CheckpointIO out",
        ),
        (["trainer._target_=torch.nn.Identity"], "is no lightning.pytorch.Trainer"),
        (
            [
                "+callbacks.scheduler._target_=lightning.pytorch.callbacks.GradientAccumulationScheduler",
                "callbacks.scheduler.scheduling={0: 4}",
            ],
            "accumulated small batches are not one large batch",
        ),
    ],
)
def test_options_that_contradict_the_callbacks_are_refused(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config := configured(tmp_path, *overrides), config)


def test_options_that_agree_with_the_callbacks_are_honoured(tmp_path: Path) -> None:
    chosen = [
        "callbacks=none",
        "trainer.enable_checkpointing=false",
        "trainer.default_root_dir=elsewhere",
    ]
    config = configured(tmp_path, *chosen, "trainer.detect_anomaly=true")
    trainer = build(config, config)[2]
    assert trainer.default_root_dir == str(tmp_path)  # a stored config may name that of another run
    assert trainer.checkpoint_callbacks == []
    assert trainer._detect_anomaly


def test_a_plugin_may_stand_alone_or_in_a_list(tmp_path: Path) -> None:
    node = "{_target_: lightning.pytorch.plugins.precision.DoublePrecision}"
    for plugins in (node, f"[{node}]"):
        config = configured(tmp_path, f"trainer.plugins={plugins}", "trainer.precision=null")
        assert build(config, config)[2].precision == "64-true"


def test_a_fast_dev_run_trains_one_batch_and_keeps_nothing(tmp_path: Path) -> None:
    config = configured(
        tmp_path, "trainer.fast_dev_run=true", "callbacks=[checkpoint,guard]", "test=true"
    )
    train(config, config)
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


def test_a_sanity_check_changes_nothing_of_what_is_trained(tmp_path: Path) -> None:
    weights = []
    for steps in (0, 2):
        folder = tmp_path / str(steps)
        config = configured(folder, f"trainer.num_sanity_val_steps={steps}", "trainer.max_epochs=1")
        train(config, config)
        weights.append(
            torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        )
    assert differences(*weights) == []
