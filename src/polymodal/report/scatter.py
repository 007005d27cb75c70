"""Predicted against true values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymodal.metrics.regression import regression_figures
from polymodal.report.style import COLOURS, picture, short

PANELS = 6
"""Outputs in one picture at most: the first ones."""


def draw_scatter(file: Path, y: Tensor, target: Tensor, names: Sequence[str], samples: int = 5000) -> None:
    """A panel an output, with the diagonal that a perfect model would lie on.

    Args:
        file: PNG to write.
        y: (N, p) predictions.
        target: (N, p), NaN where it is not known.
        names: of the p outputs.
        samples: points of a panel at most, spread evenly over the split; the figures in the titles are of all.
    """
    panels = [k for k in range(y.shape[1]) if not target[:, k].isnan().all()][:PANELS]
    if not panels:
        return
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with picture(file, size=(3.9 * columns, 3.7 * rows), nrows=rows, ncols=columns, squeeze=False) as grid:
        for axes in grid.flat:
            axes.set_visible(False)
        for axes, k in zip(grid.flat, panels, strict=False):
            axes.set_visible(True)
            _draw_panel(axes, y[:, k], target[:, k], samples)
            figures = regression_figures(y[:, [k]], target[:, [k]])
            shown = [f"{label} {figures[key]:.3g}" for key, label in TITLE.items() if key in figures]
            axes.set_title(f"{short(names[k])}\n{', '.join(shown)}")


TITLE = {"mae": "MAE", "r2": "R²", "pearson": "r"}
"""Figures above a panel."""


def _draw_panel(axes: Any, y: Tensor, target: Tensor, samples: int) -> None:
    known = (~target.isnan()).nonzero().squeeze(1)
    chosen = known[torch.linspace(0, len(known) - 1, min(samples, len(known))).long()]
    y, target = y[chosen], target[chosen]
    low, high = float(target.min()), float(target.max())
    axes.plot([low, high], [low, high], color="#999999", linestyle="--", linewidth=1)
    axes.scatter(target, y, s=8, alpha=max(0.15, min(0.8, 150 / len(y))), color=COLOURS[0], linewidths=0)
    axes.set(xlabel="true", ylabel="predicted")
    axes.grid(alpha=0.3)
