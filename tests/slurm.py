"""Jobs of a real Slurm, such as `scripts/slurm_sandbox.sh start` makes."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT

SANDBOX = Path("/run/slurm_sandbox/slurm.conf")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED")
PATIENCE = 240.0


def nodes() -> int:
    """How many nodes answer; 0 without Slurm."""
    if "SLURM_CONF" not in os.environ and SANDBOX.exists():
        os.environ["SLURM_CONF"] = str(SANDBOX)
    if (
        shutil.which("sinfo") is None
        or not Path(os.environ.get("SLURM_CONF", "/etc/slurm/slurm.conf")).exists()
    ):
        return 0
    told = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%N"],
        capture_output=True,
        text=True,
        check=False,
    )
    return len(set(told.stdout.split()))


NODES = nodes()
needs_slurm = pytest.mark.skipif(
    NODES < 1, reason="no Slurm answers: scripts/slurm_sandbox.sh start"
)
needs_two_nodes = pytest.mark.skipif(
    NODES < 2, reason="no Slurm of two: scripts/slurm_sandbox.sh start nodes=2"
)


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether it has come true within some minutes."""
    latest = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > latest:
            return False
        time.sleep(0.1)
    return True


ACCOUNTING = r"""#!/bin/sh
echo 'JobID|State|NodeList'
scontrol --oneliner show job |
  sed -nE 's/^JobId=.*ArrayJobId=([0-9]+) ArrayTaskId=([0-9]+) .*JobState=([A-Z_]+) .* NodeList=(\S*).*/\1_\2|\3|\4/p'
"""


def accounting(folder: Path) -> Path:
    """A folder with an `sacct`, which submitit asks; the sandbox has no accounting. It knows the
    tasks of arrays."""
    folder.mkdir()
    (folder / "sacct").write_text(ACCOUNTING)
    (folder / "sacct").chmod(0o755)
    return folder


class Job:
    """A job from one of the examples in scripts/slurm, in a folder that looks like the
    repository."""

    def __init__(
        self, folder: Path, script: str, *arguments: str, sbatch: Sequence[str] = ()
    ) -> None:
        for name in ("src", "scripts"):
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        self.output = folder / "output.txt"
        options = ["--cpus-per-task=1", "--time=10", f"--output={self.output}", *sbatch]
        here = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MASTER_ADDR": "127.0.0.1",
        }
        here |= {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
        ask = partial(
            subprocess.run, cwd=folder, env=here, capture_output=True, text=True, check=True
        )
        done = ask(["sbatch", "--parsable", *options, f"scripts/slurm/{script}.sbatch", *arguments])
        self.number = done.stdout.strip()
        self.folder = folder / "logs" / "slurm" / self.number

    def told(self, what: str) -> str:
        """What Slurm says of the job, such as its JobState."""
        command = ["scontrol", "--oneliner", "show", "job", self.number]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = re.search(rf"\b{what}=(\S+)", text)
        assert found, text
        return found[1]

    def end(self) -> str:
        """How it ended."""
        assert waited_for(lambda: self.told("JobState") in ENDED), (
            self.told("JobState") + self.said()
        )
        return self.told("JobState")

    def saves(self) -> None:
        """Waits for a checkpoint."""
        last = self.folder / "checkpoints" / "last.ckpt"
        assert waited_for(lambda: last.exists() or self.told("JobState") in ENDED)
        assert last.exists(), self.said()

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""
