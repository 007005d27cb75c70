"""What a run left in its folder: how it ended, what it had changed, its metrics and its learning
curve.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from polymodal.config.stored import load_yaml
from polymodal.errors import ConfigError
from polymodal.files import read_json
from polymodal.runs.lock import at_work

Status = Literal["done", "pruned", "failed", "running", "unfinished"]
Mode = Literal["max", "min"]

ENDS: dict[str, Status] = {"metrics.json": "done", "pruned.txt": "pruned", "error.txt": "failed"}
"""The file that says how a run ended; the first one that is there counts."""


@dataclass
class Run:
    """One row of a table.

    Args:
        name: of the job, or of the run's folder.
        folder: where it is.
        status: how it ended.
        changes: key -> value of what sets it apart from others.
        error: why it failed, in one line.
        metrics: of metrics.json.
        monitor: the validation metric that the run was evaluated by, and
        best: the best value that it reached.
        mode: whether a larger or a smaller one is better.
    """

    name: str
    folder: Path
    status: Status
    changes: dict[str, str] = field(default_factory=dict)
    error: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    monitor: str = ""
    mode: Mode = "max"
    best: float | None = None


def end_of(folder: Path) -> Status | None:
    """How a run ended; None where it did not."""
    return next((status for file, status in ENDS.items() if (folder / file).exists()), None)


def status_of(folder: Path) -> Status:
    """How a run ended; `unfinished` where it did not and no process runs it."""
    return end_of(folder) or ("running" if at_work(folder) else "unfinished")


def jobs_of(sweep: Path) -> list[Path]:
    """The numbered folders of a sweep, in their order."""
    return sorted(
        (f for f in sweep.iterdir() if f.name.isdigit() and f.is_dir()), key=lambda f: int(f.name)
    )


def read_run(folder: Path) -> Run:
    """The row of a run; a run that never began has no metrics, and is a row all the same."""
    run = Run(folder.name, folder, status_of(folder), overrides_of(folder))
    if why := {"failed": "error.txt", "pruned": "pruned.txt"}.get(run.status):
        text = (folder / why).read_text(errors="replace") if (folder / why).is_file() else ""
        run.error = next(iter(text.splitlines()), "")
    if (folder / "metrics.json").exists():
        run.metrics = {
            name: v
            for name, v in read_json(folder / "metrics.json").items()
            if isinstance(v, int | float)
        }
    config = config_of(folder)
    run.monitor = str(config.get("monitor", ""))
    run.mode = "min" if config.get("monitor_mode") == "min" else "max"
    values = [value for _, value in curve(folder, run.monitor)]
    run.best = (max if run.mode == "max" else min)(values, default=None)
    return run


def overrides_of(folder: Path) -> dict[str, str]:
    """Key -> value of what the command line of a run changed."""
    about = folder / "environment.json"
    listed = read_json(about).get("overrides", [])
    overrides = (
        [override for override in listed if isinstance(override, str)]
        if isinstance(listed, list)
        else []
    )
    return {
        key.lstrip("+"): value
        for key, _, value in (override.partition("=") for override in overrides)
    }


def config_of(folder: Path) -> dict[str, Any]:
    """The config of a run as plain data; empty where it never began."""
    file = folder / "config.yaml"
    loaded = load_yaml(file) if file.is_file() else {}
    return {str(key): value for key, value in loaded.items()} if isinstance(loaded, dict) else {}


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv; an empty cell is a metric that was not logged then."""
    file = folder / "metrics.csv"
    if not file.is_file():
        return []
    now = file.stat()
    return _rows(file, now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=16)
def _rows(file: Path, *_: int) -> list[dict[str, str]]:
    """The running jobs are looked at four times a second, and a long file takes as long to read as
    a training step.
    """
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def curve(folder: Path, metric: str) -> list[tuple[int, float]]:
    """(optimizer step, value) of every time that a metric was logged.

    Raises:
        ConfigError: a cell is no number.
    """
    rows = [row for row in rows_of(folder) if row.get(metric) and row.get("step")]
    try:
        return [(int(row["step"]), float(row[metric])) for row in rows]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{folder / 'metrics.csv'} is none that a run wrote: {error}.") from error


def at_best(folder: Path, wanted: Mapping[str, Mode]) -> list[float]:
    """Values of several metrics at one time: where the first of them was best.

    What was not logged then, such as metrics of the test or of time, is that of metrics.json.

    Raises:
        ConfigError: the run has no such metric.
    """
    first, mode = next(iter(wanted.items()))
    rows = [row for row in rows_of(folder) if row.get(first)]
    row = (max if mode == "max" else min)(rows, key=lambda row: float(row[first]), default={})
    known = read_json(folder / "metrics.json") | {
        name: value for name, value in row.items() if value
    }
    if missing := [name for name in wanted if name not in known]:
        there = sorted({*known, *(name for row in rows_of(folder)[:1] for name in row)})
        raise ConfigError(
            f"{folder.name} has no metric {missing[0]}. There are: {', '.join(there)}."
        )
    return [float(known[name]) for name in wanted]
