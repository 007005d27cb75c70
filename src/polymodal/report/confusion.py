"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from polymodal.metrics.recall import accuracy, macro_recall
from polymodal.report.style import picture


def draw_confusion(file: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """Rows are the true classes and add up to 1; classes that do not occur are left out as rows.

    Args:
        file: PNG to write.
        confusion: (K, K) counts, rows = true class.
        names: of the K classes.
    """
    occurring = confusion.sum(1) > 0
    shares = confusion[occurring] / confusion[occurring].sum(1, keepdim=True)
    labels = [f"{name} ({int(n)})" for name, n in zip(names, confusion.sum(1), strict=True) if n > 0]
    side = 1.5 + 0.32 * len(names)
    with picture(file, size=(side + 1.5, side)) as axes:
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.figure.colorbar(image, ax=axes, shrink=0.6, label="share of the true class")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set(xlabel="predicted", ylabel="true (samples)")
        axes.set_title(f"Zero-shot: accuracy {accuracy(confusion):.3f}, macro recall {macro_recall(confusion):.3f}")
