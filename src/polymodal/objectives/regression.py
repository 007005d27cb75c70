"""Regression: Y is the answer, in standard deviations of the training labels."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from polymodal.metrics.regression import regression_metrics
from polymodal.objectives.base import TrainingLabels
from polymodal.objectives.supervised import Supervised, beside, known
from polymodal.types import PositiveFloat, PositiveInt

EXTRA = "_extra_state"
"""Key under which torch keeps what `get_extra_state` gives."""


class Regression(Supervised):
    """Distance of Y (B, p) from values (B, p), or (B,) if p = 1; what is unknown (NaN) is left out.

    The labels are standardised by the training split: the model's Y and the loss are in standard
    deviations from the mean, so that labels of any unit train alike. Metrics and answers
    (`in_units`) are in the units of the labels.

    Args:
        label: key of `PairedBatch.labels`.
        outputs: p, the number of values.
        loss: `mse`: squares; `l1`: absolute values; `huber`: squares near the value, absolute
            values further off (Huber 1964).
        huber_delta: where `huber` goes from one to the other, in standard deviations of the
            training labels.
    """

    label_kind = "value"

    def __init__(
        self,
        label: str,
        outputs: PositiveInt = 1,
        loss: Literal["mse", "l1", "huber"] = "mse",
        huber_delta: PositiveFloat = 1.0,
    ) -> None:
        super().__init__(label, outputs)
        self.loss, self.huber_delta = loss, huber_delta
        # plain numbers, and no buffers: precision=bf16_true would round those
        self.mean, self.std = [0.0] * outputs, [1.0] * outputs
        self.register_load_state_dict_pre_hook(_of_older_checkpoints)

    def prepare(self, training_labels: TrainingLabels) -> None:
        """Takes mean and standard deviation of each value from the training labels (N, p) or
        (N,).
        """
        labels = training_labels(self.label)
        if labels is None:
            return
        values = self.targets(labels).double()
        for index, column in enumerate(values.T):
            seen = column[known(column)]
            if len(seen) == 0:
                continue
            self.mean[index] = float(seen.mean())
            spread = float(seen.std(correction=0))
            self.std[index] = spread if spread > 0 else 1.0  # a constant label has no scale

    def in_units(self, y: Tensor) -> Tensor:
        """(N, p) of the model -> (N, p) in the units of the labels."""
        return y * beside(y, self.std) + beside(y, self.mean)

    def get_extra_state(self) -> Tensor:
        """(2, p) float64: mean and standard deviation, for checkpoints."""
        return torch.tensor([self.mean, self.std], dtype=torch.float64)

    def set_extra_state(self, state: Tensor) -> None:
        """Takes them from a checkpoint."""
        self.mean, self.std = state.tolist()

    def targets(self, labels: Tensor) -> Tensor:
        """(B, p) floats.

        Raises:
            ConfigError: the labels are classes, or not p.
        """
        values = labels[:, None] if labels.ndim == 1 else labels
        if values.ndim != 2 or values.shape[1] != self.outputs or not labels.is_floating_point():
            raise self.wrong_labels(
                labels, f"{self.outputs} values a sample, (B, {self.outputs}) floats"
            )
        return values

    def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, p), (N, p) in units -> the sum over all known values, and their number."""
        seen = known(target)
        # first the difference, then the type of y: a large label has more digits than a small type
        target = ((target - beside(target, self.mean)) / beside(target, self.std)).to(y.dtype)
        target = target.where(seen, 0)
        if self.loss == "mse":
            losses = F.mse_loss(y, target, reduction="none")
        elif self.loss == "l1":
            losses = F.l1_loss(y, target, reduction="none")
        else:
            losses = F.huber_loss(y, target, reduction="none", delta=self.huber_delta)
        return losses.where(seen, 0).sum(), seen.sum().to(y.dtype)

    def metrics(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """See `regression_metrics`; in the units of the labels."""
        return regression_metrics(self.in_units(y), target)


def _of_older_checkpoints(
    module: Regression, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    """A checkpoint of before has no scale: its Y is in the units of the labels."""
    identity = torch.tensor([[0.0] * module.outputs, [1.0] * module.outputs], dtype=torch.float64)
    state_dict.setdefault(prefix + EXTRA, identity)
