"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from polymodal.metrics.confusion import accuracy, macro_recall
from polymodal.report.style import plot, short

LEGIBLE = 60
"""With more classes than this the names are left out: they would not be read, and the plot stays
of one size."""


def draw_confusion(file: Path, confusion: Tensor, names: Sequence[str], what: str) -> None:
    """Rows are the true classes and add up to 1; classes that do not occur are left out as rows.

    Args:
        file: PNG to write.
        confusion: (K, K) counts, rows = true class.
        names: of the K classes.
        what: was classified: the start of the title.
    """
    support = confusion.sum(1)
    occurring = support > 0
    shares = (confusion[occurring] / support[occurring, None]).numpy()
    columns = [short(name) for name in names]
    counts = support.int().tolist()
    rows = [f"{columns[k]} ({counts[k]})" for k in occurring.nonzero().flatten().tolist()]
    # names of many classes cannot be read, and would make the plot too large
    legible = len(names) <= LEGIBLE
    width, height = (3.6 + 0.3 * len(labels) if legible else 9.0 for labels in (columns, rows))
    with plot(file, size=(width + 1.5, height)) as axes:
        image = axes.imshow(
            shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest"
        )
        axes.figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true class")
        axes.set(xticks=[], yticks=[], xlabel="predicted", ylabel="true (samples)")
        if legible:
            axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
            axes.set_yticks(range(len(rows)), rows, fontsize=8)
        if len(names) <= 12:  # with few classes there is room for the metrics themselves
            for row, column in zip(*shares.nonzero(), strict=True):
                share = shares[row, column]
                colour = "white" if share > 0.6 else "#333333"
                axes.text(
                    column, row, f"{share:.2f}", ha="center", va="center", fontsize=8, color=colour
                )
        axes.set_title(
            f"{what}: accuracy {accuracy(confusion):.3f}, macro recall "
            f"{macro_recall(confusion):.3f}"
        )
