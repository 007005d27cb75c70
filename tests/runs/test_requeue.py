"""A Slurm job that ends before its run does: when it goes back into the queue, and what it goes on
with."""

import json
import signal
from pathlib import Path

import pytest

from polymodal.config.environment import check_started
from polymodal.errors import ConfigError
from polymodal.runs.folder import environment_of
from polymodal.runs.slurm import begun_here, is_requeued, run_again
from polymodal.training.distributed.signals import Stopped, listener

RUNNING, PREEMPTED, CANCELLED, CANCELLED_THEN = (
    f"JobId=7 JobState={state} PreemptEligibleTime=2026-01-01T00:00:00 PreemptTime={time}"
    for state in ("RUNNING", "COMPLETING")
    for time in ("None", "2026-01-01T00:00:00")
)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of Slurm: the state that it tells is in `state`, and what it was asked for comes into
    `asked`."""
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(
        f'#!/bin/sh\n[ "$1" = requeue ] && echo "$@" >> {tmp_path}/asked || cat {tmp_path}/state\n'
    )
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    (tmp_path / "state").write_text(RUNNING)
    return tmp_path


@pytest.mark.parametrize(
    ("signum", "state", "again"),
    [
        (signal.SIGUSR1, RUNNING, True),
        (signal.SIGUSR2, RUNNING, True),
        (signal.SIGTERM, RUNNING, False),
        (signal.SIGTERM, PREEMPTED, True),
        (signal.SIGTERM, CANCELLED, False),
        (signal.SIGTERM, CANCELLED_THEN, False),
        (signal.SIGINT, RUNNING, False),
    ],
)
def test_a_job_goes_back_into_the_queue_where_that_is_wanted(
    job: Path, signum: int, state: str, again: bool
) -> None:
    (job / "state").write_text(state)
    assert run_again(Stopped(signum)) == again
    assert (job / "asked").exists() == again
    if again:
        assert (job / "asked").read_text() == "requeue 7\n"


def test_outside_of_slurm_there_is_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert not run_again(Stopped(signal.SIGUSR1))


def test_one_owner_asks_for_it(job: Path) -> None:
    seen: list[int] = []

    def requeue(signum: int, _: object) -> None:
        seen.append(signum)
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, requeue)  # as submitit does
    try:
        with listener.listening():
            assert signal.getsignal(signal.SIGUSR2) == listener._receive
        with pytest.raises(SystemExit):
            run_again(Stopped(signal.SIGUSR2))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert seen == [signal.SIGUSR2]
    assert not (job / "asked").exists()


def test_a_job_that_is_not_run_again_says_why(
    job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job / "bin" / "scontrol").write_text(
        "#!/bin/sh\necho Requested operation is presently disabled >&2; exit 1\n"
    )
    assert not run_again(Stopped(signal.SIGUSR1))
    assert (
        "Slurm does not run job 7 again: Requested operation is presently disabled"
        in capsys.readouterr().err
    )


def test_a_job_goes_on_with_its_own_run_alone(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = job / "run"
    (folder / "checkpoints").mkdir(parents=True)
    about = folder / "environment.json"
    about.write_text(json.dumps(environment_of([])))
    assert not begun_here(folder)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert begun_here(folder)
    assert not is_requeued(folder)
    (folder / "checkpoints" / "last.ckpt").touch()
    assert is_requeued(folder)
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert not is_requeued(folder)


@pytest.mark.parametrize(
    ("told", "trainer", "message"),
    [
        ({}, {"devices": 2}, None),
        ({"WORLD_SIZE": "2"}, {"devices": 1}, "2 processes were started"),
        ({"WORLD_SIZE": "4"}, {"devices": 2, "num_nodes": 2}, None),
        ({"WORLD_SIZE": "2"}, {"devices": [0, 1]}, None),
        ({"WORLD_SIZE": "2"}, {"devices": -1}, None),
        ({"SLURM_NTASKS": "1"}, {"devices": 2}, "for a run of 2: choose devices=multi_node"),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "interactive"}, {"devices": 2}, None),
        ({"SLURM_NTASKS": "2"}, {"devices": 2}, "start them all by `srun"),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"}, {"devices": 2}, None),
    ],
)
def test_as_many_processes_as_were_started_take_part(
    told: dict[str, str],
    trainer: dict[str, object],
    message: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    if message is None:
        check_started(trainer)
    else:
        with pytest.raises(ConfigError, match=message):
            check_started(trainer)
