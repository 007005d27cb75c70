"""A map of the embedding space in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.manifold import TSNE

from polymodal.metrics.retrieval import Table
from polymodal.report.media import Contents, Sound, spectrogram, uri_of
from polymodal.report.style import COLOURS, plot, short

PANELS = 8
"""Modalities of a map at most: one for each would make a plot of metres."""
OTHER = "#b0b0b0"
TILE = 48
"""Pixels of a thumbnail; all of them are in one image."""


class EmbeddingMap(NamedTuple):
    """Where embeddings of several modalities lie in one plane.

    Attributes:
        modalities: their names.
        rows: of each modality, (n,) rows of the table.
        places: of each modality, (n, 2).
        names: of each modality, n names of classes; "" where there is none.
        colours: class -> colour, of the most frequent ones.
    """

    modalities: Sequence[str]
    rows: list[torch.Tensor]
    places: list[np.ndarray]
    names: list[list[str]]
    colours: dict[str, str]


def map_of(
    table: Table, modalities: Sequence[str], classes: Mapping[int, str], points: int = 1200
) -> EmbeddingMap | None:
    """t-SNE (van der Maaten & Hinton 2008) of the embeddings of all modalities in one space; None
    of fewer than five.

    Of more than `PANELS` modalities the first ones are shown.

    Args:
        table: embeddings of a split.
        modalities: names of the rows of X.
        classes: sample id -> class name; the most frequent ones get a colour.
        points: at most so many in all, spread evenly over the split.
    """
    modalities = modalities[:PANELS]
    rows = [_spread(table["mask"][:, i], points // len(modalities)) for i in range(len(modalities))]
    counts = [len(chosen) for chosen in rows]
    if sum(counts) < 5:
        return None
    vectors = [table["x"][chosen, index] for index, chosen in enumerate(rows)]
    places = places_of(torch.cat(vectors).cpu().numpy())
    names = [[classes.get(id, "") for id in table["id"][chosen].tolist()] for chosen in rows]
    occurring = Counter(name for several in names for name in several if name)
    counted = occurring.most_common(len(COLOURS) - 1)
    colours = {name: COLOURS[index] for index, (name, _) in enumerate(counted)}
    return EmbeddingMap(modalities, rows, np.split(places, np.cumsum(counts)[:-1]), names, colours)


def draw_map(file: Path, drawn: EmbeddingMap) -> None:
    """A panel a modality, all with the same axes: aligned modalities overlap.

    Each panel shows the other modalities in grey.
    """
    size = (4.6 * len(drawn.modalities) + 1.8, 4.9)
    everything = np.concatenate(drawn.places)
    with plot(
        file, size=size, ncols=len(drawn.modalities), squeeze=False, sharex=True, sharey=True
    ) as grid:
        for axes, modality, places, names in zip(
            grid[0], drawn.modalities, drawn.places, drawn.names, strict=True
        ):
            axes.scatter(everything[:, 0], everything[:, 1], s=6, color="#ececec", linewidths=0)
            _draw_classes(axes, places, names, drawn.colours)
            axes.spines[:].set_visible(False)
            axes.set(
                xticks=[], yticks=[], title=f"{len(places)} held-out {modality} embeddings (t-SNE)"
            )
        if drawn.colours:
            marks = [
                axes.scatter([], [], s=30, color=colour)
                for colour in (*drawn.colours.values(), OTHER)
            ]
            names_shown = [*(short(name) for name in drawn.colours), "other"]
            axes.figure.legend(
                marks, names_shown, frameon=False, fontsize=8, loc="outside right center"
            )


def map_panel(drawn: EmbeddingMap, table: Table, contents: Contents) -> dict[str, Any]:
    """The same for the page: points with what each of them is, and one image of all thumbnails.

    A point is [x, y from 0 to 1, modality, class or -1, sample, thumbnail or -1, words].
    """
    everything = np.concatenate(drawn.places)
    low, width = everything.min(0), np.maximum(np.ptp(everything, axis=0), 1e-9)
    classes = list(drawn.colours)
    points: list[list[Any]] = []
    tiles: list[np.ndarray] = []
    for number, modality in enumerate(drawn.modalities):
        places = ((drawn.places[number] - low) / width).round(4).tolist()
        rows = drawn.rows[number]
        columns = (
            places,
            drawn.names[number],
            table["id"][rows].tolist(),
            table["items"][rows, number].tolist(),
        )
        for (x, y), name, sample, item in zip(*columns, strict=True):
            thumbnail = _thumbnail(contents, modality, item)
            words = contents.words(modality, item) if contents.is_quick else ""
            which = classes.index(name) if name in drawn.colours else -1
            points.append(
                [x, y, number, which, sample, -1 if thumbnail is None else len(tiles), words]
            )
            if thumbnail is not None:
                tiles.append(thumbnail)
    kinds = [contents.kinds.get(modality, modality) for modality in drawn.modalities]
    panel = {
        "kind": "map",
        "title": "Embedding map",
        "points": points,
        "tile": TILE,
        "columns": _side(len(tiles)),
    }
    panel |= {"modalities": list(drawn.modalities), "kinds": kinds, "other": OTHER}
    # pairs, and no mapping: a point has the place of its class among them
    panel["classes"] = [[name, colour] for name, colour in drawn.colours.items()]
    return panel | {"tiles": _sprite(tiles) if tiles else ""}


def _thumbnail(contents: Contents, modality: str, item: int) -> np.ndarray | None:
    """(TILE, TILE, 3) uint8 of an image, or of the spectrogram of a sound; None of anything
    else.
    """
    is_shown = contents.is_quick and contents.kinds.get(modality) in ("image", "audio")
    content = contents.content(modality, item) if is_shown else None
    if isinstance(content, Sound):
        content = spectrogram(content, TILE, TILE)
    if not isinstance(content, np.ndarray):
        return None
    image = Image.fromarray(np.ascontiguousarray(content)).convert("RGB")
    return np.asarray(image.resize((TILE, TILE), Image.Resampling.BILINEAR))


def _side(count: int) -> int:
    """Thumbnails in a row of the image that has all of them."""
    return max(1, int(np.ceil(np.sqrt(count))))


def _sprite(tiles: Sequence[np.ndarray]) -> str:
    """Thumbnails -> one image, row by row, as a data URI."""
    side = _side(len(tiles))
    whole = np.full((-(-len(tiles) // side) * TILE, side * TILE, 3), 255, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, side)
        whole[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = tile
    return uri_of(Image.fromarray(whole))


def places_of(x: np.ndarray) -> np.ndarray:
    """(N, d) vectors, five at least, -> (N, 2) places by t-SNE, the same every time."""
    return TSNE(perplexity=min(30, len(x) // 4), init="pca", random_state=0).fit_transform(x)


def _spread(present: torch.Tensor, count: int) -> torch.Tensor:
    """Rows where `present`, at most `count` of them."""
    rows = present.nonzero().squeeze(1)
    return rows[
        torch.linspace(0, len(rows) - 1, min(count, len(rows)), device=rows.device).long().unique()
    ]


def _draw_classes(
    axes: Any, places: np.ndarray, names: Sequence[str], colours: Mapping[str, str]
) -> None:
    shown = np.array([colours.get(name, OTHER) for name in names])
    frequent = shown != OTHER
    for part in (~frequent, frequent):  # what has a colour lies above what has none
        axes.scatter(places[part, 0], places[part, 1], s=9, c=shown[part], linewidths=0)
