"""Regression: Y is the answer itself."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from polymodal.metrics.regression import regression_figures
from polymodal.objectives.supervised import Supervised, known
from polymodal.types import PositiveFloat, PositiveInt


class Regression(Supervised):
    """Distance of Y (B, p) from values (B, p), or (B,) if p = 1; what is unknown (NaN) is left out.

    Y and all figures are in the units of the labels: where these are far from 1, scale them in the data.

    Args:
        label: key of `PairedBatch.labels`.
        outputs: p, the number of values.
        loss: `mse`: squares; `l1`: absolute values; `huber`: squares near the value, absolute values further off (Huber
            1964).
        huber_delta: where `huber` goes from one to the other, in units of the labels.
    """

    def __init__(
        self,
        label: str,
        outputs: PositiveInt = 1,
        loss: Literal["mse", "l1", "huber"] = "mse",
        huber_delta: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(label, outputs)
        self.loss, self.huber_delta = loss, huber_delta

    def targets(self, labels: Tensor) -> Tensor:
        """(B, p) floats.

        Raises:
            ConfigError: the labels are classes, or not p.
        """
        values = labels[:, None] if labels.ndim == 1 else labels
        if values.ndim != 2 or values.shape[1] != self.outputs or not labels.is_floating_point():
            raise self.wrong_labels(labels, f"{self.outputs} values a sample, (B, {self.outputs}) floats")
        return values

    def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, p), (N, p) -> the sum over all known values, and their number."""
        seen = known(target)
        target = target.to(y.dtype).where(seen, 0)
        if self.loss == "mse":
            losses = F.mse_loss(y, target, reduction="none")
        elif self.loss == "l1":
            losses = F.l1_loss(y, target, reduction="none")
        else:
            losses = F.huber_loss(y, target, reduction="none", delta=self.huber_delta)
        return losses.where(seen, 0).sum(), seen.sum().to(y.dtype)

    def figures(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `regression_figures`."""
        return regression_figures(y, target)
