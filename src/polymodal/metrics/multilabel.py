"""Metrics of a classification with any number of classes a sample."""

from __future__ import annotations

import torch
from torch import Tensor

from polymodal.metrics.confusion import class_metrics
from polymodal.metrics.order import auroc, average_precision


def multilabel_table(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`support`, `precision`, `recall`, `f1`, `average_precision` and `auroc` of each class, (K,),
    NaN if undefined.

    Args:
        logits: (N, K); more than 0 says yes.
        target: (N, K) of 0 and 1, -1 where it is not known.
    """
    known, positive, said = target >= 0, target == 1, logits > 0
    counts = ((said & positive).sum(0), positive.sum(0), (said & known).sum(0))
    columns = [(logits[seen, k], positive[seen, k]) for k, seen in enumerate(known.T)]
    return class_metrics(*counts) | {
        "average_precision": torch.stack([average_precision(*column) for column in columns]),
        "auroc": torch.stack([auroc(*column) for column in columns]),
    }


def multilabel_metrics(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`f1` and `recall` (means over the classes that occur), `micro_f1`, `mean_average_precision`,
    `auroc` and `subset_accuracy`, the share of samples of which all that is known is told right.

    Args:
        logits: (N, K); more than 0 says yes.
        target: (N, K) of 0 and 1, -1 where it is not known.
    """
    table = multilabel_table(logits, target)
    occurs = table["support"] > 0
    known, positive, said = target >= 0, target == 1, logits > 0
    totals = [part.sum()[None] for part in (said & positive, positive, said & known)]
    metrics = {
        "f1": table["f1"][occurs].mean(),
        "micro_f1": class_metrics(*totals)["f1"][0],
        "recall": table["recall"][occurs].mean(),
        "mean_average_precision": table["average_precision"][occurs].mean(),
        "auroc": table["auroc"][table["auroc"].isfinite()].mean(),
        "subset_accuracy": ((said == positive) | ~known).all(1).double().mean(),
    }
    # no class that occurs: no mean
    return {name: value for name, value in metrics.items() if value.isfinite()}
