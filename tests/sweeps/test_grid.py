"""Jobs in processes and folders of their own: some fail, some are killed, the rest goes on."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polymodal.runs.lock import at_work, take
from polymodal.runs.results import curve, jobs_of, read_run, status_of
from polymodal.sweeps import grid
from polymodal.sweeps.grid import Grid
from polymodal.sweeps.job import Job, reason
from polymodal.sweeps.report import end_sweep
from polymodal.sweeps.space import SweepSpec
from polymodal.training.distributed.signals import PARENT

Ordered = Callable[..., SweepSpec]


def statuses(order: SweepSpec) -> list[str]:
    return [status_of(folder) for folder in jobs_of(order.folder)]


def table(order: SweepSpec, name: str = "sweep.csv") -> list[dict[str, str]]:
    with (order.folder / name).open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_combination_has_a_job_and_a_row(ordered: Ordered, jobs: int) -> None:
    order = ordered("value=1,2", "seed=0,1", "data.x=5")
    assert Grid(jobs=jobs).run(order) == 0
    assert end_sweep(order.folder) == 0
    rows = table(order)
    assert [(row["value"], row["seed"], row["data.x"]) for row in rows] == [
        ("1", "0", "5"), ("1", "1", "5"), ("2", "0", "5"), ("2", "1", "5"),
    ]  # fmt: skip
    # not the last of the validations
    assert [float(row["best"]) for row in rows] == [1, 1.01, 2, 2.01]
    names = {file.name for file in order.folder.iterdir()}
    assert names >= {"sweep.md", "sweep_seeds.csv", "curves.png", "parallel_coordinates.png"}


def test_failed_jobs_say_why_and_others_go_on(ordered: Ordered) -> None:
    order = ordered("fail=true,false", "crash=true,false", "raise=true,false")
    assert Grid(jobs=2).run(order) == 0
    assert end_sweep(order.folder) == 1
    errors = [row["error"] for row in table(order)]
    assert errors[:4] == ["width=33 is no multiple of 4."] * 4
    assert all("SIGKILL" in error and "memory" in error for error in errors[4:6])
    assert errors[6:] == ["RuntimeError: nobody thought of this", ""]
    assert [row["fail"] for row in table(order)] == ["True"] * 4 + [
        "False"
    ] * 4  # though it never wrote its config


def test_only_failed_jobs_run_again(ordered: Ordered) -> None:
    order = ordered("fail=true,false", "seed=0,1")
    Grid().run(order)
    before = {
        folder.name: (folder / "output.txt").stat().st_ino for folder in jobs_of(order.folder)
    }
    Grid().run(order)
    assert not list(order.folder.glob("0.*"))
    Grid().run(ordered("fail=true,false", "seed=0,1", retry_failed=True))
    after = {folder.name: (folder / "output.txt").stat().st_ino for folder in jobs_of(order.folder)}
    assert [name for name in before if before[name] != after[name]] == ["0", "1"]
    (order.folder / "0.1").rename(order.folder / "0.2")
    Grid().run(ordered("fail=true,false", "seed=0,1", retry_failed=True))
    # nothing is lost
    assert all((order.folder / name / "error.txt").exists() for name in ("0", "0.1", "0.2"))


@pytest.mark.parametrize("retry", [False, True])
def test_what_has_failed_meanwhile_in_another_process_is_not_run_again(
    ordered: Ordered, monkeypatch: pytest.MonkeyPatch, retry: bool
) -> None:
    order = ordered("fail=true,false", retry_failed=retry)
    if retry:
        Grid().run(order)
    run_jobs = grid.run_jobs

    def after_another(*arguments: Any) -> int:
        monkeypatch.setattr(grid, "run_jobs", run_jobs)
        Grid().run(order)
        return run_jobs(*arguments)

    monkeypatch.setattr(grid, "run_jobs", after_another)
    Grid().run(order)
    assert len(list(order.folder.glob("0.*"))) == retry


def test_a_stopped_sweep_goes_on_where_it_was(ordered: Ordered) -> None:
    order = ordered("stop_sweep=false,true", "seed=0,1")
    assert Grid().run(order) == 128 + signal.SIGTERM
    assert statuses(order) == ["done", "done", "unfinished"]
    assert end_sweep(order.folder) == 1
    # job 3 does so as well
    assert Grid().run(ordered("stop_sweep=false,true", "seed=0,1")) == 128 + signal.SIGTERM
    assert Grid().run(order) == 0
    assert statuses(order) == ["done"] * 4
    resumed = [
        json.loads((folder / "metrics.json").read_text())["resumed"]
        for folder in jobs_of(order.folder)
    ]
    assert resumed == [0, 0, 1, 1]


def test_a_job_that_another_process_has_is_left_to_it(ordered: Ordered) -> None:
    order = ordered("seed=0,1")
    lock = take(order.folder / "0")
    assert lock is not None
    assert at_work(order.folder / "0")
    assert take(order.folder / "0") is None
    Grid().run(order)
    assert [folder.name for folder in jobs_of(order.folder)] == ["1"]
    os.close(lock)
    assert not at_work(order.folder / "0")
    Grid().run(order)
    assert statuses(order) == ["done", "done"]


def test_a_job_stays_taken_until_its_own_process_is_gone(ordered: Ordered) -> None:
    job = Job(ordered("seed=0").folder / "0", ["wait_below=1"])
    assert job.take()
    job.start()
    job.release()  # as if the sweep were killed
    assert at_work(job.folder)
    assert job.process
    job.process.kill()
    job.process.wait()
    assert not at_work(job.folder)


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("epoch 1\nerror: a\nb\n", 2, "a\nb"),
        ("Traceback\n  line\nValueError: x\n", 1, "ValueError: x"),
        ("", 3, "Ended with exit code 3."),
        ("half a li", -9, "Killed by SIGKILL (was there too little memory?)."),
    ],
)
def test_the_reason_of_a_failure_is_its_last_word(output: str, code: int, expected: str) -> None:
    assert reason(output, code) == expected


def test_a_secret_stays_out_of_the_table(ordered: Ordered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-value")
    order = ordered("seed=0,1", "data.token=s3cr3t-value")
    Grid().run(order)
    end_sweep(order.folder)
    assert not [
        name
        for name in ("csv", "md", "html")
        if "s3cr3t" in (order.folder / f"sweep.{name}").read_text()
    ]


def test_a_curve_is_read_as_far_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "metrics.csv"
    assert curve(tmp_path, "a") == []
    file.write_text("step,a\n1,0.5\n")
    assert curve(tmp_path, "a") == [(1, 0.5)]
    with file.open("a") as stream:
        stream.write("2,0.7\n")
    assert curve(tmp_path, "a") == [(1, 0.5), (2, 0.7)]


def test_a_run_without_anything_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    run = read_run(tmp_path / "0")
    assert (run.status, run.best, run.metrics) == ("unfinished", None, {})


def test_a_training_ends_with_the_sweep_that_was_killed() -> None:
    inner = "import signal; from polymodal.training.distributed import signals as s; s.end_with_parent(); "
    inner += "print('ready', flush=True); signal.pause()"
    outer = "import os, subprocess as s, sys; s.Popen([sys.executable, '-c', sys.argv[1]]); sys.stdin.read()"
    outer = outer.replace(
        "argv[1]]", f"argv[1]], env=os.environ | {{'{PARENT}': str(os.getpid())}}"
    )
    with subprocess.Popen(
        [sys.executable, "-c", outer, inner], stdin=-1, stdout=-1, text=True
    ) as sweep:
        assert sweep.stdout
        assert sweep.stdout.readline() == "ready\n"
        sweep.kill()
        assert sweep.stdout.read() == ""  # the training had it open, too
