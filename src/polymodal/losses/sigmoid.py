"""The pairwise sigmoid loss of SigLIP."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def sigmoid_loss(queries: Tensor, keys: Tensor, positives: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Every pair is a yes-or-no question of its own: -sum_j log sigmoid(y_ij L_ij) (Zhai et al. 2023).

    Args:
        queries: (B, d), normalised.
        keys: (N, d), normalised.
        positives: (B, N) bool.
        scale: scalar, the inverse temperature.
        bias: scalar, added to every logit.

    Returns:
        (B,) losses, summed over the keys.
    """
    logits = (scale * queries) @ keys.T + bias
    return -F.logsigmoid(logits.where(positives, -logits)).sum(1)
