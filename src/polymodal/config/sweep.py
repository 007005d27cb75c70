"""What a sweep leaves: a table of all its jobs, the failed ones too."""

from __future__ import annotations

import csv
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from polymodal.config.run_folder import write_environment
from polymodal.config.secrets import mask

SHOWN = ("recall@1", "accuracy", "recall")
"""Last parts of the test figures that the terminal's table has; sweep.csv has all."""


def record_failure(folder: Path, error: Exception, overrides: Sequence[str]) -> None:
    """Writes error.txt into a job's folder: the message, then the stack trace."""
    details = "".join(traceback.format_exception(error))
    (folder / "error.txt").write_text(mask(f"{error or type(error).__name__}\n\n{details}"))
    if not (folder / "environment.json").exists():
        write_environment(folder, overrides)


class SweepTable(Callback):
    """Collects the jobs of a sweep into `sweep.csv` and one table; the exit code is 1 if any of them failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this once, after the last job."""
        jobs = write_table(Path(config.hydra.sweep.dir))
        failed = [job["job"] for job in jobs if job["status"] != "done"]
        if failed:
            print(
                f"{len(failed)} of {len(jobs)} jobs failed: {', '.join(failed)}; see error.txt there.", file=sys.stderr
            )
            sys.exit(1)


def write_table(folder: Path) -> list[dict[str, str]]:
    """Writes `sweep.csv`, prints the table, gives its rows."""
    jobs = [_read(job) for job in sorted(folder.iterdir(), key=_number) if job.name.isdigit()]
    _mask_file(folder / "multirun.yaml")
    _write(folder / "sweep.csv", jobs)
    _print(folder, jobs)
    return jobs


def _number(path: Path) -> int:
    return int(path.name) if path.name.isdigit() else -1


def _mask_file(file: Path) -> None:
    if file.exists():  # Hydra writes the command line into it
        file.write_text(mask(file.read_text()))


def _read(folder: Path) -> dict[str, str]:
    """One row: the overrides, how the job ended, its figures."""
    metrics, error, about = folder / "metrics.json", folder / "error.txt", folder / "environment.json"
    row = {"job": folder.name, "status": "done" if metrics.exists() else "failed" if error.exists() else "unfinished"}
    row |= _overrides(about)
    row["error"] = error.read_text().splitlines()[0] if error.exists() else ""
    return row | (json.loads(metrics.read_text()) if metrics.exists() else {})


def _overrides(about: Path) -> dict[str, str]:
    """Key -> value of what a job changed, from its environment.json."""
    overrides = json.loads(about.read_text())["overrides"] if about.exists() else []
    return {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)}


def _write(file: Path, jobs: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys(key for job in jobs for key in job))
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(jobs)


def _print(folder: Path, jobs: list[dict[str, str]]) -> None:
    """What tells the jobs apart, and the main figures."""
    table = Table(title=f"{len(jobs)} jobs in {folder}", title_justify="left")
    changed = {key for job in jobs for key in _overrides(folder / job["job"] / "environment.json")}
    varied = {key for key in changed if len({job.get(key) for job in jobs}) > 1}
    figures = {key for job in jobs for key in job if key.startswith("test/") and key.rpartition("/")[2] in SHOWN}
    shown = {"job", "status"} | varied | figures
    columns = list(dict.fromkeys(key for job in jobs for key in job if key in shown))
    for column in columns:
        table.add_column(column.removeprefix("test/"), overflow="fold")
    for job in jobs:
        cells = [job.get(column, "") for column in columns]
        table.add_row(*[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in cells])
    Console().print(table)
