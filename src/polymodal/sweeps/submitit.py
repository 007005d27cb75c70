"""A sweep by submitit outlives its jobs: those that are killed, or whose machine fails, say nothing
of themselves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit
from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import FailedJobError, UncompletedJobError

from polymodal.errors import ConfigError
from polymodal.runs.folder import record_failure

PATIENCE = 60.0
"""Seconds that cancelled jobs are given to save and end before the table is written."""


def wait_for_all(sweep: Path) -> None:
    """From now on a job of this sweep without a result is a failed one, and what stops the sweep
    cancels its jobs.

    Hydra's launcher, which takes its executor from the module, would end with the first of them,
    and leave the others.
    """

    class Executor(submitit.AutoExecutor):
        """Its jobs have a result in any case."""

        def map_array(self, fn: Any, *columns: Any) -> list[Any]:
            """One job each, all of them over; the columns are the launcher's: arguments, a key,
            numbers, and others.

            Raises:
                ConfigError: Slurm does not take the jobs.
            """
            # Slurm gets all jobs before any is waited for
            arguments, _, numbers, *_ = columns
            try:
                with _deaf_to_the_terminal():
                    jobs = super().map_array(fn, *columns)
            except FailedJobError as error:
                raise ConfigError(
                    f"Slurm does not take these jobs: {str(error).strip()}"
                ) from error
            settled = [
                FinishedJob(job, sweep / str(number), a)
                for job, number, a in zip(jobs, numbers, arguments, strict=True)
            ]

            # Ctrl-C ends them all
            try:
                for job in jobs:
                    job.wait()
            except (KeyboardInterrupt, SystemExit):
                cancel(settled)
                raise
            return settled

    submitit.AutoExecutor = Executor  # type: ignore[misc]


@contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """What is started in here does not get Ctrl-C: what starts jobs on this machine would kill them
    a second later.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class FinishedJob:
    """A job of submitit's that is over when its results are asked for.

    Args:
        job: of submitit's.
        folder: of its run.
        overrides: of its command line.
    """

    def __init__(self, job: submitit.Job[Any], folder: Path, overrides: Sequence[str]) -> None:
        self.job, self.folder, self.overrides = job, folder, overrides

    def results(self) -> list[Any]:
        """What the job gave, or else nothing; then its folder says why."""
        try:
            return self.job.results()
        except UncompletedJobError as error:
            from polymodal.runs.results import end_of

            if end_of(self.folder) is None:
                record_failure(self.folder, self._reason(error), str(error), self.overrides)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=None)]

    def _reason(self, error: Exception) -> str:
        if isinstance(error, FailedJobError):
            trace = str(error).split("----------------------\n")[1]
            return trace.strip().splitlines()[-1]
        state = f"{self.job.job_id}, {self.job.state}"
        return (
            f"Job {state}: no result. It was killed, had too little memory, or its machine failed."
        )


def cancel(jobs: Sequence[FinishedJob]) -> None:
    """Tells all jobs that are not over to end, and waits until those that train have saved; a
    signal ends the waiting.

    On this machine they get the signal again and again: submitit's jobs do not listen before they
    train.
    """
    left = [settled for settled in jobs if not settled.job.done()]
    if not left:
        return
    names = ", ".join(settled.job.job_id for settled in left)
    print(
        f"{len(left)} of {len(jobs)} jobs are cancelled; those that train save first: {names}.",
        file=sys.stderr,
    )
    here = isinstance(left[0].job, submitit.LocalJob)
    if not here:  # at once: submitit would ask Slurm for each of them
        subprocess.run(["scancel", *(settled.job.job_id for settled in left)], check=False)
    latest = time.monotonic() + PATIENCE
    while time.monotonic() < latest and (
        left := [settled for settled in left if _is_at_work(settled, here)]
    ):
        for settled in left if here else ():
            # what has started the job passes it on
            os.kill(int(settled.job.job_id), signal.SIGTERM)
        time.sleep(1.0)


def _is_at_work(settled: FinishedJob, here: bool) -> bool:
    """What Slurm itself would say of a job, it may say ten minutes later."""
    from polymodal.runs.lock import at_work

    return not settled.job.done() if here else at_work(settled.folder)
