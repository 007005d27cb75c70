"""Recall, precision and F1 of each class, and the confusion matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_stat_scores,
)

MATRIX = 1000
"""With more classes than this nobody makes a matrix of their pairs, which grows with the square."""


class ClassCounts(NamedTuple):
    """Of each of K classes: samples of it that are predicted right, all samples of it, and all that
    are predicted to be of it. (K,) each.
    """

    right: Tensor
    support: Tensor
    predicted: Tensor


def class_counts(predicted: Tensor, target: Tensor, classes: int) -> ClassCounts:
    """(N,) and (N,) class indices -> what `class_metrics` reads."""
    # torchmetrics counts every pair of classes: with many of them the memory would not be there
    if classes > MATRIX:
        columns = (target[predicted == target], target, predicted)
        return ClassCounts(*(torch.bincount(column, minlength=classes) for column in columns))
    scores = multiclass_stat_scores(predicted, target, classes, None, validate_args=False)
    right, false_positives, _, _, support = scores.T
    return ClassCounts(right, support, right + false_positives)


def class_metrics(right: Tensor, support: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """`support`, `precision`, `recall` and `f1` of each class, (K,) each; 0 where there is nothing
    to divide by.

    Args:
        right: (K,) samples of a class that are predicted to be of it.
        support: (K,) samples of a class.
        predicted: (K,) samples that are predicted to be of a class.
    """
    right = right.double()
    return {
        "support": support,
        "precision": right / predicted.clamp(min=1),
        "recall": right / support.clamp(min=1),
        "f1": 2 * right / (support + predicted).clamp(min=1),
    }


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(N,) and (N,) class indices -> (K, K) int64 counts, rows = true class."""
    return multiclass_confusion_matrix(predicted, target, classes, validate_args=False)


def accuracy(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the share of right answers."""
    return confusion.diag().sum() / confusion.sum().clamp(min=1)


def macro_recall(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the mean recall of the classes that occur (balanced
    accuracy).
    """
    counts = confusion.sum(1)
    occurs = counts > 0
    return (confusion.diag()[occurs] / counts[occurs]).mean()
