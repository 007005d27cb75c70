"""One page for many runs: a table that links to their reports, settings against what they reach,
curves of all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from polymodal.config.secrets import mask
from polymodal.files import write_whole
from polymodal.formatting import readable
from polymodal.report.curve_data import Plot, plot, thinned
from polymodal.report.html import render
from polymodal.report.style import COLOURS
from polymodal.runs.results import Run, config_of, curve
from polymodal.sweeps.plots import FEWEST, comparable, heights, importance
from polymodal.sweeps.table import cell, is_main, main_row, over_seeds, ranked, varied

CURVES = 100
"""Runs that have curves: the best ones."""
POINTS = 300
"""Of a curve."""
OTHERS = "#9498a0"
"""Colour of runs that are not among the best."""
WIDTH, HEIGHT, MARGIN = 960, 320, 70
"""Of the parallel coordinates, in units of the drawing."""


class Row(NamedTuple):
    """A run in the table: the address of its report, "" where it has none, and its cells."""

    link: str
    cells: list[str | float]


class Line(NamedTuple):
    """A run in the parallel coordinates: `x,y` of its corners, its colour, and what it is."""

    points: str
    colour: str
    title: str


class Axis(NamedTuple):
    """A setting in the parallel coordinates: its name, its place, and (height, value) of what is
    written beside it.
    """

    name: str
    x: float
    labels: list[tuple[float, str]]


def write_sweep_page(folder: Path, name: str, runs: Sequence[Run]) -> Path:
    """Writes `<name>.html`, which needs no network; addresses of reports are relative to it.

    Args:
        folder: where to.
        name: of the file.
        runs: in any order.

    Returns:
        the file.
    """
    # as in the tables: what a setting or a message holds of a secret is not shown
    runs = [replace(run, changes=mask(run.changes), error=mask(run.error)) for run in runs]

    # the table, the best run first
    best_first, keys = ranked(runs), varied(runs)
    done = comparable(runs)
    header, rows = _table(folder, best_first, keys)

    # plots need runs that ended, and settings that vary
    axes, lines = _parallel(done, keys) if done and varied(done) else ([], [])
    shares = (
        importance(done, varied(done))
        if len(done) >= FEWEST and len({run.best for run in done}) > 1
        else {}
    )
    seeds = [row for row in over_seeds(runs) if is_main(str(row["metric"]))]

    # one file, with no network
    html = render(
        "sweep.html",
        name=_name_of(runs),
        what=name,
        folder=str(folder.name),
        statuses=_statuses(runs),
        best=_best(folder, done, keys),
        header=header,
        rows=rows,
        numeric={
            key
            for place, key in enumerate(header)
            if any(isinstance(row.cells[place], float) for row in rows)
        },
        plots=_curves(best_first, keys),
        curves=min(len(runs), CURVES),
        axes=axes,
        lines=lines,
        size=(WIDTH, HEIGHT),
        importance=list(shares.items()),
        runs=len(done),
        seeds=[{key: cell(value) for key, value in row.items()} for row in seeds],
    )
    file = folder / f"{name}.html"
    write_whole(file, html)
    return file


def _name_of(runs: Sequence[Run]) -> str:
    names = dict.fromkeys(str(config_of(run.folder).get("name", "")) for run in runs)
    return ", ".join(name for name in names if name) or "runs"


def _statuses(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """(how runs ended, how many of them)."""
    statuses = [run.status for run in runs]
    return [(status, statuses.count(status)) for status in dict.fromkeys(statuses)]


def label_of(run: Run, keys: Sequence[str]) -> str:
    """What sets a run apart: its number and its values of what varies."""
    values = [f"{key}={cell(run.changes[key])}" for key in keys if run.changes.get(key)]
    return ", ".join([run.name, *values])


def _link(folder: Path, run: Run) -> str:
    page = run.folder / "report" / "index.html"
    return quote(os.path.relpath(page, folder)) if page.is_file() else ""


def _best(folder: Path, done: Sequence[Run], keys: Sequence[str]) -> dict[str, Any] | None:
    """The best run beside the others; None where none is done."""
    if not done:
        return None
    best = ranked(done)[0]
    values = [float(run.best or 0) for run in done]
    tested = best.monitor.replace("val/", "test/", 1)
    controls = {
        what: best.metrics.get(tested.replace("test/", f"test/control/{what}/", 1))
        for what in CONTROLS
    }
    beside = {
        "test": best.metrics.get(tested),
        **{CONTROLS[what]: value for what, value in controls.items()},
    }
    return {
        "monitor": best.monitor,
        "value": float(best.best or 0),
        "run": label_of(best, keys),
        "link": _link(folder, best),
        "low": min(values),
        "high": max(values),
        "beside": {what: value for what, value in beside.items() if value is not None},
    }


CONTROLS = {"chance": "chance", "linear": "linear model"}
"""What stands beside a result -> how the page calls it."""


def _table(folder: Path, runs: Sequence[Run], keys: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Columns, and a row a run; numbers as numbers, so that they are sorted as such."""
    metrics = {metric for run in runs for metric in run.metrics if is_main(metric)}
    found: list[Mapping[str, Any]] = []
    for run in runs:
        seconds = run.metrics.get("time/total_seconds")
        found.append(
            {
                **main_row(run, keys, metrics),
                **({} if seconds is None else {"seconds": round(seconds)}),
            }
        )
    tested = next((run.monitor.removeprefix("val/") for run in runs if run.monitor), "")
    names = dict.fromkeys(key for row in found for key in row)
    first = ("job", "status", *keys)
    # the metric that runs are chosen by comes first among those of the test
    header = sorted(
        names, key=lambda name: (name not in first, not name.startswith("best "), name != tested)
    )
    rows = [[_value(row.get(key, "")) for key in header] for row in found]
    return header, [Row(_link(folder, run), cells) for run, cells in zip(runs, rows, strict=True)]


def _value(value: Any) -> str | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return cell(value)


def _curves(runs: Sequence[Run], keys: Sequence[str]) -> list[Plot]:
    """A plot of each of the monitored metric and the losses, with a curve a run; the best ten have
    colours.
    """
    monitor = next((run.monitor for run in runs if run.monitor), "val/loss")
    plots = []
    for metric in dict.fromkeys([monitor, "val/loss", "train/loss"]):
        curves = {
            label_of(run, keys): thinned(curve(run.folder, metric), POINTS) for run in runs[:CURVES]
        }
        whole = {
            label: [(int(step), value) for step, value in points]
            for label, points in curves.items()
        }
        drawn = plot(metric, whole, lambda _, metric=metric: metric.startswith("train/"))  # type: ignore[misc]
        labels = list(curves)
        for series in drawn["series"]:
            place = labels.index(series["name"])
            series["colour"] = COLOURS[place] if place < len(COLOURS) - 1 else OTHERS
        if drawn["series"]:
            plots.append(drawn | {"height": 320})
    return plots


def _parallel(runs: Sequence[Run], keys: Sequence[str]) -> tuple[list[Axis], list[Line]]:
    """A line a run through its settings to the best metric of its validation, which is its colour
    as well.
    """
    keys = [key for key in keys if key in varied(runs)]
    columns: list[list[Any]] = [[run.changes.get(key, "") for run in runs] for key in keys]
    values = [float(run.best or 0) for run in runs]
    names, places = [*keys, runs[0].monitor], []
    axes = []
    for number, column in enumerate([*columns, values]):
        own, labels = heights(column)
        x = MARGIN + number * (WIDTH - 2.5 * MARGIN) / max(1, len(keys))
        axes.append(
            Axis(names[number], x, [(_y(height), label) for height, label in labels.items()])
        )
        places.append([(x, _y(height)) for height in own])
    lines = []
    for run, value, *corners in zip(runs, values, *places, strict=True):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        share = (value - min(values)) / ((max(values) - min(values)) or 1.0)
        better = share if run.mode == "max" else 1 - share
        lines.append(
            Line(points, _shade(better), f"{label_of(run, keys)}: {run.monitor} {readable(value)}")
        )
    # the best are drawn last, above the others
    order = {run.name: place for place, run in enumerate(ranked(runs))}
    pairs = sorted(zip(runs, lines, strict=True), key=lambda pair: -order[pair[0].name])
    return axes, [line for _, line in pairs]


def _y(height: float) -> float:
    return HEIGHT - 30 - height * (HEIGHT - 70)


def _shade(share: float) -> str:
    """From grey, the worst, to red, the best: both are seen on white and on black."""
    ends = zip((148, 152, 160), (232, 84, 58), strict=True)
    return "#" + "".join(f"{round(low + share * (high - low)):02x}" for low, high in ends)
