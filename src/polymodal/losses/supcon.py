"""Supervised contrastive loss over the rows of all modalities together."""

from __future__ import annotations

import torch
from torch import Tensor

from polymodal.losses.groups import numbered
from polymodal.losses.info_nce import info_nce


def supcon(x: Tensor, group: Tensor, own: Tensor, scale: Tensor) -> Tensor:
    """Every row against all others, averaged over its positives outside of the logarithm (Khosla et
    al. 2020).

    Args:
        x: (R, d), normalised; R rows of any modality.
        group: (R,) int64. Equal group = positive; a row is no positive of itself and does not stand
            among its keys.
        own: (B,) int64, which rows are anchors that this process answers for.
        scale: scalar, the inverse temperature.

    Returns:
        the sum over own anchors divided by the number of all anchors; those without a positive do
        not count.
    """
    counts = numbered(group)[1]
    lonely = counts[own] == 1
    itself = own[:, None] == torch.arange(len(x), device=x.device)
    logits = ((scale * x[own]) @ x.T).masked_fill(itself, torch.finfo(x.dtype).min / 2)
    positives = (group[own][:, None] == group) & ~itself
    # with no positive they would be NaN, and so gradients
    losses = info_nce(logits, positives | lonely[:, None])
    return losses.masked_fill(lonely, 0).sum() / (counts > 1).sum().clamp(min=1)
