"""Retrieval galleries: queries with their nearest items in another modality, and the worst ones."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from polymodal.metrics.ranking import positive_ranks
from polymodal.metrics.retrieval import Table, distinct_items
from polymodal.report.media import Contents
from polymodal.report.style import plot

LONGEST = 140
"""Characters of a sentence that are shown."""

RIGHT, WRONG = "#3ca951", "#ff725c"


class Found(NamedTuple):
    """An item that was found: its number, cosine with the query, and whether it is right."""

    item: int
    cosine: float
    is_right: bool


class Query(NamedTuple):
    """A query with what it finds.

    Attributes:
        item: that asks.
        right: an item that is right.
        rank: of the best right item, from 1.
        found: the nearest items, the nearest first.
    """

    item: int
    right: Found
    rank: int
    found: list[Found]


def spread_queries(table: Table, source: int, target: int, count: int, top: int = 5) -> list[Query]:
    """So many queries, spread evenly over those samples of a split that have both modalities.

    Args:
        table: embeddings of a split.
        source: row of X that asks.
        target: row of X that is searched.
        count: how many.
        top: how many answers.
    """
    both = table["mask"][:, source] & table["mask"][:, target]
    asking = _first_rows(table, source, both)
    if len(asking) == 0:
        return []
    chosen = asking[torch.linspace(0, len(asking) - 1, min(count, len(asking))).long().unique()]
    return _queries(table, source, target, chosen, top)


def worst_queries(table: Table, source: int, target: int, count: int, top: int = 4) -> list[Query]:
    """The queries whose best right item comes last, the worst first; none that found a right one at
    once.

    Of more than `SEARCHED` queries, so many are looked at, spread evenly over the split.
    """
    asking = _first_rows(table, source, table["mask"][:, source] & table["mask"][:, target])
    if len(asking) == 0:
        return []
    asking = asking[torch.linspace(0, len(asking) - 1, min(SEARCHED, len(asking))).long().unique()]
    ranks = _ranks(table, source, target, table["items"][asking, source])
    order = ranks.argsort(descending=True, stable=True)[:count]
    return _queries(table, source, target, asking[order[ranks[order] > 1]], top)


def sizes(table: Table, source: int, target: int) -> tuple[int, int]:
    """How many queries have a right answer, and how many items there are to find."""
    queries, gallery = distinct_items(table, source), distinct_items(table, target)
    answered = torch.isin(queries.group, gallery.group)
    count = int(answered.sum()) if queries.of is None else len(queries.of[answered].unique())
    return count, len(gallery.x)


SEARCHED = 2000
"""Queries at most among which the worst are looked for."""


def _ranks(table: Table, source: int, target: int, items: torch.Tensor) -> torch.Tensor:
    """(n,) different items that have a right answer -> (n,) the rank of its best one."""
    queries, gallery = distinct_items(table, source), distinct_items(table, target)
    # the distinct items are in ascending order
    places = torch.searchsorted(table["items"][table["mask"][:, source], source].unique(), items)
    chosen, order = places.sort()
    group, of = queries.group[chosen], None
    if queries.of is not None:
        kept = torch.isin(queries.of, chosen)
        group, of = queries.group[kept], torch.searchsorted(chosen, queries.of[kept])
    ranks = positive_ranks(queries.x[chosen], gallery.x, group, gallery.group, of, gallery.of)
    return torch.empty_like(ranks).scatter(0, order, ranks)


def _queries(table: Table, source: int, target: int, rows: torch.Tensor, top: int) -> list[Query]:
    searched = _first_rows(table, target, table["mask"][:, target])
    gallery = table["items"][searched, target]
    queries = []
    for row in rows.tolist():
        scores = table["x"][searched, target] @ table["x"][row, source]
        right = _right_items(table, row, source, target)
        is_right = torch.isin(gallery, torch.tensor(sorted(right), device=gallery.device))
        best = scores.masked_fill(~is_right, -torch.inf).max()
        rank = 1 + int(((scores >= best) & ~is_right).sum())
        values, order = scores.topk(min(top, len(searched)))
        columns = (gallery[order].tolist(), values.tolist(), is_right[order].tolist())
        found = [Found(*one) for one in zip(*columns, strict=True)]
        own = int(table["items"][row, target])
        own_cosine = float(table["x"][row, target] @ table["x"][row, source])
        queries.append(
            Query(int(table["items"][row, source]), Found(own, own_cosine, True), rank, found)
        )
    return queries


def draw_gallery(
    file: Path,
    queries: Sequence[Query],
    source: str,
    target: str,
    describe: Callable[[str, int], Any],
    top: int = 5,
) -> None:
    """Rows of a query, a right item, and the nearest items with their cosine; green = right.

    Nothing is drawn where there is no query, or where one of the modalities cannot be shown.

    Args:
        file: PNG to write.
        queries: with what they find.
        source: modality that asks.
        target: modality that is searched.
        describe: (modality, item) -> a sentence or an image; None if there is nothing to see.
        top: columns of answers.
    """
    if (
        not queries
        or describe(source, queries[0].item) is None
        or describe(target, queries[0].right.item) is None
    ):
        return
    size = (2.1 * (top + 2), 1.5 * len(queries))
    with plot(file, size=size, nrows=len(queries), ncols=top + 2, squeeze=False) as axes:
        for line, query in zip(axes, queries, strict=True):
            show_content(line[0], describe(source, query.item), "query")
            show_content(line[1], describe(target, query.right.item), "true", RIGHT)
            for axis, found in zip(line[2:], query.found, strict=False):
                colour = RIGHT if found.is_right else WRONG
                show_content(axis, describe(target, found.item), f"{found.cosine:.2f}", colour)
            for axis in line[2 + len(query.found) :]:
                axis.axis("off")


def gallery_panel(
    title: str, queries: Sequence[Query], source: str, target: str, contents: Contents
) -> dict[str, Any]:
    """The same for the page; empty where there is nothing to show.

    Args:
        title: of the panel.
        queries: with what they find.
        source: modality that asks.
        target: modality that is searched.
        contents: what is seen of items.
    """
    if (
        not queries
        or not contents.cell(source, queries[0].item)
        or not contents.cell(target, queries[0].right.item)
    ):
        return {}
    rows = [
        {
            "query": contents.cell(source, query.item),
            "rank": query.rank,
            "right": contents.cell(target, query.right.item) | {"cosine": query.right.cosine},
            "found": [
                contents.cell(target, found.item)
                | {"cosine": found.cosine, "is_right": found.is_right}
                for found in query.found
            ],
        }
        for query in queries
    ]
    return {"kind": "gallery", "title": title, "rows": rows}


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
    """Puts a sentence or an image into axes, in a frame of this colour."""
    axis.set_title(title, color=colour, fontsize=9)
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=1.5)
    if isinstance(content, str):
        text = textwrap.fill(
            content if len(content) <= LONGEST else f"{content[: LONGEST - 1]}…", 18
        )
        place = {"ha": "center", "va": "center", "transform": axis.transAxes, "in_layout": False}
        axis.text(0.5, 0.5, text, fontsize=7.5, parse_math=False, **place)  # "$" is a dollar
    elif content is not None:
        axis.imshow(content, cmap="gray", vmin=0, vmax=255)
