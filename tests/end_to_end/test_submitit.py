"""Jobs of a sweep as processes of their own, each of several processes."""

import csv
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.resumed import TINY


@pytest.mark.slow
def test_a_job_of_two_processes_is_one_folder_of_one_sweep(command, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
    run = [*TINY[:-2], "devices=ddp_cpu", "test=false", "trainer.max_epochs=1"]
    sweep = ["hydra/launcher=submitit_local", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    done = command("train.py", "-m", *sweep, *run, "seed=0,1", cwd=tmp_path, PYTHONPATH=str(ROOT / "src"))
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]
    folders = sorted(path for path in (tmp_path / "sweep").iterdir() if path.name.isdigit())
    assert [folder.name for folder in folders] == ["0", "1"]
    assert all((folder / "metrics.json").exists() for folder in folders)


@pytest.mark.slow
def test_a_job_that_is_killed_is_a_row_and_the_others_end(command, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="no submitit: pip install -e '.[slurm]'")
    run = [*TINY[:-2], "devices=cpu", "test=false", "trainer.max_epochs=1"]
    killed = ["+callbacks.failing._target_=tests.failing.Failing", "callbacks.failing.how=killed"]
    sweep = ["hydra/launcher=submitit_local", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
    path = f"{ROOT / 'src'}:{ROOT}"
    done = command("train.py", "-m", *sweep, *run, *killed, "callbacks.failing.rank=0,7", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 1, done.stderr
    assert "1 of 2 jobs failed: 0" in done.stderr
    assert "Traceback" not in done.stderr
    with (tmp_path / "sweep" / "sweep.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["failed", "done"]
    assert "no result. It was killed" in rows[0]["error"]
