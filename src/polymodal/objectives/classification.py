"""Multi-class classification of Y."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from polymodal.errors import DataError
from polymodal.metrics.classification import classification_metrics
from polymodal.objectives.supervised import Supervised, beside, checked_weights, known
from polymodal.types import PositiveInt, Probability


class Classification(Supervised):
    """Cross-entropy of Y (B, p) with classes (B,); samples without a class (-1) do not count.

    Args:
        label: key of `PairedBatch.labels`.
        outputs: p, the number of classes.
        class_weights: how much a sample of each class counts in the loss, such as n / (p n_k); None
            for all the same.
        label_smoothing: mass taken from the true class and spread over all (Szegedy et al. 2016).

    Raises:
        ValueError: `class_weights` are not p numbers from 0 on.
    """

    def __init__(
        self,
        label: str,
        outputs: PositiveInt,
        class_weights: Sequence[float] | None = None,
        label_smoothing: Probability = 0.0,
    ) -> None:
        super().__init__(label, outputs)
        self.class_weights = checked_weights("class_weights", class_weights, outputs)
        self.label_smoothing = label_smoothing

    def targets(self, labels: Tensor) -> Tensor:
        """(B,) int64.

        Raises:
            ConfigError: the labels are values, or several a sample.
            DataError: there are more classes than outputs.
        """
        if labels.ndim != 1 or labels.is_floating_point():
            raise self.wrong_labels(labels, "one class a sample, (B,) int64")
        if len(labels) and (largest := int(labels.max())) >= self.outputs:
            raise DataError(
                f"The labels {self.label!r} have a class {largest}, but "
                f"objective.outputs={self.outputs}: classes are counted from 0, so it must be "
                f"{largest + 1} at least."
            )
        return labels

    def check_names(self, names: Sequence[str]) -> None:
        """Refuses data with more classes than outputs.

        Raises:
            DataError: names them.
        """
        if len(names) > self.outputs:
            raise self.other_names(names)

    def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, p), (N,) -> the weighted sum of the losses, and the sum of the weights of the true
        classes.
        """
        seen, target = known(target), target.clamp(min=0)
        weights = (
            y.new_ones(self.outputs)
            if self.class_weights is None
            else beside(y, self.class_weights)
        )
        losses = F.cross_entropy(
            y, target, weights, label_smoothing=self.label_smoothing, reduction="none"
        )
        return losses.where(seen, 0).sum(), weights[target].where(seen, 0).sum()

    def predictions(self, y: Tensor) -> Tensor:
        """(N, p) -> (N, p) probabilities of the classes."""
        return y.softmax(1)

    def metrics(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `classification_metrics`."""
        return classification_metrics(y, target)
