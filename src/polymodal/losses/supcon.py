"""Supervised contrastive loss over the rows of all modalities together."""

from __future__ import annotations

import torch
from torch import Tensor

from polymodal.losses.info_nce import info_nce


def supcon(x: Tensor, group: Tensor, own: Tensor, scale: Tensor) -> Tensor:
    """Every row against all others, averaged over its positives outside of the logarithm (Khosla et al. 2020).

    Args:
        x: (R, d), normalised; R rows of any modality.
        group: (R,) int64. Equal group = positive; a row is no positive of itself and does not stand among its keys.
        own: (R,) bool, the anchors that this process answers for.
        scale: scalar, the inverse temperature.

    Returns:
        the sum over own anchors divided by the number of all anchors; those without a positive do not count.
    """
    _, number, counts = group.unique(return_inverse=True, return_counts=True)
    anchor = counts[number] > 1
    place = (anchor & own).nonzero().squeeze(1)
    itself = place[:, None] == torch.arange(len(x), device=x.device)
    logits = ((scale * x[place]) @ x.T).masked_fill(itself, torch.finfo(x.dtype).min / 2)
    positives = (group[place][:, None] == group) & ~itself
    return info_nce(logits, positives).sum() / anchor.sum().clamp(min=1)
