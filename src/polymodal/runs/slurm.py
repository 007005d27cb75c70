"""A Slurm job that is put in the queue again: who asks for it, and which run it resumes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from polymodal.files import read_json
from polymodal.training.distributed.signals import TIME_IS_OVER, Stopped


def is_requeued(folder: Path) -> bool:
    """Whether this job was put in the queue again after the run in this folder, which it began, had
    saved.
    """
    return begun_here(folder) and any((folder / "checkpoints").glob("*.ckpt"))


def begun_here(folder: Path) -> bool:
    """Whether an earlier start of this job began the run in this folder."""
    about = folder / "environment.json"
    if not int(os.environ.get("SLURM_RESTART_COUNT") or 0) or not about.exists():
        return False
    return bool(read_json(about).get("slurm_job") == os.environ.get("SLURM_JOB_ID"))


def run_again(stop: Stopped) -> bool:
    """Puts this job in the queue again, where it was stopped for that; whether it is there.

    The one owner of this is here, and in a job of submitit's, which counts how often, submitit: its
    handler is called, and ends the process. Slurm itself does it too late: a job that ends by
    itself before it is killed has failed.

    Args:
        stop: by SIGUSR1 or SIGUSR2 (`sbatch --signal=USR1@120`): the time is nearly over. SIGTERM
            asks for another start only where Slurm preempts the job, not where somebody cancels it.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or not (stop.signum in TIME_IS_OVER or _preempted(job)):
        return False
    print(f"{stop} Job {job} goes back into Slurm's queue.", file=sys.stderr)
    try:
        for asked in TIME_IS_OVER:
            if callable(owner := signal.getsignal(asked)):
                owner(asked, None)
        subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=True, timeout=60
        )
    except Exception as error:  # of submitit, too: the job has had all its times
        reason = getattr(error, "stderr", None) or error
        print(f"Slurm does not run job {job} again: {str(reason).strip()}", file=sys.stderr)
        return False
    return True


def _preempted(job: str) -> bool:
    """Whether Slurm has sent the signal because others need the machine. A cancelled job is not
    running any more.
    """
    try:
        answer = subprocess.run(
            ["scontrol", "--oneliner", "show", "job", job],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(
        re.search(r"\bJobState=RUNNING\b", answer) and re.search(r"\bPreemptTime=\d", answer)
    )
