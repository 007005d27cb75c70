"""A process that was killed is named, with its signal."""

import subprocess
import sys
import time

import pytest
from lightning.pytorch.strategies.launchers import subprocess_script

from polymodal.training.distributed import failures as together
from polymodal.training.distributed.failures import Watch, killed_follower

SLEEPS = [sys.executable, "-c", "input()"]


@pytest.fixture
def processes():
    started = [subprocess.Popen(SLEEPS, stdin=subprocess.PIPE) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_the_killed_one_is_named(processes: list[subprocess.Popen]) -> None:
    assert killed_follower(processes) is None
    processes[1].kill()
    words = killed_follower(processes, patience=5.0)
    assert words is not None
    assert words.startswith(
        f"Process 2 of the run (pid {processes[1].pid}) was killed by SIGKILL: "
    )


def test_lightning_s_own_watcher_does_not_kill_this_process() -> None:
    assert subprocess_script._launch_process_observer is together._watch


def test_a_process_that_cannot_find_out_by_itself_is_ended(
    processes: list[subprocess.Popen], monkeypatch, capsys
) -> None:
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        raise SystemExit

    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("time.sleep", lambda _: time.monotonic())
    monkeypatch.setattr(together, "GRACE", 0.0)
    processes[0].kill()
    processes[0].wait()
    with pytest.raises(SystemExit):
        Watch(processes).run()
    assert codes == [1]
    assert "error: Process 1 of the run" in capsys.readouterr().err
    assert processes[1].wait(5) < 0


def test_it_has_nothing_to_do_once_they_are_nobody_s_concern(
    processes: list[subprocess.Popen], monkeypatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: processes.clear())
    left = list(processes)
    processes[0].kill()
    Watch(processes).run()
    processes[:] = left
