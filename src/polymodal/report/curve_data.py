"""What a run logged over its steps, as plots for a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from polymodal.report.curves import shown_shares

POINTS = 1000
"""Of a curve at most; more are averaged in groups."""

Points = list[tuple[int, float]]
Plot = dict[str, Any]
"""As JSON: `title`, `x` (n,) steps in ascending order, `series`: each with a `name`, `y` (n,) with
None where nothing was logged, and `smooth`, whether it is noise that one smooths; `log`, whether
its scale is logarithmic at first."""


def plots_of(rows: Sequence[Mapping[str, str]]) -> list[Plot]:
    """Loss, metrics of the validation, learning rate and speed, as far as they were logged.

    Args:
        rows: of metrics.csv; an empty cell is a metric that was not logged at that step.
    """
    names = list(rows[0]) if rows else []

    def starting(start: str) -> list[str]:
        return [name for name in names if name.startswith(start)]

    units = [name for name in starting("val/") if name.rpartition("/")[2] in ("mae", "rmse")]
    groups: dict[str, list[str]] = {
        "Loss": [name for name in ("train/loss", "val/loss") if name in names],
        "Validation": shown_shares(names),
        "Validation, in the units of the label": units,
        "Validation, R²": [name for name in starting("val/") if name.rpartition("/")[2] == "r2"],
        "Learning rate": starting("lr-"),
        "Samples per second": starting("train/samples_per_second"),
        "Milliseconds per step": [
            name for name in ("train/step_ms", "train/data_wait_ms") if name in names
        ],
        "Weights of the modalities": starting("val/weight/"),
    }
    drawn = (
        (title, {name: points_of(rows, name) for name in keys}) for title, keys in groups.items()
    )
    return [plot(title, curves) for title, curves in drawn if any(curves.values())]


def points_of(rows: Iterable[Mapping[str, str]], name: str) -> Points:
    """(optimizer step, value) of every time that a metric was logged; no more than `POINTS`."""
    cells = ((_number(row.get("step")), _number(row.get(name))) for row in rows)
    points = [(step, value) for step, value in cells if step is not None and value is not None]
    return [(int(step), value) for step, value in thinned(points)]


def _number(cell: str | None) -> float | None:
    """A cell as a finite number; None of anything else."""
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def thinned(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[tuple[float, float]]:
    """At most so many points: each is the mean of some that follow each other, at the last step of
    them.
    """
    size = -(-len(points) // most) if points else 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], math.fsum(value for _, value in group) / len(group)) for group in groups]


def plot(
    title: str,
    curves: Mapping[str, Points],
    is_noisy: Callable[[str], bool] = lambda name: name.startswith("train/"),
) -> Plot:
    """Curves over one axis of steps.

    Args:
        title: of the plot.
        curves: name -> points.
        is_noisy: name -> whether it is smoothed.
    """
    x = sorted({step for points in curves.values() for step, _ in points})
    known = {name: dict(points) for name, points in curves.items() if points}
    series = [
        {"name": name, "y": [_short(values.get(step)) for step in x], "smooth": is_noisy(name)}
        for name, values in known.items()
    ]
    return {"title": title, "x": x, "series": series}


def _short(value: float | None) -> float | None:
    """Six digits are more than a plot shows."""
    return None if value is None else float(f"{value:.6g}")
