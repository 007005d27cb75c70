"""Logits of Symile: multilinear inner products of one anchor with tuples of all other
modalities.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shifted_logits(
    anchors: Tensor, others: Tensor, place: Tensor, positives: Tensor
) -> tuple[Tensor, Tensor]:
    """As many tuples as samples ("n" in Saporta et al. 2024): tuple j takes modality p of sample j
    - p.

    The paper draws a random order for each modality. Shifts do as well where batches are shuffled,
    are the same in every process and in every evaluation, and never bring a sample together with
    itself by accident.

    Args:
        anchors: (B, d), this process' rows of the anchor modality.
        others: (N, m - 1, d), all rows of the other modalities.
        place: (B,) int64, where the B samples stand among the N.
        positives: (B, N) bool, which samples are positives of each other.

    Returns:
        (B, N) inner products, the own tuple at `place`, and (B, N) bool, which tuples are made of
        positives alone.
    """
    moved = [others[:, p].roll(p, 0) for p in range(others.shape[1])]
    right = [positives.roll(p, 1) for p in range(others.shape[1])]
    own = place[:, None] == torch.arange(len(others), device=place.device)
    product = anchors @ torch.stack(moved).prod(0).T
    truth = (anchors * others[place].prod(1)).sum(1, keepdim=True)
    return torch.where(own, truth, product), torch.stack(right).all(0) | own


def all_logits(anchors: Tensor, others: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Every combination of the others' rows ("n_squared" in Saporta et al. 2024): B N^(m-1) of them
    are held.

    Args:
        anchors: (B, d), this process' rows of the anchor modality.
        others: (N, m - 1, d), all rows of the other modalities.
        positives: (B, N) bool, which samples are positives of each other.

    Returns:
        (B, N^(m-1)) inner products, and bool of that shape, which combinations are made of
        positives alone.
    """
    *first, last = others.unbind(1)
    product, right = anchors[:, None], torch.ones_like(positives[:, :1])
    for rows in first:
        product = (product[:, :, None] * rows).flatten(1, 2)
        right = (right[:, :, None] & positives[:, None]).flatten(1, 2)
    return (product @ last.T).flatten(1), (right[:, :, None] & positives[:, None]).flatten(1)
