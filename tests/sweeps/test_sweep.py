"""Sweeps of Hydra's: whose folder it is, how many threads a job has, and that there is a table
however they end."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from polymodal.config.environment import threads_each, threads_of_a_job
from polymodal.config.messages import CONFIGS
from polymodal.errors import ConfigError
from polymodal.sweeps.hydra import SweepFolder, claim_sweep, table_at_the_end


@pytest.fixture
def led(tmp_path: Path) -> Iterator[Path]:
    """The folder of a sweep that this process leads, with a job that is done and one that was
    interrupted."""
    for job in ("0", "1"):
        (tmp_path / job).mkdir()
        (tmp_path / job / "environment.json").write_text(json.dumps({"overrides": [f"seed={job}"]}))
    (tmp_path / "0" / "metrics.json").write_text('{"test/accuracy": 0.5}')
    SweepFolder.at_work = tmp_path
    yield tmp_path
    SweepFolder.at_work = None


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (RuntimeError("a worker died"), None)],
)
def test_whatever_ends_a_sweep_there_is_its_table(
    led: Path, error: BaseException, code: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit if code else RuntimeError) as ended, table_at_the_end():
        raise error
    assert getattr(ended.value, "code", None) == code
    assert "0,done" in (led / "sweep.csv").read_text()
    said = capsys.readouterr().err
    assert "1 of 2 jobs were interrupted: 1." in said
    assert f"python src/sweep.py resume={led}\n" in said


def test_a_sweep_some_of_whose_jobs_failed_says_so(
    led: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (led / "1" / "error.txt").write_text("too little memory")
    with pytest.raises(SystemExit) as ended, table_at_the_end():
        pass
    assert ended.value.code == 1
    assert f"resume={led} retry_failed=true" in capsys.readouterr().err


def test_a_folder_belongs_to_one_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    claim_sweep(tmp_path, ["seed=0,1"])
    with pytest.raises(ConfigError, match="in use"):
        claim_sweep(tmp_path, ["seed=2,3"])
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    claim_sweep(tmp_path, ["seed=0,1"])  # the same job of Slurm, started again
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    with pytest.raises(ConfigError, match="in use"):
        claim_sweep(tmp_path, ["seed=2,3"])
    assert json.loads((tmp_path / "environment.json").read_text())["overrides"] == ["seed=0,1"]


@pytest.mark.parametrize(
    ("launcher", "changes", "threads"),
    [
        ("joblib", {"n_jobs": 2}, threads_each(2)),
        ("ray", {"ray": {"remote": {"num_cpus": 3}}}, 3),
        ("submitit_slurm", {}, 4),
        ("submitit_local", {"cpus_per_task": 2}, 2),
        ("submitit_local", {}, None),
    ],
)
def test_a_job_has_the_threads_that_its_launcher_gives_it(
    launcher: str, changes: dict[str, object], threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = OmegaConf.merge(
        OmegaConf.load(CONFIGS / "hydra" / "launcher" / f"{launcher}.yaml"), changes
    )
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    for mode, expected in ((RunMode.MULTIRUN, threads), (RunMode.RUN, None)):
        monkeypatch.setattr(
            HydraConfig, "get", lambda mode=mode: SimpleNamespace(mode=mode, launcher=node)
        )
        assert threads_of_a_job() == expected
