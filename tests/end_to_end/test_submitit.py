"""Jobs of a sweep as processes of their own, each of several processes."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.resumed import ENDLESS


@pytest.mark.slow
def test_a_job_of_two_processes_is_one_folder_of_one_sweep(command, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
    run = [*ENDLESS[:-2], "devices=ddp_cpu", "test=false", "trainer.max_epochs=1"]
    sweep = ["hydra/launcher=submitit_local", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    done = command(
        "train.py", "-m", *sweep, *run, "seed=0,1", cwd=tmp_path, PYTHONPATH=str(ROOT / "src")
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]
    folders = sorted(path for path in (tmp_path / "sweep").iterdir() if path.name.isdigit())
    assert [folder.name for folder in folders] == ["0", "1"]
    assert all((folder / "metrics.json").exists() for folder in folders)


@pytest.mark.slow
def test_a_job_that_is_killed_is_a_row_and_the_others_end(command, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
    run = [*ENDLESS[:-2], "devices=cpu", "test=false", "trainer.max_epochs=1"]
    killed = ["+callbacks.failing._target_=tests.failing.Failing", "callbacks.failing.how=killed"]
    sweep = ["hydra/launcher=submitit_local", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    path = f"{ROOT / 'src'}:{ROOT}"
    done = command(
        "train.py",
        "-m",
        *sweep,
        *run,
        *killed,
        "callbacks.failing.rank=0,7",
        cwd=tmp_path,
        PYTHONPATH=path,
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs failed: 0" in done.stderr
    assert "Traceback" not in done.stderr
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "no result. It was killed" in rows[0]["error"]


@pytest.mark.slow
def test_a_sweep_that_is_stopped_ends_its_jobs_which_save(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
    sweep = tmp_path / "sweep"
    chosen = [
        "-m",
        "hydra/launcher=submitit_local",
        f"hydra.sweep.dir={sweep}",
        *ENDLESS[:-2],
        "devices=cpu",
        "test=false",
    ]
    script = [
        sys.executable,
        str(ROOT / "src" / "train.py"),
        *chosen,
        "trainer.max_epochs=500",
        "seed=0,1",
    ]
    with subprocess.Popen(
        script, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not (sweep / "0" / "checkpoints" / "last.ckpt").exists() and process.poll() is None:
            pass
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
        said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "2 of 2 jobs are cancelled; those that train save first" in said
    assert f"Resume with: python src/sweep.py resume={sweep}" in said
    with (sweep / "sweep.csv").open(newline="") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["unfinished", "unfinished"]
    logs = [file.read_text() for file in (sweep / ".submitit").glob("*/*_log.err")]
    assert len(logs) == 2
    assert all("Stopped by SIG" in log for log in logs)
