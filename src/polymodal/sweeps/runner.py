"""Runs the jobs of a sweep, some at a time, and shows how it goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from polymodal.config.secrets import mask
from polymodal.formatting import readable
from polymodal.runs.results import Mode, Run, curve, end_of, jobs_of, read_run
from polymodal.sweeps.job import Job
from polymodal.sweeps.space import SweepSpec
from polymodal.training.distributed.signals import listener

PAUSE = 0.25
"""Seconds between two looks at the jobs."""


class JobSource(Protocol):
    """What the jobs are. A plan may choose the next one by what came of those before."""

    total: int

    def next(self) -> Job | None:
        """A job that is taken and can start now; None if there is none."""

    def is_hopeless(self, job: Job) -> bool:
        """Whether a job that is running is to be stopped."""

    def ended(self, job: Job) -> None:
        """A job has ended; its folder says how."""


def run_jobs(plan: JobSource, jobs: int, order: SweepSpec) -> int:
    """Runs all jobs of a plan, at most `jobs` at a time.

    Ctrl-C and SIGTERM stop those that run, which save first; a later start of the sweep goes on
    with them.

    Returns:
        0, or the exit code of the signal that ended the sweep.
    """
    running: list[Job] = []
    with listener.listening(), View(order, plan) as view:
        listener.patient = True  # a signal is only noted
        try:
            while True:
                while not listener.signum and len(running) < jobs and (job := plan.next()):
                    job.start()
                    running.append(job)
                if not running:
                    break
                for job in list(running):
                    if job.is_over():
                        running.remove(job)
                        plan.ended(job)
                        view.add(job)
                    elif listener.signum or plan.is_hopeless(job):
                        job.stop()
                view.show(running)
                time.sleep(PAUSE)
        finally:  # after an error of the plan itself, too, nothing is left running
            for job in running:
                job.stop()
    return 128 + listener.signum if listener.signum else 0


class View:
    """A line for each job that ends; below them, on a terminal, what is running, the best so far
    and the time left.
    """

    def __init__(self, order: SweepSpec, plan: JobSource) -> None:
        self.order, self.plan = order, plan
        self.console = Console()
        self.live = Live(console=self.console, transient=True, refresh_per_second=4)
        self.over = {
            folder.name: read_run(folder) for folder in jobs_of(order.folder) if end_of(folder)
        }
        self.earlier = len(self.over)
        self.started = time.monotonic()

    def __enter__(self) -> View:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def add(self, job: Job) -> None:
        """A job has ended, or was stopped."""
        run = read_run(job.folder)
        if end_of(job.folder):
            self.over[run.name] = run
        what = run.error or ("" if run.best is None else f"{run.monitor} {readable(run.best)}")
        line = (
            f"job {run.name} {run.status} ({len(self.over)} of {self.plan.total}): "
            f"{self.swept(job)}"
        )
        self.console.print(Text(f"{line} -> {what}" if what else line), soft_wrap=True)

    def show(self, running: Sequence[Job]) -> None:
        """Draws the view anew."""
        if not self.console.is_terminal:
            return
        table = Table(box=None, pad_edge=False)
        for title in ("running", "for", self.order.monitor, "arguments"):
            table.add_column(title, overflow="fold")
        for job in running:
            values = curve(job.folder, self.order.monitor)
            last = readable(values[-1][1]) if values else ""
            table.add_row(
                job.folder.name, clock(time.monotonic() - job.started), last, Text(self.swept(job))
            )
        self.live.update(Group(Text(self.summary(len(running))), table))

    def swept(self, job: Job) -> str:
        """What a job has that others have not."""
        return str(
            mask(" ".join(a.lstrip("+") for a in job.overrides if a not in self.order.fixed))
        )

    def summary(self, running: int) -> str:
        """Jobs done, running and failed, the best so far, the time left."""
        count = Counter(run.status for run in self.over.values())
        parts = [
            f"{count['done']} done, {running} running, {count['failed']} failed of "
            f"{self.plan.total}"
        ]
        if count["pruned"]:
            parts[0] += f", {count['pruned']} pruned"
        if best := best_run(self.over.values(), self.order.monitor, self.order.mode):
            parts.append(
                f"best {self.order.monitor} {readable(float(best.best or 0))} (job {best.name})"
            )
        if fresh := len(self.over) - self.earlier:
            each = (time.monotonic() - self.started) / fresh
            parts.append(f"about {clock(each * max(0, self.plan.total - len(self.over)))} left")
        return "; ".join(parts)


def best_run(runs: Iterable[Run], monitor: str, mode: Mode) -> Run | None:
    """The run that reached the best value of a metric."""
    judged = [
        run
        for run in runs
        if run.status == "done" and run.monitor == monitor and run.best is not None
    ]
    sign = 1 if mode == "max" else -1
    return max(judged, key=lambda run: sign * float(run.best or 0), default=None)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
