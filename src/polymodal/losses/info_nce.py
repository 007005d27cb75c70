"""InfoNCE with any number of positives a query, and its variants that treat the negatives
otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor


def info_nce(
    logits: Tensor,
    positives: Tensor,
    label_smoothing: float = 0.0,
    decoupled: bool = False,
    hard_beta: float = 0.0,
) -> Tensor:
    """Cross-entropy of each query over all keys, the target spread evenly over its positives.

    With one positive a query this is CLIP's loss of one direction (Radford et al. 2021); with
    several, the outer form of SupCon (Khosla et al. 2020).

    Args:
        logits: (B, N), similarity times inverse temperature.
        positives: (B, N) bool, at least one True a row.
        label_smoothing: share of the target that is spread over all keys (Szegedy et al. 2016).
        decoupled: the positives are left out of the denominator (DCL, Yeh et al. 2022); a query
            without negatives then has a loss of 0.
        hard_beta: how much more the harder negatives weigh (HN-NCE, Radenovic et al. 2023); 0: all
            weigh the same.

    Returns:
        (B,) losses, not averaged.
    """
    target = positives.to(logits.dtype) / positives.sum(1, keepdim=True)
    expected = (target * logits).sum(1)
    if label_smoothing:
        expected = (1 - label_smoothing) * expected + label_smoothing * logits.mean(1)
    if not decoupled and not hard_beta:
        return logits.logsumexp(1) - expected
    against, lonely = _negatives(logits, positives, hard_beta)
    if decoupled:
        return (against - expected).masked_fill(lonely, 0)
    agreeing = logits.masked_fill(~positives, lowest_logit(logits)).logsumexp(1)
    return torch.logaddexp(agreeing, against) - expected


def _negatives(logits: Tensor, positives: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Log of the negatives' weighted sum, (B,), and which queries have no negative, (B,) bool.

    The weights of the n negatives, n exp(beta l_j) / sum_k exp(beta l_k), have a mean of 1.
    Gradients pass them.
    """
    lonely = positives.all(1)
    negative = logits.masked_fill(positives, lowest_logit(logits))
    total = negative.logsumexp(1)
    if beta:
        count = (~positives).sum(1).clamp(min=1).to(logits.dtype)
        steep, weight = (
            (factor * logits).masked_fill(positives, lowest_logit(logits))
            for factor in (1 + beta, beta)
        )
        total = count.log() + steep.logsumexp(1) - weight.logsumexp(1)
    return total.masked_fill(lonely, lowest_logit(logits)), lonely


def lowest_logit(logits: Tensor) -> float:
    """A logit that weighs nothing; finite, so that nothing hangs on what inf - inf becomes in a
    gradient.
    """
    return torch.finfo(logits.dtype).min / 2
