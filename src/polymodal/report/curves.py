"""Loss and recall over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polymodal.report.style import picture


def draw_curves(file: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """The losses on the left, the validation's shares (recall, accuracy: 0 to 1) on the right.

    Args:
        file: PNG to write.
        rows: of metrics.csv; an empty cell is a figure that was not logged at that step.
    """
    names = list(rows[0]) if rows else []
    losses = [name for name in ("train/loss", "val/loss") if name in names]
    shares = [name for name in names if name.startswith("val/") and name.rpartition("/")[2] in SHARES]
    with picture(file, size=(9.5, 3.6), ncols=2) as (left, right):
        for axes, chosen, title in ((left, losses, "Loss"), (right, shares, "Validation")):
            for name in chosen:
                points = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
                axes.plot(*zip(*points, strict=True), label=name, marker="." if name.startswith("val") else None)
            axes.set(title=title, xlabel="optimizer step")
            axes.grid(alpha=0.3)
            if chosen:
                axes.legend(frameon=False, fontsize=8)
        right.set_ylim(0, 1)


SHARES = {"recall@1", "recall@5", "recall@10", "accuracy", "recall"}
"""Last parts of the keys that are shares of right answers."""
