"""Retrieval of one modality by all others together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polymodal.metrics.retrieval import Table, direction_metrics


def rest_metrics(
    table: Table, rest: Tensor, there: Tensor, modalities: Sequence[str]
) -> dict[str, Tensor]:
    """`rest_to_text/recall@1` and so on: the gallery is a modality, each sample asks with its other
    modalities.

    Right is an item of the sample's group, and the sample's own item, which may be that of samples
    of other groups too.

    Args:
        table: the N evaluated samples.
        rest: (N, m, d), what stands for all modalities but k, scored by dot product.
        there: (N, m) bool, which of them can ask.
        modalities: the m names.
    """
    asking = {"x": rest, "mask": there, "items": table["id"][:, None].expand_as(table["items"])}
    both = {
        **table,
        **{name: torch.cat([table[name], rows], dim=1) for name, rows in asking.items()},
    }
    metrics = {}
    for k, name in enumerate(modalities):
        for key, value in direction_metrics(both, len(modalities) + k, k):
            metrics[f"rest_to_{name}/{key}"] = value
    return metrics
