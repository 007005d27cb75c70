"""Metrics of a classification: one class a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from polymodal.metrics.calibration import reliability
from polymodal.metrics.confusion import class_counts, class_metrics, confusion_matrix
from polymodal.metrics.order import auroc

MANY = 10
"""With more classes than this, being among the first five says something."""


def confusion_of(logits: Tensor, target: Tensor) -> Tensor:
    """(N, K), (N,) -> (K, K) counts, rows = true class."""
    return confusion_matrix(logits.argmax(1), target, logits.shape[1])


def class_table(confusion: Tensor) -> dict[str, Tensor]:
    """(K, K) counts, rows = true class -> `support`, `precision`, `recall` and `f1` of each class,
    (K,).
    """
    return class_metrics(confusion.diag(), confusion.sum(1), confusion.sum(0))


def classification_metrics(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`accuracy`, `recall` (balanced accuracy), `precision`, `f1`, `auroc`, `ece` and, with many
    classes, `accuracy@5`.

    Means over classes are over those that occur. `auroc` is one class against the rest; it is left
    out where a single class occurs. `ece` is the expected calibration error in 15 bins.

    Args:
        logits: (N, K).
        target: (N,) classes.
    """
    log_probabilities = logits.double().log_softmax(1)  # logarithms: none is rounded to a certainty
    counts = class_counts(logits.argmax(1), target, logits.shape[1])
    table = class_metrics(*counts)
    occurs = table["support"] > 0
    metrics = {"accuracy": counts.right.sum().double() / max(1, len(target))}
    metrics |= {name: table[name][occurs].mean() for name in ("recall", "precision", "f1")}
    if occurs.sum() > 1:
        areas = [
            auroc(log_probabilities[:, k], target == k) for k in occurs.nonzero().flatten().tolist()
        ]
        metrics["auroc"] = torch.stack(areas).mean()
    metrics["ece"] = reliability(log_probabilities.exp_(), target).error
    if logits.shape[1] > MANY:
        own = logits.gather(1, target[:, None])
        metrics["accuracy@5"] = ((logits >= own).sum(1) <= 5).double().mean()  # a tie is no success
    return metrics
