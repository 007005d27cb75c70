"""Plots of many runs: parallel coordinates, which setting matters, learning curves on top of
each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from polymodal.formatting import in_table
from polymodal.report.style import COLOURS, plot, short
from polymodal.runs.results import Run, curve
from polymodal.sweeps.table import cell, ranked, varied

FEWEST = 6
"""Runs that are needed to say anything about what matters."""


def draw_all(folder: Path, runs: Sequence[Run]) -> None:
    """Writes parallel_coordinates.png, importance.png and curves.png, as far as the runs give
    something to draw.
    """
    done = comparable(runs)
    draw_curves(folder / "curves.png", runs)
    if keys := varied(done):
        draw_parallel(folder / "parallel_coordinates.png", done, keys)
        if len(done) >= FEWEST and len({run.best for run in done}) > 1:
            draw_importance(folder / "importance.png", done, keys)


def comparable(runs: Sequence[Run]) -> list[Run]:
    """Runs that are done and were evaluated by one and the same metric."""
    done = [run for run in runs if run.status == "done" and run.best is not None]
    return [run for run in done if run.monitor == done[0].monitor]


def draw_parallel(file: Path, runs: Sequence[Run], keys: Sequence[str]) -> None:
    """A line a run through its settings to the best metric of its validation, which is its colour
    as well.
    """
    metrics = [float(run.best or 0) for run in runs]
    columns = [[run.changes.get(key, "") for run in runs] for key in keys]
    colours = ScalarMappable(Normalize(min(metrics), max(metrics)), "viridis").to_rgba(
        np.array(metrics)
    )
    with plot(file, size=(2.2 * (len(keys) + 1), 4)) as axes:
        scaled = [_scale(axes, place, column) for place, column in enumerate(columns)]
        scaled.append(_scale(axes, len(keys), metrics))
        for colour, heights in zip(colours, zip(*scaled, strict=True), strict=True):
            axes.plot(heights, color=colour, alpha=0.8)
        axes.set_xticks(
            range(len(keys) + 1), [short(name, 24) for name in (*keys, runs[0].monitor)]
        )
        axes.set_yticks([])
        axes.set(ylim=(-0.05, 1.05), title=f"{len(runs)} runs")
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")


def _scale(axes: Any, place: int, column: Sequence[str | float]) -> list[float]:
    """Heights from 0 to 1 of one axis, whose ends, or all of whose names, are written beside it."""
    places, labels = heights(column)
    for height, label in labels.items():
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
        where = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(short(label, 16), (place, height), fontsize=7, bbox=box, zorder=3, **where)
    return places


def heights(column: Sequence[str | float]) -> tuple[list[float], dict[float, str]]:
    """Heights from 0 to 1 of the values of a setting; and height -> label of its ends, or of each
    of its names.

    Numbers whose ends are far apart are on a logarithmic scale.
    """
    numbers = numeric(column)
    if numbers is None:
        names = sorted(set(map(str, column)))
        last = max(1, len(names) - 1)
        places = [names.index(str(value)) / last for value in column]
        return places, {index / last: name for index, name in enumerate(names)}
    low, high = min(numbers), max(numbers)
    if low > 0 and high / low > LOGARITHMIC:
        numbers = [math.log(value) for value in numbers]
    start = min(numbers)
    width = (max(numbers) - start) or 1.0
    labels = {0.0: in_table(low), 1.0: in_table(high)} if high > low else {0.0: in_table(low)}
    return [(value - start) / width for value in numbers], labels


LOGARITHMIC = 30
"""Numbers of which the largest is so many times the smallest are on a logarithmic scale."""


def numeric(column: Sequence[str | float]) -> list[float] | None:
    """The values of a setting as numbers; None if one of them is none."""
    try:
        numbers = [float(value) for value in column]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def importance(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, float]:
    """Key -> its share of what the settings do to the best metric; the shares sum to 1, the largest
    first.

    A random forest is fitted to the runs; a setting matters as much as the fit gets worse when its
    values are shuffled (Breiman 2001).
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    y = np.array([float(run.best or 0) for run in runs])
    columns = [[run.changes.get(key, "") for run in runs] for key in keys]
    x = np.stack(
        [numeric(column) or np.unique(column, return_inverse=True)[1] for column in columns], 1
    )
    forest = RandomForestRegressor(200, random_state=0).fit(x, y)
    gains = permutation_importance(
        forest, x, y, n_repeats=20, random_state=0
    ).importances_mean.clip(0)
    shares = gains / (gains.sum() or 1)
    return {keys[k]: float(shares[k]) for k in np.argsort(-shares)}


def draw_importance(file: Path, runs: Sequence[Run], keys: Sequence[str]) -> None:
    """A bar a setting."""
    shares = importance(runs, keys)
    with plot(file, size=(6, 0.9 + 0.35 * len(shares))) as axes:
        axes.barh([short(key) for key in shares], list(shares.values()), color=COLOURS[0])
        axes.invert_yaxis()
        axes.set(
            xlim=(0, 1),
            xlabel=f"share, from {len(runs)} runs",
            title=f"What matters for {runs[0].monitor}",
        )


def draw_curves(file: Path, runs: Sequence[Run]) -> None:
    """The validation loss on the left, the metric that runs are evaluated by on the right; the best
    ten are named.
    """
    keys = varied(runs)
    monitor = next((run.monitor for run in runs if run.monitor), "val/loss")
    with plot(file, size=(12, 3.8), ncols=2) as panels:
        for axes, metric in zip(panels, ("val/loss", monitor), strict=True):
            for place, run in enumerate(ranked(runs)):
                if points := curve(run.folder, metric):
                    label = ", ".join(
                        [
                            run.name,
                            *(cell(run.changes[key]) for key in keys if run.changes.get(key)),
                        ]
                    )
                    named = (
                        {"label": short(label, 44), "color": COLOURS[place]}
                        if place < len(COLOURS)
                        else {}
                    )
                    axes.plot(
                        *zip(*points, strict=True),
                        marker=".",
                        **({"color": "#cccccc", "zorder": 0} | named),
                    )
            axes.set(title=metric, xlabel="optimizer step")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        if panels[1].lines:
            panels[1].legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
