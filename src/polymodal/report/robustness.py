"""Plots of what is left when modalities are missing or noisy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.report.style import COLOURS, plot, short


def draw_robustness(file: Path, grid: Mapping[tuple[float, float], float], metric: str) -> None:
    """A metric against the share of missing modalities, one line a noise level.

    Args:
        file: PNG to write.
        grid: (missing rate, noise level) -> metric.
        metric: its name.
    """
    with plot(file, size=(5.5, 3.6)) as axes:
        for noise in sorted({noise for _, noise in grid}):
            points = sorted(
                (missing, value) for (missing, level), value in grid.items() if level == noise
            )
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                label=f"noise {noise:g}" if noise else "no noise",
            )
        axes.set(
            xlabel="share of the modalities that is missing",
            ylabel=metric,
            title="Missing and noisy modalities",
        )
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def draw_subsets(
    file: Path,
    subsets: Mapping[frozenset[str], float],
    shapley: Mapping[str, float],
    metric: str,
    most: int = 24,
) -> None:
    """A metric of each subset of the modalities beside the contribution of each modality.

    Args:
        file: PNG to write.
        subsets: modalities that are kept -> metric.
        shapley: modality -> its Shapley value.
        metric: its name.
        most: subsets shown, or few more: all, none and each alone; of the others every second or
            third one.
    """
    telling = {subset for subset in subsets if len(subset) in (0, 1, len(shapley))}
    others = sorted(subsets.keys() - telling, key=lambda subset: subsets[subset])
    telling |= set(others[:: max(1, -(-len(others) // max(1, most - len(telling))))])
    ranked = sorted(((subset, subsets[subset]) for subset in telling), key=lambda item: item[1])
    order = list(shapley)
    names = [" + ".join(name for name in order if name in subset) or "none" for subset, _ in ranked]
    height = 1.2 + 0.22 * max(len(ranked), len(shapley))
    with plot(file, size=(9.5, height), ncols=2, width_ratios=[2, 1]) as (left, right):
        _bars(left, names, [value for _, value in ranked], COLOURS[0])
        left.set(xlabel=metric, title="With these modalities alone")
        _bars(right, order[::-1], [shapley[name] for name in order[::-1]], COLOURS[1])
        right.set(xlabel=f"part of {metric}", title="Contribution (Shapley)")


def _bars(axes: Any, names: Sequence[str], values: Sequence[float], colour: str) -> None:
    axes.barh(range(len(names)), values, color=colour)
    axes.set_yticks(range(len(names)), [short(name, 40) for name in names])
    for row, value in enumerate(values):
        axes.text(max(value, 0), row, f" {value:.3f}", va="center", fontsize=7)
    axes.margins(x=0.15)
