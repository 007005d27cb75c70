"""Every combination of values; with `seed: range(5)` among them, every one with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polymodal.runs.results import end_of
from polymodal.sweeps.job import Job
from polymodal.sweeps.runner import run_jobs
from polymodal.sweeps.space import SweepSpec, combinations
from polymodal.types import Threads


class Grid:
    """Runs a job for each combination; several processes can work on one grid, each takes what no
    other has.

    Args:
        space: key -> its values, as `a,b` or `range(5)`, or one value for all; the command line may
            say other ones.
        jobs: that run at a time.
    """

    def __init__(self, space: Mapping[str, Any] | None = None, jobs: Threads = 1) -> None:
        self.space, self.jobs = space, jobs
        self.waiting: list[Job] = []
        self.again: dict[Job, int] = {}
        self.total = 0

    def run(self, order: SweepSpec) -> int:
        """Runs what is not finished; gives the exit code.

        Raises:
            ConfigError: something varies in an interval.
        """
        choices = combinations(order.swept)
        self.total = len(choices)
        self.waiting = [
            Job(order.folder / str(number), [*order.fixed, *choice])
            for number, choice in enumerate(choices)
        ]
        failed = [job for job in self.waiting if end_of(job.folder) == "failed"]
        self.again = {job: failed_at(job) for job in failed} if order.retry_failed else {}
        return run_jobs(self, self.jobs, order)

    def next(self) -> Job | None:
        """The first job that is not over and that no other process has."""
        while self.waiting:
            job = self.waiting.pop(0)
            if job.take():
                end = end_of(job.folder)
                if end is None or (end == "failed" and self.again.get(job) == failed_at(job)):
                    return job  # and not one that has failed, again, in another process
                job.release()
        return None

    def is_hopeless(self, job: Job) -> bool:
        """A grid wants all of its jobs."""
        return False

    def ended(self, job: Job) -> None:
        """Nothing follows from how a job of a grid ended."""


def failed_at(job: Job) -> int:
    """When a job failed, as its file system knows it."""
    return (job.folder / "error.txt").stat().st_mtime_ns
