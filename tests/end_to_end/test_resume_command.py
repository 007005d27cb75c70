"""`resume=` as a user types it: which run, whose, and what is said."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.conftest import ROOT
from tests.resumed import ENDLESS, differences, final_state, rows

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.errors import ConfigError
from polymodal.runs.resume import find_run, locked


@pytest.mark.slow
def test_a_stopped_run_says_how_it_goes_on_and_a_finished_one_that_it_is(
    command, tmp_path: Path
) -> None:
    folder = tmp_path / "logs" / "train" / "clip_small" / "run"
    chosen = [*ENDLESS, "experiment=clip_small", "trainer.max_epochs=200", "data.num_workers=2"]
    script = [sys.executable, str(ROOT / "src" / "train.py"), *chosen, f"hydra.run.dir={folder}"]
    with subprocess.Popen(
        script, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (folder / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
            time.sleep(0.05)
        with pytest.raises(ConfigError, match="at work in another process"), locked(folder):
            pass
        signal_all(process)  # the loading processes get it too
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 130, errors
    assert (
        errors.splitlines()[-1]
        == "Stopped by SIGINT. Resume with: python src/train.py resume=logs/train/clip_small/run"
    )
    step = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    epochs = step // 8 + 1
    done = command("train.py", "resume=last", f"trainer.max_epochs={epochs}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"resume=last: {folder.relative_to(tmp_path)}" in done.stdout
    assert (folder / "metrics.json").exists()
    about = json.loads((folder / "environment.json").read_text())
    assert [start["checkpoint"] for start in about["resumed"]] == ["last.ckpt"]
    done = command("train.py", f"resume={folder}", cwd=tmp_path)
    assert done.returncode == 0
    assert "is finished" in done.stdout


def signal_all(process: subprocess.Popen) -> None:
    """Ctrl-C in a terminal."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two unfinished runs, `b` of them the later."""
    monkeypatch.chdir(tmp_path)
    for name, experiment in (("a", "clip_small"), ("b", "siglip_small")):
        folder = Path("logs/train") / experiment / name
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "last.ckpt").touch()
        (folder / "config.yaml").write_text(
            f"defaults:\n- hydra: repeat\n- _self_\nname: {experiment}\n"
        )
    return tmp_path


def test_the_last_run_is_the_newest_unfinished_one(here: Path) -> None:
    assert find_run("last", None).name == "b"
    assert find_run("last", "clip_small").name == "a"
    (here / "logs/train/siglip_small/b/metrics.json").touch()
    assert find_run("last", None).name == "a"
    with pytest.raises(ConfigError, match="no run of experiment=lit"):
        find_run("last", "lit")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=nowhere"], "no config.yaml"),
        (["resume=logs/train/clip_small/a", "experiment=lit"], "is of experiment=clip_small"),
        (["resume=last", "encoder/image=vit"], "a stored run takes"),
        (["-m", "resume=last"], "leave -m"),
        (["resume=last", "hydra.run.dir=x"], "leave -m"),
    ],
)
def test_what_cannot_be_resumed_is_explained(
    here: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        as_hydra_arguments(arguments)


@pytest.mark.parametrize(
    "evil",
    ["hydra: {callbacks: {x: {_target_: os.system}}}", "encoder: {a: {_target_: os.system}}"],
)
def test_the_config_of_a_folder_builds_nothing_that_is_not_to_be_trusted(
    here: Path, evil: str
) -> None:
    with Path("logs/train/clip_small/a/config.yaml").open("a") as stream:
        stream.write(evil)
    with pytest.raises(ConfigError, match="only classes of|no package|none that a run wrote"):
        as_hydra_arguments(["resume=logs/train/clip_small/a"])


@pytest.mark.slow
def test_two_processes_stop_at_one_step_and_go_on_exactly(command, tmp_path: Path) -> None:
    chosen = [
        *ENDLESS[:-2],
        "devices=ddp_cpu",
        "test=false",
        "trainer.max_epochs=40",
        "callbacks.last.every_steps=5",
    ]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert command("train.py", *chosen, f"hydra.run.dir={whole}").returncode == 0
    script = [sys.executable, str(ROOT / "src" / "train.py"), *chosen, f"hydra.run.dir={stopped}"]
    with subprocess.Popen(script, stderr=subprocess.PIPE, text=True) as process:
        while not (stopped / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
            time.sleep(0.05)
        process.terminate()  # the first process alone
        errors = process.communicate(timeout=120)[1]
    assert process.returncode == 143, errors
    assert "Traceback" not in errors
    done = command("train.py", f"resume={stopped}")
    assert done.returncode == 0, done.stderr
    assert differences(final_state(whole)["state_dict"], final_state(stopped)["state_dict"]) == []
    assert rows(whole) == rows(stopped)


@pytest.mark.slow
def test_parameters_that_are_shared_out_go_on_by_torchrun_too(command, tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    shared = [
        *ENDLESS[:-2],
        "devices=fsdp",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
        "test=false",
        "scheduler=none",
    ]
    for folder, epochs in ((whole, 2), (longer, 1)):
        done = command(
            "train.py", *shared, f"trainer.max_epochs={epochs}", f"hydra.run.dir={folder}"
        )
        assert done.returncode == 0, done.stderr
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        str(ROOT / "src" / "train.py"),
    ]
    again = partial(subprocess.run, capture_output=True, text=True, timeout=200, check=False)
    done = again([*torchrun, f"resume={longer}", "trainer.max_epochs=2"])
    assert done.returncode == 0, done.stderr
    assert differences(final_state(whole)["state_dict"], final_state(longer)["state_dict"]) == []
    done = again([*torchrun, f"resume={longer}"])
    assert done.returncode != 0
    assert "is finished" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_killed_run_ends_as_if_it_had_not_been(workers: str, cache: Path) -> None:
    script = [
        sys.executable,
        str(ROOT / "scripts" / "check_resume.py"),
        "kills=3",
        f"workers={workers}",
    ]
    done = subprocess.run(script, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DIFFERENT" not in done.stdout
