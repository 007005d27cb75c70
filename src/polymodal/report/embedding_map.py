"""A map of the embedding space in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.manifold import TSNE

from polymodal.metrics.retrieval import Table
from polymodal.report.style import COLOURS, picture, short

PANELS = 8
"""Modalities of a map at most: one for each would make a picture of metres."""


def draw_map(
    file: Path, table: Table, modalities: Sequence[str], classes: Mapping[int, str], points: int = 1200
) -> None:
    """t-SNE (van der Maaten & Hinton 2008) of the embeddings of all modalities in one space, a panel a modality.

    The panels have the same axes, and each shows the others in grey: modalities that are well aligned lie upon each
    other. Of more than `PANELS` modalities the first ones are shown.

    Args:
        file: PNG to write.
        table: embeddings of a split.
        modalities: names of the rows of X.
        classes: sample id -> class name; the most frequent ones get a colour.
        points: at most so many in all, spread evenly over the split.
    """
    modalities = modalities[:PANELS]
    chosen = [_spread(table["mask"][:, i], points // len(modalities)) for i in range(len(modalities))]
    count = sum(len(rows) for rows in chosen)
    if count < 5:
        return  # nothing that a map could show
    x = torch.cat([table["x"][rows, i] for i, rows in enumerate(chosen)]).cpu().numpy()
    places = places_of(x)
    names = [[classes.get(id, "") for id in table["id"][rows].tolist()] for rows in chosen]
    counted = Counter(name for own in names for name in own if name).most_common(len(COLOURS) - 1)
    colours = {name: COLOURS[index] for index, (name, _) in enumerate(counted)}
    ends = np.cumsum([0] + [len(rows) for rows in chosen])
    size = (4.6 * len(modalities) + 1.8, 4.9)
    with picture(file, size=size, ncols=len(modalities), squeeze=False, sharex=True, sharey=True) as grid:
        for i, axes in enumerate(grid[0]):
            axes.scatter(places[:, 0], places[:, 1], s=6, color="#ececec", linewidths=0)
            _draw_classes(axes, places[ends[i] : ends[i + 1]], names[i], colours)
            axes.spines[:].set_visible(False)
            axes.set(xticks=[], yticks=[], title=f"{len(chosen[i])} held-out {modalities[i]} embeddings (t-SNE)")
        if colours:
            marks = [axes.scatter([], [], s=30, color=colour) for colour in (*colours.values(), OTHER)]
            names_shown = [*(short(name) for name in colours), "other"]
            axes.figure.legend(marks, names_shown, frameon=False, fontsize=8, loc="outside right center")


def places_of(x: np.ndarray) -> np.ndarray:
    """(N, d) vectors, five at least, -> (N, 2) places by t-SNE, the same every time."""
    return TSNE(perplexity=min(30, len(x) // 4), init="pca", random_state=0).fit_transform(x)


OTHER = "#b0b0b0"


def _spread(present: torch.Tensor, count: int) -> torch.Tensor:
    """Rows where `present`, at most `count` of them."""
    rows = present.nonzero().squeeze(1)
    return rows[torch.linspace(0, len(rows) - 1, min(count, len(rows)), device=rows.device).long().unique()]


def _draw_classes(axes: Any, places: np.ndarray, names: Sequence[str], colours: Mapping[str, str]) -> None:
    shown = np.array([colours.get(name, OTHER) for name in names])
    frequent = shown != OTHER
    for part in (~frequent, frequent):  # what has a colour lies above what has none
        axes.scatter(places[part, 0], places[part, 1], s=9, c=shown[part], linewidths=0)
