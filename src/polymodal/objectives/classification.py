"""Multi-class classification of Y."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from polymodal.batch import PairedBatch
from polymodal.errors import NumericError
from polymodal.losses.gather import mean_count
from polymodal.metrics.recall import accuracy, macro_recall
from polymodal.model import ModelOutput
from polymodal.objectives.base import Objective
from polymodal.types import PositiveInt, Probability


class Classification(Objective):
    """Cross-entropy of Y (B, classes) with a label of the batch; samples without a label (-1) do not count.

    Args:
        label: key of `PairedBatch.labels`.
        classes: number of classes.
        label_smoothing: mass taken from the true class and spread over all.
    """

    needs_fusion = True

    def __init__(self, label: str, classes: PositiveInt, label_smoothing: Probability = 0.0) -> None:
        super().__init__()
        self.label = label
        self.label_smoothing = label_smoothing
        self.loss = MeanMetric()
        self.matrix = MulticlassConfusionMatrix(classes)

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """Y (B, classes) -> the scalar mean over the labelled samples of all processes, plus the fusion's own loss."""
        logits, target = self._labelled(output, batch)
        loss = self._losses(logits, target).sum() / mean_count(target).clamp(min=1)
        return loss if output.aux_loss is None else loss + output.aux_loss

    def _losses(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction="none")

    def _labelled(self, output: ModelOutput, batch: PairedBatch) -> tuple[Tensor, Tensor]:
        if output.y is None:
            raise ValueError("Classification needs a fusion and a head: choose them with fusion= and head=.")
        target = batch.labels[self.label]
        y = output.y if output.y.dtype == torch.float64 else output.y.float()
        return y[target >= 0], target[target >= 0]

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds a batch.

        Raises:
            NumericError: a logit is NaN.
        """
        logits, target = self._labelled(output, batch)
        if logits.isnan().any():
            raise NumericError("NaN in the predictions: they are not scored.")
        if len(target):
            self.loss.update(self._losses(logits, target).mean(), len(target))
            self.matrix.update(logits, target)

    def compute(self) -> dict[str, Tensor]:
        """`loss`, `accuracy`, and `recall`, the mean over the classes that occur."""
        confusion = self.matrix.compute()
        return {"loss": self.loss.compute(), "accuracy": accuracy(confusion), "recall": macro_recall(confusion)}

    def reset(self) -> None:
        """Forgets the evaluation."""
        self.loss.reset()
        self.matrix.reset()
