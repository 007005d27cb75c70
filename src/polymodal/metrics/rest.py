"""Retrieval of one modality by all others together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polymodal.metrics.retrieval import Table, direction_figures


def rest_figures(table: Table, rest: Tensor, there: Tensor, modalities: Sequence[str]) -> dict[str, Tensor]:
    """`rest_to_text/recall@1` and so on: the gallery is a modality, each sample asks with its other modalities.

    Right is an item of the sample's group, and the sample's own item, which may be that of samples of other groups too.

    Args:
        table: the N evaluated samples.
        rest: (N, m, d), what stands for all modalities but k, scored by dot product.
        there: (N, m) bool, which of them can ask.
        modalities: the m names.
    """
    asking = {"x": rest, "mask": there, "items": table["id"][:, None].expand_as(table["items"])}
    both = {**table, **{name: torch.cat([table[name], rows], dim=1) for name, rows in asking.items()}}
    figures = {}
    for k, name in enumerate(modalities):
        group = joined(table["group"], table["items"][:, k], table["mask"][:, k])
        for key, value in direction_figures(both | {"group": group}, len(modalities) + k, k):
            figures[f"rest_to_{name}/{key}"] = value
    return figures


def joined(group: Tensor, items: Tensor, mask: Tensor) -> Tensor:
    """(N,) groups, those joined that have an item in common: the least number of what hangs together.

    Args:
        group: (N,) int64.
        items: (N,) int64, the items of one modality.
        mask: (N,) bool, which samples have it.
    """
    names, group = group.unique(return_inverse=True)
    item = items[mask].unique(return_inverse=True)[1]
    least = torch.arange(len(names), device=group.device)
    while True:
        of_item = least.new_full((len(item),), len(names)).scatter_reduce(0, item, least[group[mask]], "amin")
        smaller = least.scatter_reduce(0, group[mask], of_item[item], "amin")
        if torch.equal(smaller, least):
            return least[group]
        least = smaller
