"""Two machines by torchrun, played by two of its agents on this one."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.resumed import ENDLESS, differences, final_state, rows

RUN = [*ENDLESS[:-2], "test=false", "trainer.accelerator=cpu"]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.mark.slow
def test_two_agents_are_one_run_and_go_on_together(command, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "run"
    done = command(
        "train.py",
        *RUN,
        "trainer.max_epochs=2",
        "scheduler=none",
        "devices=ddp_cpu",
        f"hydra.run.dir={whole}",
    )
    assert done.returncode == 0, done.stderr
    first = [
        *RUN,
        "trainer.max_epochs=1",
        "scheduler=none",
        "devices=multi_node",
        f"hydra.run.dir={folder}",
    ]
    for arguments in (first, [f"resume={folder}", "trainer.max_epochs=2"]):
        assert two_agents(tmp_path, *arguments) == [0, 0]
    assert differences(final_state(whole)["state_dict"], final_state(folder)["state_dict"]) == []
    assert rows(folder) == rows(whole)
    assert not (tmp_path / "logs").exists()


def two_agents(here: Path, *arguments: str) -> list[int]:
    """Their exit codes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    launcher += [
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint=127.0.0.1:{free_port()}",
        "--local-addr=127.0.0.1",
    ]
    command = [*launcher, str(ROOT / "src" / "train.py"), *arguments]
    agents = [
        subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        errors = [agent.communicate(timeout=300)[1] for agent in agents]
    finally:
        for agent in agents:
            agent.kill()
    print(*errors, sep="\n")
    return [agent.returncode for agent in agents]
