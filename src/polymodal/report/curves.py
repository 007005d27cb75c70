"""Loss and validation metrics over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polymodal.report.style import COLOURS, plot


def draw_curves(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """The losses on the left, the validation's shares (recall, accuracy: 1 is perfect) on the
    right.

    Args:
        file: PNG to write.
        rows: of metrics.csv; an empty cell is a metric that was not logged at that step.
    """
    names = list(rows[0]) if rows else []
    losses = [name for name in ("train/loss", "val/loss") if name in names]
    shares = shown_shares(names)
    with plot(file, size=(12, 3.6), ncols=2, sharex=True) as (left, right):
        for axes, chosen, title in ((left, losses, "Loss"), (right, shares, "Validation")):
            for name in chosen:
                points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
                axes.plot(
                    *zip(*points, strict=True),
                    label=name,
                    marker="." if name.startswith("val") else None,
                )
            axes.set(title=title, xlabel="optimizer step")
            axes.grid(alpha=0.3)
        right.set_ylim(min(0, right.dataLim.y0), 1)  # a correlation may be negative
        if losses:
            left.legend(frameon=False, fontsize=8)
        if shares:
            right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


SHARES = [
    "recall@1",
    "accuracy",
    "recall",
    "f1",
    "auroc",
    "mean_average_precision",
    "pearson",
    "spearman",
]
SHARES += ["recall@5", "recall@10", "accuracy@5"]
"""Last parts of the keys that are shown, the most important first: with many modalities
there is no room for all."""


def shown_shares(names: Sequence[str]) -> list[str]:
    """As many shares of the validation as there are colours: those of the whole first, then those
    of its parts.
    """
    ranks = {}
    for name in names:
        metric = name.rpartition("/")[2]
        if name.startswith("val/") and metric in SHARES:
            ranks[name] = name.count("/"), SHARES.index(metric)
    return sorted(ranks, key=ranks.__getitem__)[: len(COLOURS)]
