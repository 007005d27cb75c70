"""The mistakes of a model: the most confident ones, and the largest errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.media import Contents, shown

Columns = dict[str, Tensor]

SHOWN = 24
"""Mistakes of a page."""


class Mistake(NamedTuple):
    """A sample with a wrong prediction.

    Attributes:
        id: of the sample.
        facts: name -> value, such as the true class.
        probability: of the predicted output; None of values.
    """

    id: int
    facts: dict[str, str]
    probability: float | None


def wrong_classes(
    y: Tensor, target: Tensor, count: int = SHOWN
) -> list[tuple[int, int, int, float]]:
    """(N, p) logits and (N,) classes -> (row, true class, answer, its probability), the most
    probable first.
    """
    probability, answer = y.double().softmax(1).max(1)
    wrong = (answer != target).nonzero().squeeze(1)
    wrong = wrong[probability[wrong].argsort(descending=True, stable=True)[:count]]
    columns = (wrong, target[wrong], answer[wrong], probability[wrong])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def wrong_tags(y: Tensor, target: Tensor, count: int = SHOWN) -> list[tuple[int, int, int, float]]:
    """(N, p) logits and 0, 1 or -1 -> (row, tag, truth, probability of the tag), the furthest off
    first.
    """
    probability = y.double().sigmoid()
    off = (probability - target).abs().where(target >= 0, 0.0).flatten()
    # off by more than a half is what counts as wrong
    order = off.argsort(descending=True, stable=True)[:count]
    order = order[off[order] > 0.5]
    row, tag = order // y.shape[1], order % y.shape[1]
    columns = (row, tag, target[row, tag], probability[row, tag])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def far_values(
    y: Tensor, target: Tensor, count: int = SHOWN
) -> list[tuple[int, int, float, float]]:
    """(N, p), (N, p) values, NaN if unknown -> (row, output, true value, answer), the furthest off
    first.

    Outputs of several units are compared in standard deviations of their true values.
    """
    known = ~target.isnan()
    spread = torch.stack(
        [column[seen].std(correction=0) for column, seen in zip(target.T, known.T, strict=True)]
    )
    off = ((y - target).abs() / spread.nan_to_num(1).clamp(min=1e-12)).where(known, -1.0).flatten()
    order = off.argsort(descending=True, stable=True)[:count]
    order = order[off[order] > 0]
    row, output = order // y.shape[1], order % y.shape[1]
    columns = (row, output, target[row, output], y[row, output])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def mistakes_of(
    objective: Supervised, table: Columns, names: Sequence[str]
) -> tuple[str, list[Mistake]]:
    """A title, and the worst mistakes of a split.

    Args:
        objective: reads Y.
        table: its `id`, `y` and `target`.
        names: of the outputs.
    """
    ids, y, target = table["id"].tolist(), table["y"], table["target"]
    if isinstance(objective, Classification):
        title, found = "Most confident mistakes", wrong_classes(y, target)
        return title, [
            Mistake(ids[row], {"true": names[a], "predicted": names[b]}, p)
            for row, a, b, p in found
        ]
    if isinstance(objective, MultiLabel):
        words = ("no", "yes")
        return "Largest errors of tags", [
            Mistake(ids[row], {"tag": names[tag], "true": words[truth]}, p)
            for row, tag, truth, p in wrong_tags(y, target)
        ]
    if isinstance(objective, Regression):
        found_values = far_values(objective.in_units(y.double()), target)
        return "Largest errors", [
            Mistake(ids[row], {f"true {names[k]}": shown(truth), "predicted": shown(value)}, None)
            for row, k, truth, value in found_values
        ]
    return "", []


def mistakes_panel(
    title: str,
    facts: Sequence[Mistake],
    samples: Columns,
    modalities: Sequence[str],
    contents: Contents,
) -> dict[str, Any]:
    """For the page: each mistake with all modalities of its sample; empty where there is none.

    Args:
        title: of the panel.
        facts: of each mistake.
        samples: id (N,), items (N, m) and mask (N, m), sorted by id.
        modalities: names of the m columns.
        contents: what is seen of items.
    """
    rows = []
    for mistake in facts:
        row = int(torch.searchsorted(samples["id"], mistake.id))
        items, present = samples["items"][row].tolist(), samples["mask"][row].tolist()
        cells = []
        for name, item, has in zip(modalities, items, present, strict=True):
            if has:
                cells.append({"name": name, **contents.cell(name, item)})
        rows.append({"facts": mistake.facts, "probability": mistake.probability, "cells": cells})
    return {"kind": "mistakes", "title": title, "rows": rows} if rows else {}
