"""Several objectives at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.objectives.base import Objective, TrainingLabels, aux_loss
from polymodal.outputs import ModelOutput


class Weighted(Objective):
    """The weighted sum of other objectives, such as an alignment of X together with a
    classification of Y.

    The metrics of each have its name before them (`clip/loss`); `loss` is the weighted sum.

    Args:
        objectives: name -> objective.
        weights: name -> weight of its loss, 0 or more.

    Raises:
        ValueError: a weight is missing, negative or of no objective.
    """

    def __init__(self, objectives: Mapping[str, Objective], weights: Mapping[str, float]) -> None:
        super().__init__()
        if not objectives or objectives.keys() != weights.keys() or min(weights.values()) < 0:
            raise ValueError(
                f"weights={dict(weights)}: give each objective one weight of 0 or more; the "
                f"objectives are {', '.join(objectives) or 'none'}."
            )
        self.objectives = nn.ModuleDict(objectives)
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.needs_fusion = any(objective.needs_fusion for objective in objectives.values())

    def _children(self) -> dict[str, Objective]:
        return dict(self.objectives.items())  # type: ignore[arg-type]

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """The weighted sum of the losses, and once the fusion's own loss."""
        alone = output._replace(aux_loss=None)
        losses = [
            self.weights[name] * objective(alone, batch)
            for name, objective in self._children().items()
        ]
        total = torch.stack(losses).sum()
        return total + aux_loss(output)

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds a batch to each evaluation."""
        for objective in self._children().values():
            objective.update(output, batch)

    def compute(self) -> dict[str, Tensor]:
        """`loss`, and `<name>/...` of each objective; one without a sample is left out of
        the sum.
        """
        metrics = {name: objective.compute() for name, objective in self._children().items()}
        losses = [
            self.weights[name] * own["loss"].cpu() for name, own in metrics.items() if "loss" in own
        ]
        total = {"loss": torch.stack(losses).sum()} if losses else {}
        return total | {
            f"{name}/{key}": value for name, own in metrics.items() for key, value in own.items()
        }

    def reset(self) -> None:
        """Forgets each evaluation."""
        for objective in self._children().values():
            objective.reset()

    def prepare(self, training_labels: TrainingLabels) -> None:
        """Shows the training labels to each objective."""
        for objective in self._children().values():
            objective.prepare(training_labels)

    def clamp(self) -> None:
        """Puts the parameters of each objective back into their range."""
        for objective in self._children().values():
            objective.clamp()

    def parts(self) -> dict[str, Objective]:
        """Name -> objective, down to those that are not made of others."""
        return {
            f"{name}/{inner}".rstrip("/"): part
            for name, objective in self._children().items()
            for inner, part in objective.parts().items()
        }
