"""What a sweep leaves when it ends: tables and plots, and the word that some jobs failed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from polymodal.report.unharmed import unharmed
from polymodal.runs.results import Run, jobs_of, read_run
from polymodal.sweeps.page import write_sweep_page
from polymodal.sweeps.plots import draw_all
from polymodal.sweeps.table import write_tables


def write_report(folder: Path, name: str, runs: Sequence[Run]) -> None:
    """Tables, plots and a page of runs."""
    write_tables(folder, name, runs)
    with unharmed(folder / "curves.png"):
        draw_all(folder, runs)
    with unharmed(folder / f"{name}.html"):
        print(f"To look at: {write_sweep_page(folder, name, runs)}")


def end_sweep(folder: Path, stopped: bool = False) -> int:
    """Writes the report of a sweep, says how to resume it; gives its exit code: 1 if a job failed
    or was not finished.

    Args:
        folder: of the sweep.
        stopped: there may be jobs that it has not begun.
    """
    runs = [read_run(job) for job in jobs_of(folder)]
    if not runs:
        return 0
    write_report(folder, "sweep", runs)
    parts = {
        "failed": "failed",
        "running": "are running in another process",
        "unfinished": "were interrupted",
    }
    for status, what in parts.items():
        if names := [run.name for run in runs if run.status == status]:
            where = "; see error.txt there" if status == "failed" else ""
            print(
                f"{len(names)} of {len(runs)} jobs {what}: {', '.join(names)}{where}.",
                file=sys.stderr,
            )
    statuses = {run.status for run in runs}
    if stopped or statuses & {"failed", "unfinished"}:
        again = " retry_failed=true" if "failed" in statuses else ""
        print(
            f"Resume with: python src/sweep.py {shlex.quote(f'resume={folder}')}{again}",
            file=sys.stderr,
        )
    return int(bool(statuses & parts.keys()))
