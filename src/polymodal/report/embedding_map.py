"""A map of the embedding space in two dimensions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from sklearn.manifold import TSNE

from polymodal.metrics.retrieval import Table
from polymodal.report.style import COLOURS, picture


def draw_map(
    file: Path, table: Table, modalities: Sequence[str], classes: Mapping[int, str], samples: int = 1000
) -> None:
    """t-SNE (van der Maaten & Hinton 2008) of the first modality's embeddings, coloured by class.

    Args:
        file: PNG to write.
        table: embeddings of a split.
        modalities: names of the rows of X.
        classes: sample id -> class name; the most frequent ones get a colour.
        samples: at most so many points, spread evenly over the split.
    """
    rows = table["mask"][:, 0].nonzero().squeeze(1)
    rows = rows[torch.linspace(0, len(rows) - 1, min(samples, len(rows)), device=rows.device).long().unique()]
    if len(rows) < 5:
        return  # nothing that a map could show
    x = table["x"][rows, 0].cpu().numpy()
    places = TSNE(perplexity=min(30, len(rows) // 4), init="pca", random_state=0).fit_transform(x)
    names = [classes.get(id, "other") for id in table["id"][rows].tolist()]
    frequent = [name for name, _ in Counter(name for name in names if name != "other").most_common(len(COLOURS) - 1)]
    colour = {name: COLOURS[index] for index, name in enumerate(frequent)}
    with picture(file, size=(9, 6.5)) as axes:
        for name in [None, *frequent]:
            chosen = [index for index, own in enumerate(names) if (own if own in colour else None) == name]
            points = places[chosen]
            axes.scatter(
                points[:, 0], points[:, 1], s=9, color=colour.get(name or "", "#cccccc"), label=name or "other"
            )
        axes.spines[:].set_visible(False)
        axes.set(xticks=[], yticks=[], title=f"{len(rows)} held-out {modalities[0]} embeddings (t-SNE)")
        if frequent:
            axes.legend(frameon=False, fontsize=8, markerscale=2, loc="center left", bbox_to_anchor=(1, 0.5))
