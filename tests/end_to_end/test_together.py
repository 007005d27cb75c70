"""Processes of a run that fail, fail together, within seconds and with one message."""

import csv
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tests.conftest import ROOT

from polymodal.training.process import own_processes

HERE = ["data=synthetic", "encoder/image=linear", "encoder/text=bow", "encoder/audio=none"]
HERE += [
    "callbacks=[checkpoint,guard]",
    "trainer.max_epochs=1",
    "++trainer.limit_train_batches=5",
    "test=false",
]
RUN = [*HERE, "devices=ddp_cpu"]
SHARED = [*HERE, "devices=fsdp", "trainer.accelerator=cpu", "trainer.devices=2"]


def failing(rank: int | str, how: str = "foreseen") -> list[str]:
    return [
        "+callbacks.failing._target_=tests.failing.Failing",
        f"callbacks.failing.rank={rank}",
    ] + [f"callbacks.failing.how={how}"]


def said(done: subprocess.CompletedProcess) -> list[str]:
    return [
        line
        for line in done.stderr.splitlines()
        if line.startswith(("error:", "[rank", "Traceback", "Runtime"))
    ]


@pytest.mark.parametrize("error", [None, RuntimeError, SystemExit])
def test_the_group_of_processes_ends_with_the_run(
    error: type[BaseException] | None, tmp_path: Path
) -> None:
    with pytest.raises(error) if error else nullcontext(), own_processes():
        dist.init_process_group(
            "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
        )
        if error:
            raise error
    assert not dist.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1, -1])
def test_an_error_of_one_process_is_the_one_message(command, tmp_path: Path, rank: int) -> None:
    done = command("train.py", *RUN, *failing(rank), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 2
    assert said(done) == ["error: row 17 is broken"]


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_is_traced_once(command, tmp_path: Path) -> None:
    done = command("train.py", *RUN, *failing(1, "unforeseen"), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode != 0
    assert [line.split(":")[0] for line in said(done)] == [
        "Traceback (most recent call last)",
        "RuntimeError",
    ]


@pytest.mark.slow
def test_a_process_that_is_killed_is_named_with_its_signal(command, tmp_path: Path) -> None:
    done = command("train.py", *RUN, *failing(1, "killed"), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 2
    (line,) = said(done)
    assert line.startswith("error: Process 1 of the run (pid ")
    assert (
        "was killed by SIGKILL: there may be too little memory. Try a smaller data.batch_size"
        in line
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "run", [RUN, [*SHARED, "trainer.strategy.save_distributed_checkpoint=true"]]
)
def test_spoilt_inputs_of_one_process_end_all_with_one_message(
    command, tmp_path: Path, run: list[str]
) -> None:
    done = command("train.py", *run, *failing(1, "spoilt"), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 2
    (line,) = said(done)
    assert line.startswith("error: NaN or infinity at step 2 (epoch 0)")
    (file,) = tmp_path.rglob("bad_step.json")
    report = json.loads(file.read_text())
    assert 0 < len(report["ids_with_bad_inputs"]) < len(report["ids"])
    (last,) = tmp_path.rglob("last.ckpt")
    assert torch.load(last, weights_only=True)["global_step"] == 2


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_job_whose_second_process_failed(command, tmp_path: Path) -> None:
    done = command("train.py", "-m", *RUN, *failing("1,7"), cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert done.returncode == 1
    assert "1 of 2 jobs failed: 0" in done.stderr
    (file,) = tmp_path.rglob("sweep.csv")
    with file.open(newline="") as stream:
        assert [job["status"] for job in csv.DictReader(stream)] == ["failed", "done"]
    (error,) = tmp_path.rglob("error.txt")
    assert "row 17 is broken" in error.read_text()


@pytest.mark.slow
def test_a_folder_that_holds_a_run_ends_all_processes_of_torchrun(cache, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("of another run")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = [str(ROOT / "src" / "train.py"), *RUN, f"hydra.run.dir={tmp_path / 'run'}"]
    done = subprocess.run(
        [*launcher, *script], cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode != 0
    assert done.stderr.count("holds a run already") == 1
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]
