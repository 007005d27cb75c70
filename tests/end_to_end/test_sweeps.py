"""Real sweeps: grids, searches, Hydra's launchers; failed, stopped, killed, continued and
repeated."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from tests.conftest import ROOT, SMALL

FAST = ["experiment=sum_fusion", "debug=fast", SMALL, "callbacks.report=null"]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def metrics(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in found.items() if key.startswith(("test/", "val/"))}


@pytest.mark.slow
def test_a_row_of_a_grid_is_repeated_by_one_command(command: Callable, tmp_path: Path) -> None:
    sweep, again = tmp_path / "sweep", tmp_path / "again"
    chosen = ["fusion=sum,concat", "encoder.text.width=32,-1", "sweep.jobs=2"]
    done = command(
        "sweep.py", "sweep=grid", *FAST, *chosen, f"hydra.sweep.dir={sweep}", cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    assert "2 of 4 jobs failed: 1, 3" in done.stderr
    rows = table(sweep)
    assert [row["status"] for row in rows] == ["done", "failed", "done", "failed"]
    assert "encoder.text.width=-1" in rows[1]["error"]
    assert not [path for path in tmp_path.iterdir() if path != sweep]  # nothing anywhere else
    about = json.loads((sweep / "2" / "environment.json").read_text())
    assert {"commit", "diff", "packages", "host"} <= set(about)
    done = command("train.py", f"repeat={sweep / '2'}", f"hydra.run.dir={again}")
    assert done.returncode == 0, done.stderr
    assert metrics(again) == metrics(sweep / "2")


@pytest.mark.slow
def test_a_search_survives_kill_9(command: Callable, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed: pip install -e '.[sweep]'")
    sweep = tmp_path / "sweep"
    chosen = [
        "sweep=optuna",
        *FAST,
        "sweep.trials=3",
        "data.batch_size=64",
        "trainer.val_check_interval=1.0",
    ]
    script = [sys.executable, str(ROOT / "src" / "sweep.py"), *chosen, f"hydra.sweep.dir={sweep}"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as search:
        assert search.stdout
        assert search.stdout.readline().startswith("job 0 done")
        search.kill()
    done = command("sweep.py", f"resume={sweep}")
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in table(sweep)] == ["done"] * 3
    assert len({row["optimizer.lr"] for row in table(sweep)}) == 3
    done = command("sweep.py", f"resume={sweep}", "sweep.trials=4")
    assert len(table(sweep)) == 4


@pytest.mark.slow
def test_a_training_that_was_stopped_with_its_sweep_ends_with_the_same_weights(
    command: Callable, tmp_path: Path
) -> None:
    chosen = [
        "sweep=grid",
        *FAST,
        "trainer.max_epochs=4",
        "seed=0,1",
        "trainer.limit_train_batches=1.0",
    ]
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    script = [sys.executable, str(ROOT / "src" / "sweep.py"), *chosen, f"hydra.sweep.dir={stopped}"]
    with subprocess.Popen(script, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as sweep:
        while not list(stopped.glob("0/checkpoints/last.ckpt")) and sweep.poll() is None:
            pass
        sweep.send_signal(signal.SIGINT)
        assert "Resume with" in sweep.communicate()[1]
        assert sweep.returncode == 130
    assert table(stopped)[0]["status"] == "unfinished"
    for arguments in ([f"resume={stopped}"], [*chosen, f"hydra.sweep.dir={whole}"]):
        done = command("sweep.py", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    ours, reference = (
        torch.load(folder / "0" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (stopped, whole)
    )
    assert all(torch.equal(ours[key], reference[key]) for key in reference)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "ray"])
def test_launchers_run_jobs_side_by_side_with_loading_processes(
    command: Callable, tmp_path: Path, launcher: str
) -> None:
    pytest.importorskip(
        f"hydra_plugins.hydra_{launcher}_launcher",
        reason=f"the {launcher} launcher is not installed",
    )
    pytest.importorskip(
        launcher, reason=f"{launcher} is not installed: pip install -e '.[{launcher}]'"
    )
    chosen = [
        *FAST,
        f"hydra/launcher={launcher}",
        "data.num_workers=1",
        "seed=0,1",
        "encoder.text.width=32,-1",
    ]
    sweep = tmp_path / "sweep"
    # Ray writes into the home folder
    done = command(
        "train.py", "-m", *chosen, f"hydra.sweep.dir={sweep}", cwd=tmp_path, HOME=str(tmp_path)
    )
    assert done.returncode == 1, done.stderr
    assert [row["status"] for row in table(sweep)] == ["done", "failed", "done", "failed"]
    assert "encoder.text.width=-1" in table(sweep)[1]["error"]
    stored = OmegaConf.load(sweep / "0" / "config.yaml")
    assert (
        stored.threads == max(1, len(os.sched_getaffinity(0)) // 2)
        if launcher == "joblib"
        else stored.threads == 1
    )
    done = command("train.py", f"repeat={sweep / '0'}", f"hydra.run.dir={tmp_path / 'again'}")
    assert metrics(tmp_path / "again") == metrics(sweep / "0")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "ray"])
def test_a_launcher_that_loses_a_process_leaves_the_table(
    command: Callable, tmp_path: Path, launcher: str
) -> None:
    pytest.importorskip(
        f"hydra_plugins.hydra_{launcher}_launcher",
        reason=f"the {launcher} launcher is not installed",
    )
    pytest.importorskip(
        launcher, reason=f"{launcher} is not installed: pip install -e '.[{launcher}]'"
    )
    killed = ["+callbacks.failing._target_=tests.failing.Failing", "callbacks.failing.how=killed"]
    chosen = [*FAST, f"hydra/launcher={launcher}", *killed, "callbacks.failing.rank=7,0"]
    own = {"HOME": str(tmp_path), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = command(
        "train.py", "-m", *chosen, f"hydra.sweep.dir={tmp_path / 'sweep'}", cwd=tmp_path, **own
    )
    assert done.returncode == 1, done.stderr
    assert "unfinished" in {row["status"] for row in table(tmp_path / "sweep")}
    assert f"Resume with: python src/sweep.py resume={tmp_path / 'sweep'}" in done.stderr


@pytest.mark.slow
def test_failed_jobs_of_hydras_sweep_run_again_by_themselves(
    command: Callable, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    done = command("train.py", "-m", *FAST, "seed=0,1", f"hydra.sweep.dir={sweep}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (sweep / "1" / "metrics.json").unlink()
    (sweep / "1" / "error.txt").write_text("out of memory")
    kept = (sweep / "0" / "metrics.json").stat().st_mtime_ns
    done = command("sweep.py", f"resume={sweep}", "retry_failed=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["status"] for row in table(sweep)] == ["done", "done"]
    assert (sweep / "0" / "metrics.json").stat().st_mtime_ns == kept
    done = command("compare.py", str(sweep), f"output={tmp_path / 'compared'}")
    assert done.returncode == 0, done.stderr
    assert "seed" in (tmp_path / "compared" / "compare.md").read_text()


def test_a_folder_that_a_sweep_has_is_left_to_it(command: Callable, tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text('{"overrides": ["seed=5,6"]}')
    done = command("train.py", "-m", *FAST, "seed=0,1", f"hydra.sweep.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: The folder")
    assert [path.name for path in tmp_path.iterdir()] == ["environment.json"]


def test_a_job_whose_folder_another_run_has_leaves_it_as_it_is(
    command: Callable, tmp_path: Path
) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "config.yaml").write_text("name: another")
    done = command("train.py", "-m", *FAST, f"hydra.sweep.dir={tmp_path}", cwd=tmp_path)
    assert done.returncode == 1
    assert "holds a run already" in done.stderr
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["config.yaml"]


def test_a_launcher_without_its_plugin_says_what_to_install(
    command: Callable, tmp_path: Path
) -> None:
    missing = "hydra.launcher._target_=hydra_plugins.hydra_ray_launcherr.x.RayLauncher"
    done = command("train.py", "-m", *FAST, "hydra/launcher=ray", missing, "seed=0,1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: hydra/launcher=")
    assert "pip install" in done.stderr
