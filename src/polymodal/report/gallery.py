"""What the model finds: queries with their nearest items in another modality."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymodal.metrics.retrieval import Table
from polymodal.report.style import picture

LONGEST = 140
"""Characters of a sentence that are shown."""

RIGHT, WRONG = "#3ca951", "#ff725c"


def draw_gallery(
    file: Path,
    table: Table,
    modalities: Sequence[str],
    source: int,
    target: int,
    describe: Callable[[str, int], Any],
    queries: int,
    top: int = 5,
) -> None:
    """Rows of a query, what is right, and the `top` nearest items with their cosine; green = right.

    Nothing is drawn where no sample has both modalities, or where one of them cannot be shown.

    Args:
        file: PNG to write.
        table: embeddings of a split.
        modalities: names of the rows of X.
        source: row of X that asks.
        target: row of X that is searched.
        describe: (modality, item) -> a sentence or a picture; None if there is nothing to see, as of sound.
        queries: how many, spread evenly over the split.
        top: how many answers.
    """
    both = table["mask"][:, source] & table["mask"][:, target]
    asking = _first_rows(table, source, both)
    searched = _first_rows(table, target, table["mask"][:, target])
    ends = [(modalities[i], int(table["items"][asking[0], i])) for i in (source, target)] if len(asking) else []
    if not ends or any(describe(*end) is None for end in ends):
        return
    asking = asking[torch.linspace(0, len(asking) - 1, min(queries, len(asking))).long()]
    scores = table["x"][asking, source] @ table["x"][searched, target].T
    values, order = scores.topk(min(top, len(searched)))
    size = (2.1 * (top + 2), 1.5 * len(asking))
    with picture(file, size=size, nrows=len(asking), ncols=top + 2, squeeze=False) as axes:
        for index, (line, row) in enumerate(zip(axes, asking.tolist(), strict=True)):
            right = _right_items(table, row, source, target)
            show_content(line[0], describe(modalities[source], int(table["items"][row, source])), "query")
            show_content(line[1], describe(modalities[target], int(table["items"][row, target])), "true", RIGHT)
            for axis, value, found in zip(line[2:], values[index], searched[order[index]], strict=False):
                item = int(table["items"][found, target])
                colour = RIGHT if item in right else WRONG
                show_content(axis, describe(modalities[target], item), f"{value:.2f}", colour)
            for axis in line[2 + len(order[index]) :]:
                axis.axis("off")


def _right_items(table: Table, row: int, source: int, target: int) -> set[int]:
    """Items of the target in a group of the item that a row asks with."""
    same = table["mask"][:, source] & (table["items"][:, source] == table["items"][row, source])
    of_group = torch.isin(table["group"], table["group"][same]) & table["mask"][:, target]
    return set(table["items"][of_group, target].tolist())


def _first_rows(table: Table, modality: int, allowed: torch.Tensor) -> torch.Tensor:
    """One of the `allowed` rows of the table for each item of a modality."""
    rows = allowed.nonzero().squeeze(1)
    _, first = np.unique(table["items"][rows, modality].cpu().numpy(), return_index=True)
    return rows[torch.from_numpy(np.sort(first)).to(rows.device)]


def show_content(axis: Any, content: Any, title: str, colour: str = "#333333") -> None:
    """Puts a sentence or a picture into axes, in a frame of this colour."""
    axis.set_title(title, color=colour, fontsize=9)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.5)
    if isinstance(content, str):
        text = textwrap.fill(content if len(content) <= LONGEST else f"{content[: LONGEST - 1]}…", 18)
        place = {"ha": "center", "va": "center", "transform": axis.transAxes, "in_layout": False}
        axis.text(0.5, 0.5, text, fontsize=7.5, parse_math=False, **place)  # "$" is a dollar
    else:
        axis.imshow(content, cmap="gray", vmin=0, vmax=255)
