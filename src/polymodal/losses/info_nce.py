"""InfoNCE with any number of positives a query."""

from __future__ import annotations

from torch import Tensor


def info_nce(queries: Tensor, keys: Tensor, positives: Tensor, scale: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of each query against all keys, the target spread evenly over its positives.

    With one positive a query this is CLIP's loss of one direction (Radford et al. 2021); with several, the
    outer form of SupCon (Khosla et al. 2020).

    Args:
        queries: (B, d), normalised.
        keys: (N, d), normalised.
        positives: (B, N) bool, at least one True a row.
        scale: scalar, the inverse temperature.
        label_smoothing: share of the target that is spread over all keys (Szegedy et al. 2016).

    Returns:
        (B,) losses, not averaged.
    """
    logits = (scale * queries) @ keys.T
    target = positives.to(logits.dtype) / positives.sum(1, keepdim=True)
    expected = (target * logits).sum(1)
    if label_smoothing:
        expected = (1 - label_smoothing) * expected + label_smoothing * logits.mean(1)
    return logits.logsumexp(1) - expected
