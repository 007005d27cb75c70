"""Metrics of a classification: one class a sample."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
)

from polymodal.metrics.confusion import class_counts, class_metrics
from polymodal.metrics.order import auroc

MANY = 10
"""With more classes than this, being among the first five says something."""


def classification_metrics(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`accuracy`, `recall` (balanced accuracy), `precision`, `f1`, `auroc`, `ece` and, with many
    classes, `accuracy@5`.

    Means over classes are over those that occur. `auroc` is one class against the rest; it is left
    out where a single class occurs. `ece` is the expected calibration error in 15 bins.

    Args:
        logits: (N, K).
        target: (N,) classes.
    """
    classes = logits.shape[1]
    answer = logits.argmax(1)
    table = class_metrics(*class_counts(answer, target, classes))
    occurs = table["support"] > 0
    metrics = {"accuracy": _accuracy(answer, target, classes)}
    metrics |= {name: table[name][occurs].mean() for name in ("recall", "precision", "f1")}

    # logarithms order the samples: no probability is rounded to a certainty
    log_probabilities = logits.double().log_softmax(1)
    if occurs.sum() > 1:
        found = occurs.nonzero().flatten().tolist()
        areas = [auroc(log_probabilities[:, k], target == k) for k in found]
        metrics["auroc"] = torch.stack(areas).mean()
    metrics["ece"] = calibration_error(log_probabilities.exp_(), target)

    # torchmetrics would take the first five of equal logits: here a tie is no success
    if classes > MANY:
        own = logits.gather(1, target[:, None])
        metrics["accuracy@5"] = ((logits >= own).sum(1) <= 5).double().mean()
    return metrics


def _accuracy(answer: Tensor, target: Tensor, classes: int) -> Tensor:
    share = multiclass_accuracy(answer, target, classes, "micro", validate_args=False)
    return share.double()


def calibration_error(probabilities: Tensor, target: Tensor, bins: int = 15) -> Tensor:
    """The expected calibration error: the mean distance of confidence and accuracy over bins of
    equal width (Naeini et al. 2015).

    Args:
        probabilities: (N, K) float64, changed in place.
        target: (N,) classes.
        bins: their number.
    """
    # torchmetrics puts a confidence of exactly 1 into a bin of its own: here the last bin has it
    below_one = torch.nextafter(probabilities.new_ones(()), probabilities.new_zeros(()))
    probabilities.clamp_(max=below_one.item())
    classes = probabilities.shape[1]
    error = multiclass_calibration_error(probabilities, target, classes, bins, validate_args=False)
    return error.double()
