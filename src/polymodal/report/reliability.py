"""Whether the confidence of a classifier can be believed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from polymodal.metrics.calibration import Reliability
from polymodal.report.style import COLOURS, plot


def draw_reliability(file: Path, bins: Reliability) -> None:
    """Accuracy against confidence, with the diagonal of a calibrated model; below, how often each
    confidence occurs.

    Args:
        file: PNG to write.
        bins: of a split.
    """
    samples, confidence, accuracy = (part.numpy() for part in bins)
    edges = np.linspace(0, 1, len(samples) + 1)
    used = samples > 0
    grid = {"nrows": 2, "sharex": True, "height_ratios": [3, 1]}
    with plot(file, size=(4.6, 5.4), **grid) as (upper, lower):
        upper.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1, label="calibrated")
        upper.plot(confidence[used], accuracy[used], marker="o", markersize=4, label="model")
        upper.vlines(confidence[used], confidence[used], accuracy[used], color=COLOURS[2], zorder=1)
        upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
        upper.set_title(f"Expected calibration error {bins.error:.3f}, {samples.sum()} samples")
        upper.legend(frameon=False, loc="upper left")
        upper.grid(alpha=0.3)
        lower.bar(
            edges[:-1],
            samples / samples.sum(),
            width=1 / len(samples),
            align="edge",
            edgecolor="white",
        )
        lower.set(xlabel="confidence", ylabel="share of samples")
