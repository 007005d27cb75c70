"""Predicted against true values, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import torch
from matplotlib.ticker import EngFormatter
from torch import Tensor

from polymodal.formatting import readable
from polymodal.metrics.regression import regression_metrics
from polymodal.report.style import COLOURS, plot, short

PANELS = 6
"""Outputs in one image at most: the first ones."""
COLUMNS = 3
"""Panels side by side."""

TITLE_WIDTH = 38
"""Letters of a line above a panel."""
MANY = 1e5
"""From here on the numbers of an axis are written 100k, 25M."""

TITLE = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}
"""Metrics above a panel."""


def draw_scatter(
    file: Path, y: Tensor, target: Tensor, names: Sequence[str], samples: int = 5000
) -> None:
    """A panel an output, with the diagonal that a perfect model would lie on.

    Args:
        file: PNG to write.
        y: (N, p) predictions, in the units of the labels.
        target: (N, p), NaN where it is not known.
        names: of the p outputs.
        samples: points of a panel at most, spread evenly over the split; the metrics in the titles
            are of all.
    """

    def draw(axes: Any, k: int) -> None:
        points, truth = _known(y[:, k], target[:, k], samples)
        low, high = float(truth.min()), float(truth.max())
        axes.plot([low, high], [low, high], color="#999999", linestyle="--", linewidth=1)
        axes.scatter(truth, points, s=8, alpha=_alpha(len(truth)), color=COLOURS[0], linewidths=0)
        name = short(names[k])
        axes.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        metrics = regression_metrics(y[:, [k]], target[:, [k]])
        # a line is broken between two metrics alone
        metrics_of = [
            f"{label}\N{NO-BREAK SPACE}{readable(float(metrics[key]))}"
            for key, label in TITLE.items()
            if key in metrics
        ]
        axes.set_title("\n".join([name, *wrap(", ".join(metrics_of), TITLE_WIDTH)]))

    _panels(file, target, draw)


def draw_residuals(
    file: Path, y: Tensor, target: Tensor, names: Sequence[str], samples: int = 5000
) -> None:
    """A panel an output: predicted minus true value, against the prediction. Arguments as for
    `draw_scatter`.
    """

    def draw(axes: Any, k: int) -> None:
        points, truth = _known(y[:, k], target[:, k], samples)
        residuals = points - truth
        axes.axhline(0, color="#999999", linestyle="--", linewidth=1)
        axes.scatter(
            points, residuals, s=8, alpha=_alpha(len(truth)), color=COLOURS[2], linewidths=0
        )
        name = short(names[k])
        axes.set(xlabel=f"predicted {name}", ylabel="predicted - true")
        known = ~target[:, k].isnan()
        everything = (y[known, k] - target[known, k]).double()
        mean, deviation = float(everything.mean()), float(everything.std(correction=0))
        axes.set_title(f"{name}\nmean {readable(mean)}, deviation {readable(deviation)}")

    _panels(file, target, draw)


def _panels(file: Path, target: Tensor, draw: Any) -> None:
    """Has a panel drawn of each output of which anything is known."""
    known = [k for k in range(target.shape[1]) if not target[:, k].isnan().all()][:PANELS]
    if not known:
        return
    columns = min(COLUMNS, len(known))
    rows = -(-len(known) // columns)
    with plot(
        file, size=(3.9 * columns, 3.7 * rows), nrows=rows, ncols=columns, squeeze=False
    ) as grid:
        for axes in grid.flat[len(known) :]:
            axes.set_visible(False)
        for axes, k in zip(grid.flat, known, strict=False):
            draw(axes, k)
            axes.grid(alpha=0.3)
            for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
                if max(map(abs, limits)) >= MANY:
                    axis.set_major_formatter(EngFormatter(sep=""))


def _known(y: Tensor, target: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Predictions and true values of one output, at most so many."""
    known = (~target.isnan()).nonzero().squeeze(1)
    chosen = known[torch.linspace(0, len(known) - 1, min(samples, len(known))).long()]
    return y[chosen], target[chosen]


def _alpha(count: int) -> float:
    return max(0.15, min(0.8, 150 / count))
