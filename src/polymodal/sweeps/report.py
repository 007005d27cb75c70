"""What a sweep leaves when it ends: tables and pictures, and the word that some jobs failed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from polymodal.sweeps.pictures import draw_all
from polymodal.sweeps.results import Run, jobs_of, read_run
from polymodal.sweeps.table import write_tables


def write_report(folder: Path, name: str, runs: Sequence[Run]) -> None:
    """Tables and pictures of runs."""
    write_tables(folder, name, runs)
    draw_all(folder, runs)


def end_sweep(folder: Path) -> int:
    """Writes the report of a sweep; gives its exit code: 1 if a job failed or was not finished."""
    runs = [read_run(job) for job in jobs_of(folder)]
    if not runs:
        return 0
    write_report(folder, "sweep", runs)
    said = {"failed": "failed", "running": "are at work in another process", "unfinished": "were interrupted"}
    for status, what in said.items():
        if names := [run.name for run in runs if run.status == status]:
            where = "; see error.txt there" if status == "failed" else ""
            print(f"{len(names)} of {len(runs)} jobs {what}: {', '.join(names)}{where}.", file=sys.stderr)
    return int(any(run.status in said for run in runs))
