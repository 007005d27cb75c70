"""What a module asks of an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from polymodal.batch import PairedBatch
from polymodal.outputs import ModelOutput
from polymodal.training.distributed.collectives import mean_over_all

TrainingLabels = Callable[[str], Tensor | None]
"""Name of a label -> its values (N, ...) in the training split; None where the data have no such
label."""


class Objective(nn.Module, ABC):
    """A loss and the metrics that evaluate it. Parameters of the loss (a temperature) live here."""

    needs_fusion = False
    """Whether the loss reads Y."""

    @abstractmethod
    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """The training loss, a scalar whose gradient, averaged over processes, is that of the
        global batch.
        """

    @abstractmethod
    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds a batch to the evaluation that is under way."""

    @abstractmethod
    def compute(self) -> dict[str, Tensor]:
        """The metrics of the evaluation, `loss` among them, the same on all processes."""

    @abstractmethod
    def reset(self) -> None:
        """Forgets the evaluation."""

    def prepare(self, training_labels: TrainingLabels) -> None:  # noqa: B027
        """Called once before training: takes what it needs to know of the training labels."""

    def clamp(self) -> None:  # noqa: B027  (most objectives have nothing to clamp)
        """Called after each optimizer step: puts parameters back into their range."""

    def parts(self) -> dict[str, Objective]:
        """The objectives that this one is made of, by the start of their metrics' names: itself,
        "", if by none.
        """
        return {"": self}


def aux_loss(output: ModelOutput) -> Tensor | float:
    """What the fusion adds to the loss of the global batch: a scalar; 0 without a fusion that adds
    any.
    """
    return (
        0.0
        if output.aux_loss is None
        else output.aux_loss.of_mean(mean_over_all(output.aux_loss.rows))
    )
