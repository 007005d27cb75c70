"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sigmoid_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """Every pair is a yes-or-no question of its own: -sum_j log sigmoid(y_ij L_ij) (Zhai et al.
    2023).

    Args:
        logits: (B, N), similarity times inverse temperature, plus bias.
        positives: (B, N) bool.

    Returns:
        (B,) losses, summed over the keys.
    """
    return -F.logsigmoid(logits.where(positives, -logits)).sum(1)
