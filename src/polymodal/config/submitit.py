"""A sweep by submitit outlives its jobs: those that are killed, or whose machine fails, say nothing of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
from hydra.core.utils import JobReturn, JobStatus
from submitit.core.utils import FailedJobError, UncompletedJobError

from polymodal.config.sweep import record_failure


def wait_for_all(sweep: Path) -> None:
    """From now on a job of this sweep without a result is a failed one.

    Hydra's launcher, which takes its executor from the module, would end with the first of them, and leave the others.
    """

    class Executor(submitit.AutoExecutor):
        """Its jobs have a result in any case."""

        def map_array(self, fn: Any, *columns: Any) -> list[Any]:
            """One job each; the columns are the launcher's: arguments of the jobs, a key, numbers, and others."""
            jobs = super().map_array(fn, *columns)
            arguments, _, numbers, *_ = columns
            return [
                Settled(job, sweep / str(number), a) for job, number, a in zip(jobs, numbers, arguments, strict=True)
            ]

    submitit.AutoExecutor = Executor  # type: ignore[misc]


class Settled:
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
            from polymodal.sweeps.results import end_of

            if end_of(self.folder) is None:
                record_failure(self.folder, self._reason(error), str(error), self.overrides)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=None)]

    def _reason(self, error: Exception) -> str:
        if isinstance(error, FailedJobError):
            trace = str(error).split("----------------------\n")[1]
            return trace.strip().splitlines()[-1]
        state = f"{self.job.job_id}, {self.job.state}"
        return f"Job {state}: no result. It was killed, had too little memory, or its machine failed."
