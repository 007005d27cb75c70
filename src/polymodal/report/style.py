"""How all pictures look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler

matplotlib.use("Agg")  # no screen is needed
import matplotlib.pyplot as plt

COLOURS = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0"]


@contextmanager
def picture(file: Path, *, size: tuple[float, float], **grid: Any) -> Iterator[Any]:
    """`plt.subplots(**grid)` of `size` inches; what is drawn inside the block is saved to `file`."""
    style: Any = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(figsize=size, layout="constrained", **grid)
        try:
            yield axes
            figure.savefig(file, dpi=130)
        finally:
            plt.close(figure)


def short(name: str, length: int = 30) -> str:
    """A name that leaves room for the picture, without its middle; a sign that starts a formula stands for itself."""
    if len(name) > length:
        name = f"{name[: length // 2]}…{name[-(length // 2 - 1) :]}"
    return name.replace("$", r"\$")
