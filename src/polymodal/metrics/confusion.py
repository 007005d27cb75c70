"""Accuracy, recall, precision and F1 of a confusion matrix: (K, K) counts, rows = true class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MATRIX = 1000
"""With more classes than this nobody makes a matrix of their pairs, which grows with the square."""


class ClassCounts(NamedTuple):
    """Of each of K classes: samples that were told right, that are of it, and that were told to be
    of it. (K,) each.
    """

    right: Tensor
    support: Tensor
    predicted: Tensor


def class_counts(predicted: Tensor, target: Tensor, classes: int) -> ClassCounts:
    """(N,) and (N,) class indices -> what the diagonal and the sums of their confusion matrix
    are.
    """
    counted = (target[predicted == target], target, predicted)
    return ClassCounts(*(torch.bincount(part, minlength=classes) for part in counted))


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(N,) and (N,) class indices -> (K, K) int64 counts, rows = true class."""
    return torch.bincount(target * classes + predicted, minlength=classes**2).view(classes, classes)


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


def class_metrics(right: Tensor, support: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """`support`, `precision`, `recall` and `f1` of each class, (K,) each; 0 where there is nothing
    to divide by.

    Args:
        right: (K,) samples of a class that were told to be of it.
        support: (K,) samples of a class.
        predicted: (K,) samples that were told to be of a class.
    """
    right = right.double()
    return {
        "support": support,
        "precision": right / predicted.clamp(min=1),
        "recall": right / support.clamp(min=1),
        "f1": 2 * right / (support + predicted).clamp(min=1),
    }
