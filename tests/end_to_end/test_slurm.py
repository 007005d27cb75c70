"""Jobs under a real Slurm: several processes, warnings, preemption, arrays. Skipped where none
answers."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.resumed import ENDLESS, differences, final_state, rows
from tests.slurm import Job, accounting, needs_slurm, needs_two_nodes, waited_for

pytestmark = [pytest.mark.slow, needs_slurm]

RUN = [*ENDLESS[:-2], "test=false", "trainer.accelerator=cpu", "callbacks.last.every_steps=5"]
LONG = [*RUN, "trainer.max_epochs=60"]


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run by two processes of this machine, which nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = command("train.py", *LONG, "devices=ddp_cpu", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def check_same(folder: Path, whole: Path) -> None:
    assert differences(final_state(whole)["state_dict"], final_state(folder)["state_dict"]) == []
    assert rows(folder) == rows(whole)


def starts(folder: Path) -> int:
    return 1 + len(json.loads((folder / "environment.json").read_text()).get("resumed", []))


def test_two_tasks_are_one_run_and_leave_in_peace(whole: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, "single_node", *LONG)
    assert job.end() == "COMPLETED", job.said()
    assert "terminate" not in job.said()
    assert "Traceback" not in job.said()
    check_same(job.folder, whole)
    # the second process had no folder
    assert [path.name for path in job.folder.parent.iterdir()] == [job.number]


@pytest.mark.parametrize("signum", ["USR1", "USR2"])
def test_a_job_whose_time_is_nearly_over_goes_on_later(
    signum: str, whole: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path, "single_node", *LONG)
    job.saves()
    subprocess.run(["scancel", f"--signal={signum}", job.number], check=True)
    assert job.end() == "COMPLETED", job.said()
    assert job.told("Restarts") == "1"
    assert f"Stopped by SIG{signum}. Job {job.number} goes back into Slurm's queue." in job.said()
    assert starts(job.folder) == 2
    check_same(job.folder, whole)


def test_a_job_that_others_drive_away_goes_on_later(whole: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, "single_node", *LONG)
    job.saves()
    if job.told("Partition") != "low":
        pytest.skip("this Slurm has no partition that is preempted: scripts/slurm_sandbox.sh start")
    others = [
        "sbatch",
        "--partition=high",
        "--exclusive",
        f"--nodelist={job.told('NodeList')}",
        "--output=/dev/null",
    ]
    subprocess.run([*others, "--wrap=true"], check=True, capture_output=True)
    assert job.end() == "COMPLETED", job.said()
    assert job.told("Restarts") == "1"
    assert starts(job.folder) == 2
    check_same(job.folder, whole)


def test_a_job_that_is_cancelled_saves_and_stays_out_of_the_queue(tmp_path: Path) -> None:
    job = Job(tmp_path, "single_node", *LONG)
    job.saves()
    subprocess.run(["scancel", job.number], check=True)
    assert job.end() == "CANCELLED"
    assert waited_for(lambda: "Stopped by SIGTERM. Resume with:" in job.said()), job.said()
    assert job.told("Restarts") == "0"


def test_a_job_whose_task_is_killed_ends_and_its_run_can_be_resumed(
    command, whole: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path, "single_node", *LONG)
    job.saves()
    subprocess.run(["scancel", "--signal=KILL", f"{job.number}.0"], check=True)
    assert job.end() == "FAILED"
    done = command("train.py", f"resume={job.folder}", "devices=ddp_cpu")
    assert done.returncode == 0, done.stderr
    check_same(job.folder, whole)


@needs_two_nodes
def test_two_nodes_are_one_run(whole: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, "multi_node", *LONG, sbatch=["--ntasks-per-node=1"])
    assert job.end() == "COMPLETED", job.said()
    assert job.told("NumNodes") == "2"
    check_same(job.folder, whole)


def test_a_run_of_one_process_refuses_two_tasks(tmp_path: Path) -> None:
    job = Job(tmp_path, "single_node", *RUN, "trainer.max_epochs=3", "devices=cpu")
    assert job.end() == "FAILED"
    assert job.said().count("error: 2 processes were started") == 1
    assert not (job.folder / "checkpoints").exists()


def test_the_array_of_the_example_has_a_folder_a_seed(tmp_path: Path) -> None:
    job = Job(
        tmp_path, "array", *RUN, "trainer.max_epochs=1", "devices=cpu", sbatch=["--array=0-1"]
    )
    assert waited_for(lambda: len(list(job.folder.glob("*/metrics.json"))) == 2), job.said()
    configs = [(job.folder / seed / "config.yaml").read_text() for seed in ("0", "1")]
    assert ["seed: 0" in configs[0], "seed: 1" in configs[1]] == [True, True]


@pytest.fixture
def sweep(tmp_path: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A sweep of two jobs by submitit, two processes each; the first job has saved."""
    launcher = [
        "hydra/launcher=submitit_slurm",
        "hydra.launcher.tasks_per_node=2",
        "hydra.launcher.cpus_per_task=1",
    ]
    launcher += ["hydra.launcher.timeout_min=10", "hydra.launcher.signal_delay_s=30"]
    script = [
        str(ROOT / "src" / "train.py"),
        "-m",
        *launcher,
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    ]
    script += [*LONG, "devices=multi_node", "seed=0,1"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "src"),
        "MASTER_ADDR": "127.0.0.1",
        "COLUMNS": "200",
    }
    environment["PATH"] = f"{accounting(tmp_path / 'bin')}:{os.environ['PATH']}"
    with subprocess.Popen(
        [sys.executable, *script],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        first = tmp_path / "sweep" / "0" / "checkpoints" / "last.ckpt"
        assert waited_for(lambda: first.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[0]
        yield process


def array(folder: Path) -> str:
    """The number that Slurm gave the jobs of a sweep by submitit."""
    (number,) = {path.name.split("_")[0] for path in (folder / ".submitit").glob("*_0")}
    return number


def to_the_first(signum: str, folder: Path) -> None:
    """Sends a signal to the first job of a sweep by submitit."""
    subprocess.run(["scancel", f"--signal={signum}", f"{array(folder)}_0"], check=True)


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "sweep.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_sweep_by_submitit_is_one_folder_and_its_jobs_go_on(
    sweep: subprocess.Popen[str], whole: Path, tmp_path: Path
) -> None:
    to_the_first("USR2", tmp_path / "sweep")
    said = sweep.communicate(timeout=400)[0]
    assert sweep.returncode == 0, said
    assert [(job["job"], job["status"]) for job in table(tmp_path / "sweep")] == [
        ("0", "done"),
        ("1", "done"),
    ]
    folders = [tmp_path / "sweep" / name for name in ("0", "1")]
    assert [starts(folder) for folder in folders] == [2, 1]
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir() if path.name.isdigit()) == [
        "0",
        "1",
    ]
    assert not (tmp_path / "logs").exists()
    check_same(folders[0], whole)


def test_a_job_of_submitit_that_is_killed_is_a_failed_row(
    sweep: subprocess.Popen[str], tmp_path: Path
) -> None:
    to_the_first("KILL", tmp_path / "sweep")
    said = sweep.communicate(timeout=400)[0]
    assert sweep.returncode == 1, said
    first, second = table(tmp_path / "sweep")
    assert (first["status"], second["status"]) == ("failed", "done")
    assert "CANCELLED: no result." in first["error"]  # as Slurm calls it
    assert "1 of 2 jobs failed: 0" in said


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_sweep_that_is_stopped_cancels_its_jobs(
    sweep: subprocess.Popen[str], tmp_path: Path, signum: signal.Signals
) -> None:
    folder = tmp_path / "sweep"
    sweep.send_signal(signum)
    said = sweep.communicate(timeout=120)[0]
    assert sweep.returncode == 128 + signum, said
    assert (
        f"2 of 2 jobs are cancelled; those that train save first: {array(folder)}_0, "
        f"{array(folder)}_1." in said
    )
    assert f"Resume with: python src/sweep.py resume={folder}" in said
    assert "Traceback" not in said
    assert table(folder)[0]["status"] == "unfinished"
    (log,) = (folder / ".submitit").glob("*_0/*_0_0_log.err")
    assert "Stopped by SIGTERM. Resume with:" in log.read_text()
    ask = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={array(folder)}"]
    tell = partial(subprocess.run, ask, capture_output=True, text=True, check=True)
    # and none is in the queue again
    assert waited_for(lambda: set(tell().stdout.split()) == {"CANCELLED"})
