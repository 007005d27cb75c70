"""The look of all plots."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.figure import Figure

from polymodal.files import replacing

COLOURS = [
    "#4269d0",
    "#efb118",
    "#ff725c",
    "#6cc5b0",
    "#3ca951",
    "#ff8ab7",
    "#a463f2",
    "#97bbf5",
    "#9c6b4e",
    "#9498a0",
]


@contextmanager
def plot(file: Path, *, size: tuple[float, float], **grid: Any) -> Iterator[Any]:
    """`plt.subplots(**grid)` of `size` inches; what is drawn inside the block is saved to `file`,
    whole or not at all.

    Without pyplot, which needs a screen, or takes it from a notebook with its own figures.
    """
    style: Any = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
    }
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        yield figure.subplots(**grid)
        with replacing(file) as part:
            figure.savefig(part, dpi=130, format=file.suffix[1:] or "png")


def short(name: str, length: int = 30) -> str:
    """A name that leaves room for the plot, without its middle; "$" starts no formula."""
    if len(name) > length:
        name = f"{name[: length // 2]}…{name[-(length // 2 - 1) :]}"
    return name.replace("$", r"\$")
