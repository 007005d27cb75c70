"""Classification of Y with any number of classes a sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from polymodal.metrics.multilabel import multilabel_metrics
from polymodal.objectives.supervised import Supervised, beside, checked_weights, known
from polymodal.types import PositiveInt


class MultiLabel(Supervised):
    """Binary cross-entropy of each column of Y (B, p) with labels (B, p) of 0 and 1; what is
    unknown (-1) is left out.

    Args:
        label: key of `PairedBatch.labels`.
        outputs: p, the number of classes.
        positive_weights: how much a 1 of each class counts beside a 0, such as negatives /
            positives; None for 1.

    Raises:
        ValueError: `positive_weights` are not p numbers from 0 on.
    """

    label_kind = "tags"

    def __init__(
        self, label: str, outputs: PositiveInt, positive_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(label, outputs)
        self.positive_weights = checked_weights("positive_weights", positive_weights, outputs)

    def targets(self, labels: Tensor) -> Tensor:
        """(B, p) int64.

        Raises:
            ConfigError: the labels are values, one a sample, or not p.
        """
        if labels.ndim != 2 or labels.shape[1] != self.outputs or labels.is_floating_point():
            raise self.wrong_labels(
                labels, f"{self.outputs} answers a sample, (B, {self.outputs}) int64 of 0, 1 and -1"
            )
        return labels

    def check_names(self, names: Sequence[str]) -> None:
        """Refuses data whose tags are not as many as the outputs.

        Raises:
            DataError: names them.
        """
        if names and len(names) != self.outputs:
            raise self.other_names(names)

    def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, p), (N, p) -> the sum over all known labels, and their number."""
        seen = known(target)
        weights = None if self.positive_weights is None else beside(y, self.positive_weights)
        losses = F.binary_cross_entropy_with_logits(
            y, target.to(y.dtype), pos_weight=weights, reduction="none"
        )
        return losses.where(seen, 0).sum(), seen.sum().to(y.dtype)

    def predictions(self, y: Tensor) -> Tensor:
        """(N, p) -> (N, p), the probability of each class."""
        return y.sigmoid()

    def metrics(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `multilabel_metrics`."""
        return multilabel_metrics(y, target)
