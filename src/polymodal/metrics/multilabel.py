"""Metrics of a classification with any number of classes a sample."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multilabel_exact_match,
    multilabel_f1_score,
    multilabel_stat_scores,
)

from polymodal.metrics.confusion import class_metrics
from polymodal.metrics.order import auroc, average_precision

UNKNOWN = -1
"""A label that nobody knows, which no metric counts."""


def multilabel_table(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`support`, `precision`, `recall`, `f1`, `average_precision` and `auroc` of each class, (K,),
    NaN if undefined.

    Args:
        logits: (N, K); more than 0 says yes.
        target: (N, K) of 0 and 1, -1 where it is not known.
    """
    answer, known = (logits > 0).long(), target != UNKNOWN
    scores = multilabel_stat_scores(
        answer,
        target,
        num_labels=logits.shape[1],
        average=None,
        ignore_index=UNKNOWN,
        validate_args=False,
    ).view(-1, 5)
    right, false_positives, _, _, support = scores.T
    columns = [(logits[seen, k], target[seen, k] == 1) for k, seen in enumerate(known.T)]
    return class_metrics(right, support, right + false_positives) | {
        "average_precision": torch.stack([average_precision(*column) for column in columns]),
        "auroc": torch.stack([auroc(*column) for column in columns]),
    }


def multilabel_metrics(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`f1` and `recall` (means over the classes that occur), `micro_f1`, `mean_average_precision`,
    `auroc` and `subset_accuracy`, the share of samples of which all that is known is predicted
    right.

    Args:
        logits: (N, K); more than 0 says yes.
        target: (N, K) of 0 and 1, -1 where it is not known.
    """
    table = multilabel_table(logits, target)
    occurs = table["support"] > 0
    answer = (logits > 0).long()
    how: dict[str, Any] = {
        "num_labels": logits.shape[1],
        "ignore_index": UNKNOWN,
        "validate_args": False,
    }
    metrics = {
        "f1": table["f1"][occurs].mean(),
        "micro_f1": multilabel_f1_score(answer, target, average="micro", **how).double(),
        "recall": table["recall"][occurs].mean(),
        "mean_average_precision": table["average_precision"][occurs].mean(),
        "auroc": table["auroc"][table["auroc"].isfinite()].mean(),
        "subset_accuracy": multilabel_exact_match(answer, target, **how).double(),
    }
    # no class that occurs: no mean
    return {name: value for name, value in metrics.items() if value.isfinite()}
