"""Accuracy, recall, precision and F1 of a confusion matrix: (K, K) counts, rows = true class."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_matrix(predicted: Tensor, target: Tensor, classes: int) -> Tensor:
    """(N,) and (N,) class indices -> (K, K) int64 counts, rows = true class."""
    return torch.bincount(target * classes + predicted, minlength=classes**2).view(classes, classes)


def accuracy(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the share of right answers."""
    return confusion.diag().sum() / confusion.sum().clamp(min=1)


def macro_recall(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the mean recall of the classes that occur (balanced accuracy)."""
    counts = confusion.sum(1)
    occurs = counts > 0
    return (confusion.diag()[occurs] / counts[occurs]).mean()


def class_figures(right: Tensor, support: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """`support`, `precision`, `recall` and `f1` of each class, (K,) each; 0 where there is nothing to divide by.

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
