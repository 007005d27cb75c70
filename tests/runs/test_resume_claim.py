"""What of a run may change when it goes on, and that one which cannot go on is left as it was."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.resumed import TINY, rows

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.cli.train import follow
from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.errors import ConfigError
from polymodal.runs.folder import claim
from polymodal.runs.resume import claim_again, stored_config
from polymodal.training.run import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is finished."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = compose_config(
        [*as_hydra_arguments([*TINY, "trainer.max_epochs=1"]), f"++run_dir={folder}"]
    )
    plain = check_config(config)
    train(plain, claim(folder, config, plain))
    return folder


@pytest.fixture
def two_epochs(trained: Path, tmp_path: Path) -> Path:
    """A finished run of two epochs, 20 steps."""
    folder = Path(shutil.copytree(trained, tmp_path / "two"))
    written = folder / "config.yaml"
    written.write_text(written.read_text().replace("max_epochs: 1", "max_epochs: 2"))
    file = folder / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    checkpoint["global_step"] = 20
    counts = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    counts |= {name: 1 + count for name, count in counts.items()}
    torch.save(checkpoint, file)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def again(folder: Path, *overrides: str) -> tuple[dict[str, Any], Callable[[], None]] | None:
    """What `resume=<folder> <overrides>` comes to before it trains."""
    options = as_hydra_arguments([f"resume={folder}", *overrides])[4:]
    config = compose_config([*options, f"++run_dir={folder}"], "config", str(folder))
    return claim_again(folder, config, check_config(config), overrides)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.batch_size=8", r"data\.batch_size=8 \(it was 16\)"),
        ("seed=5", r"seed=5 \(it was 0\)"),
        ("encoder.image.widths=[16]", r"encoder\.image\.widths=\[16\] \(it was \[8\]\)"),
        ("objective.logit_scale=3.0", "objective.logit_scale=3"),
    ],
)
def test_another_model_or_other_data_are_refused_and_nothing_is_touched(
    run: Path, change: str, message: str
) -> None:
    before = files(run)
    with pytest.raises(ConfigError, match=message):
        again(run, change, "trainer.max_epochs=2")
    assert files(run) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["trainer.max_epochs=2", "trainer.max_steps=99"],
            "trainer.max_epochs=2: it has trained 2 epochs",
        ),
        (["trainer.max_epochs=1"], "trainer.max_epochs=1: it has trained 2 epochs"),
        (["trainer.max_steps=19"], "trainer.max_steps=19: it has trained 20 steps"),
        (["trainer.max_steps=20"], "trainer.max_steps=20: it has trained 20 steps"),
        (
            ["trainer.max_epochs=9", "trainer.max_time=00:00:00:00"],
            "trainer.max_time=00:00:00:00: it has trained 0 ",
        ),
    ],
)
def test_a_run_that_has_trained_as_long_says_so_and_is_left_as_it_was(
    two_epochs: Path, changes: list[str], message: str
) -> None:
    before = files(two_epochs)
    with pytest.raises(ConfigError, match=re.escape(message)):
        again(two_epochs, *changes)
    assert files(two_epochs) == before


def test_what_lightning_refuses_leaves_a_finished_run_as_it_was(run: Path) -> None:
    """It finds out with the data, when all of our checks are over."""
    before = files(run)
    options = as_hydra_arguments(
        [f"resume={run}", "trainer.max_epochs=2", "trainer.val_check_interval=1000"]
    )[4:]
    config = compose_config([*options, f"++run_dir={run}"], "config", str(run))
    plain = check_config(config)
    resumed = claim_again(run, config, plain, ())
    assert resumed is not None
    with pytest.raises(
        ConfigError, match=r"val_check_interval=1000: an epoch has 8 batches\. Give fewer"
    ):
        train(plain, *resumed)
    assert files(run) == before
    again_config = plain | {"trainer": plain["trainer"] | {"val_check_interval": 1.0}}
    train(again_config, *resumed)
    assert stored_config(run)["trainer"]["max_epochs"] == 2
    assert (run / "metrics_before.json").read_bytes() == before["metrics.json"]
    assert len(rows(run)) > len(before["metrics.csv"].splitlines()) - 1


@pytest.mark.parametrize("content", ["", '{"overrides": ["a=', "[]", "\0\xff"])
def test_a_damaged_environment_json_is_no_end_of_a_run(run: Path, content: str) -> None:
    (run / "environment.json").write_text(content, encoding="latin-1")
    resumed = again(run, "trainer.max_epochs=2")
    assert resumed is not None
    resumed[1]()
    (resumption,) = json.loads((run / "environment.json").read_text())["resumed"]
    assert resumption["checkpoint"] == "last.ckpt"


def test_a_run_without_a_whole_checkpoint_is_left_as_it_was(run: Path) -> None:
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(b"damaged")
    before = files(run)
    with pytest.raises(ConfigError, match="no checkpoint is whole"):
        again(run, "trainer.max_epochs=2")
    assert files(run) == before


def test_what_changes_nothing_of_the_model_or_of_the_data_may_change(run: Path) -> None:
    before = files(run)
    resumed = again(
        run, "trainer.max_epochs=2", "data.num_workers=1", "optimizer.lr=0.1", "precision=bf16"
    )
    assert resumed is not None
    stored, begin = resumed
    assert stored["data"]["num_workers"] == 1
    # until it begins
    assert files(run).items() - {(".lock", b"")} == before.items() - {(".lock", b"")}
    begin()
    assert stored_config(run)["trainer"]["max_epochs"] == 2
    assert not (run / "metrics.json").exists()
    assert (run / "metrics_before.json").exists()


def test_processes_that_torchrun_started_all_hear_that_a_run_is_finished(
    run: Path, monkeypatch
) -> None:
    assert again(run) is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="is finished"):
        again(run)


def test_all_processes_that_torchrun_started_have_the_run_s_folder(run: Path, monkeypatch) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("polymodal.training.run.train", lambda config, _: seen.append(config))
    follow(as_hydra_arguments([f"resume={run}", "trainer.max_epochs=2"]))
    assert seen[0]["run_dir"] == str(run)
    assert seen[0]["callbacks"]["last"]["dirpath"] == str(run / "checkpoints")
    assert seen[0]["resume"] == str(run / "checkpoints" / "last.ckpt")


def test_all_processes_of_a_slurm_job_that_is_started_again_go_on(run: Path, monkeypatch) -> None:
    about = run / "environment.json"
    about.write_text(json.dumps(json.loads(about.read_text()) | {"slurm_job": "7"}))
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("polymodal.training.run.train", lambda config, _: seen.append(config))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for restarts in ("0", "1"):
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        follow(as_hydra_arguments([*TINY, f"hydra.run.dir={run}"]))
    assert [config["resume"] for config in seen] == [None, str(run / "checkpoints" / "last.ckpt")]
    assert seen[1]["callbacks"]["checkpoint"]["dirpath"] == str(run / "checkpoints")
