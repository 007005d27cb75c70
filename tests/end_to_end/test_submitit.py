"""Jobs of a sweep as processes of their own, each of several processes."""

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
