"""Multi-class classification of Y."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassRecall

from polymodal.batch import PairedBatch
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
        self.metrics = MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "recall": MulticlassRecall(classes, average="macro"),
            }
        )

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """Y (B, classes) -> the scalar mean over the labelled samples, plus the fusion's own loss."""
        logits, target = self._labelled(output, batch)
        losses = F.cross_entropy(logits, target, label_smoothing=self.label_smoothing, reduction="sum")
        loss = losses / max(1, len(target))
        return loss if output.aux_loss is None else loss + output.aux_loss

    def _labelled(self, output: ModelOutput, batch: PairedBatch) -> tuple[Tensor, Tensor]:
        if output.y is None:
            raise ValueError("Classification needs a fusion and a head: choose them with fusion= and head=.")
        target = batch.labels[self.label]
        return output.y[target >= 0].float(), target[target >= 0]

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds a batch.

        Raises:
            ValueError: a logit is NaN.
        """
        logits, target = self._labelled(output, batch)
        if logits.isnan().any():
            raise ValueError("NaN in the predictions: they are not scored.")
        if len(target):
            self.loss.update(F.cross_entropy(logits, target), len(target))
            self.metrics.update(logits, target)

    def compute(self) -> dict[str, Tensor]:
        """`loss`, `accuracy`, `recall` (macro)."""
        return {"loss": self.loss.compute(), **self.metrics.compute()}

    def reset(self) -> None:
        """Forgets the evaluation."""
        self.loss.reset()
        self.metrics.reset()
