"""Plots of aligned modalities: retrieval galleries, worst misses, and a map of the embeddings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from polymodal.report.embedding_map import draw_map, map_of, map_panel
from polymodal.report.gallery import draw_gallery, gallery_panel, spread_queries, worst_queries
from polymodal.report.media import Contents
from polymodal.report.unharmed import draw, unharmed, write_panel

log = logging.getLogger(__name__)

GALLERIES = 3
"""Modalities besides the first one that have galleries: each takes seconds to draw, and a row of
the page."""

COMPARED = 1 + GALLERIES
"""Modalities of which all directions are in the report."""


def draw_alignment(
    folder: Path,
    table: dict[str, Tensor],
    modalities: list[str],
    classes: Mapping[int, str],
    queries: int,
    contents: Contents,
) -> None:
    """Galleries of the first modality with the next ones, both ways, and the map.

    Args:
        folder: where the files go.
        table: embeddings of a split.
        modalities: names of the rows of X.
        classes: id of a sample -> its class, for the colours of the map.
        queries: rows of a gallery.
        contents: what items show.
    """
    others = range(1, min(len(modalities), COMPARED))
    left_out = len(modalities) - 1 - len(others)
    if left_out:
        log.info(
            "report: no galleries of %s further modalities, such as %s.", left_out, modalities[-1]
        )
    for other in others:
        for source, target in ((0, other), (other, 0)):
            _draw_direction(folder, table, modalities, source, target, queries, contents)
    with unharmed(folder / "embedding_map"):
        drawn = map_of(table, modalities, classes)
        if drawn is not None:
            draw(folder / "embedding_map.png", draw_map, drawn)
            with unharmed(folder / "embedding_map.json"):
                write_panel(folder / "embedding_map.json", map_panel(drawn, table, contents))


def _draw_direction(
    folder: Path,
    table: dict[str, Tensor],
    modalities: list[str],
    source: int,
    target: int,
    count: int,
    contents: Contents,
) -> None:
    """The gallery of one direction as a plot and for the page, and its worst misses."""
    ends = modalities[source], modalities[target]
    name = "_to_".join(ends)
    with unharmed(folder / name):
        queries = spread_queries(table, source, target, count)
        missed = worst_queries(table, source, target, count)
        draw(folder / f"{name}.png", draw_gallery, queries, *ends, contents.describe)
        title = " to ".join(ends)
        for file, heading, found in (
            (f"{name}.json", title.capitalize(), queries),
            (f"{name}_misses.json", f"Worst misses: {title}", missed),
        ):
            with unharmed(folder / file):
                write_panel(folder / file, gallery_panel(heading, found, *ends, contents))
