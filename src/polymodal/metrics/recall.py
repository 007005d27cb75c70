"""Accuracy and macro recall of a confusion matrix."""

from __future__ import annotations

from torch import Tensor


def accuracy(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the share of right answers."""
    return confusion.diag().sum() / confusion.sum().clamp(min=1)


def macro_recall(confusion: Tensor) -> Tensor:
    """(K, K) counts, rows = true class -> the mean recall of the classes that occur (balanced accuracy)."""
    counts = confusion.sum(1)
    occurs = counts > 0
    return (confusion.diag()[occurs] / counts[occurs]).mean()
