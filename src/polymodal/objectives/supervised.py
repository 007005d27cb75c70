"""What all objectives share that compare Y with labels: unknown labels, exact means, metrics of the
whole split.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError, DataError, NumericError, named
from polymodal.metrics.sample_table import SampleTable
from polymodal.objectives.base import Objective, aux_loss
from polymodal.outputs import ModelOutput
from polymodal.training.distributed.collectives import world_size


class Supervised(Objective):
    """Compares Y (B, p) with a label of the batch; what is not known of it (-1, NaN) does not
    count.

    The loss is the mean over what is known in the global batch, whatever each process has of it.
    Metrics are those of the whole split at once: they depend neither on batches nor on processes.

    Args:
        label: key of `PairedBatch.labels`.
        outputs: p.

    Attributes:
        label_kind: what a table of one's own is to say of its label, `data.label_kind`.
        further: name -> metric of the config group `metrics`, beside those of the objective.
    """

    needs_fusion = True
    label_kind = "class"

    def __init__(self, label: str, outputs: int) -> None:
        super().__init__()
        self.label, self.outputs = label, outputs
        self.table = SampleTable("y", "target")
        self.further: dict[str, Metric] = {}

    def output_names(self, names: Sequence[str] | None) -> list[str]:
        """What each of the p outputs is called, wherever it is shown, written or exported.

        Args:
            names: of the label's classes or tags, in the order of their numbers. Outputs beyond
                them are called "(output <number>)". None or empty: a class is called by its number.
        """
        numbers = range(self.outputs)
        if not names:
            return [str(number) for number in numbers]
        return [*names[: self.outputs], *(f"(output {n})" for n in numbers[len(names) :])]

    @abstractmethod
    def targets(self, labels: Tensor) -> Tensor:
        """The labels in the shape that `terms` and `metrics` read: (B,) or (B, p), -1 or NaN if
        unknown.

        Raises:
            ConfigError: they are of another kind.
        """

    @abstractmethod
    def terms(self, y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """(N, p) and targets -> the sum of the losses of all that is known, and what to divide it
        by: two scalars.

        What is not known is set to 0 rather than left out: how much is left would be waited for.
        """

    @abstractmethod
    def metrics(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """(N, p) and targets of a split -> its metrics, without `loss`."""

    def all_metrics(self, y: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`metrics`, and those of the config group `metrics` on `predictions`.

        A metric of several numbers gives `<name>/<which>` for each; one that is not defined is left
        out.

        Raises:
            ConfigError: a metric cannot be evaluated on these predictions.
        """
        metrics = self.metrics(y, target)
        for name, metric in self.further.items():
            metrics |= _further(name, metric, self.predictions(y), target)
        return metrics

    def predictions(self, y: Tensor) -> Tensor:
        """(N, p) of the model -> what torchmetrics compares with targets: probabilities, or values
        in the units of the labels.
        """
        return self.in_units(y)

    def in_units(self, y: Tensor) -> Tensor:
        """(N, p) of the model -> (N, p) as a person reads it; the same where Y has no unit."""
        return y

    def forward(self, output: ModelOutput, batch: PairedBatch) -> Tensor:
        """Y (B, p) of this process' samples -> the scalar loss of the global batch, plus the
        fusion's own loss.
        """
        y, target, counted = self._labelled(output, batch)
        total, count = self.terms(y.where(counted[:, None], 0), target)
        loss = _ratio(total, _mean_over_processes(count))
        return loss + aux_loss(output)

    def update(self, output: ModelOutput, batch: PairedBatch) -> None:
        """Adds the answers to a batch.

        Raises:
            NumericError: an answer to a labelled sample is NaN or infinite.
        """
        y, target, counted = self._labelled(output, batch)
        y, target, id = y[counted], target[counted], batch.id[counted]
        if not y.isfinite().all():
            bad = id[~y.isfinite().all(1)]
            raise NumericError(
                f"NaN or infinite predictions for {len(bad)} samples, the first with id "
                f"{int(bad[0])}."
            )
        self.table.update(id, y=y, target=target)

    def compute(self) -> dict[str, Tensor]:
        """`loss` and the metrics of the task; nothing where no sample has a label."""
        table = self.table.compute()
        if len(table["id"]) == 0:
            return {}
        y, target = table["y"].double(), table["target"]
        return {"loss": _ratio(*self.terms(y, target)), **self.all_metrics(y, target)}

    def reset(self) -> None:
        """Forgets the evaluation."""
        self.table.reset()

    def _labelled(self, output: ModelOutput, batch: PairedBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Y and targets in fp32 at least, and (B,) bool, of which samples anything is known."""
        if output.y is None:
            raise ConfigError(
                f"{type(self).__name__} needs one vector a sample: add fusion=concat head=linear."
            )
        if output.y.shape[1] != self.outputs:
            raise ConfigError(
                f"objective.outputs={self.outputs}, but Y has {output.y.shape[1]} columns: add "
                "head=linear."
            )
        if self.label not in batch.labels:
            there = ", ".join(batch.labels)
            what = (
                f"Choose one: label={there}"
                if there
                else "They have none: data.columns.label= names a column."
            )
            raise ConfigError(f"label={self.label}: these data have no such labels. {what}")
        target = self.targets(batch.labels[self.label])
        counted = known(target) if target.ndim == 1 else known(target).any(1)
        return _wide(output.y), _wide(target), counted

    def check_names(self, names: Sequence[str]) -> None:  # noqa: B027  (values have no names)
        """Refuses data whose classes do not go with the outputs.

        Args:
            names: of the classes; empty where they have none.

        Raises:
            DataError: names them.
        """

    def other_names(self, names: Sequence[str]) -> DataError:
        """What to say of classes that are not as many as the outputs."""
        return DataError(
            f"label={self.label} has {len(names)} classes and outputs={self.outputs}: "
            f"{named(names)}. Give outputs={len(names)}, or one name to those that are the same."
        )

    def wrong_labels(self, labels: Tensor, wanted: str) -> ConfigError:
        """What to say of labels that are not what this objective reads."""
        kind = "class" if labels.ndim == 1 else "tags"
        if labels.is_floating_point():
            kind = "value"
        # of another kind than the objective's: of a table, a word makes them what they are to be
        instead = (
            f"\nOf a table of your own, type data.label_kind={self.label_kind}"
            if kind != self.label_kind
            else ""
        )
        return ConfigError(
            f"objective.label={self.label}: {type(self).__name__} reads {wanted}, these are "
            f"{tuple(labels.shape)} {str(labels.dtype).removeprefix('torch.')} with "
            f"objective.outputs={self.outputs}.{instead}"
        )


def _further(name: str, metric: Metric, y: Tensor, target: Tensor) -> dict[str, Tensor]:
    """What one metric says of all rows whose targets are known, each number under its name."""
    counted = known(target) if target.ndim == 1 else known(target).all(1)
    y, target = y[counted], target[counted]
    if target.ndim == 2 and target.shape[1] == 1:
        y, target = y[:, 0], target[:, 0]
    metric.reset()
    try:
        metric.update(y, target)
        value = metric.compute()
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        raise ConfigError(f"metrics.{name}: {type(metric).__name__}: {error}") from error
    finally:
        metric.reset()
    if isinstance(value, dict):
        values = {f"{name}/{key}": number for key, number in value.items()}
    elif value.ndim == 1:
        values = {f"{name}/{index}": number for index, number in enumerate(value)}
    else:
        values = {name: value}
    if any(number.numel() != 1 for number in values.values()):
        raise ConfigError(f"metrics.{name}: {type(metric).__name__} gives no single number.")
    return {key: number for key, number in values.items() if number.isfinite()}


def supervised_part(objective: Objective) -> Supervised | None:
    """The objective that reads Y, or the first of several; None where there is none."""
    parts = objective.parts().values()
    return next((part for part in parts if isinstance(part, Supervised)), None)


def _wide(values: Tensor) -> Tensor:
    """Floats in fp32 at least: losses and metrics are, whatever the precision. Integers as they
    are.
    """
    if not values.is_floating_point():
        return values
    return values.to(torch.promote_types(values.dtype, torch.float32))


def known(target: Tensor) -> Tensor:
    """Bool of the same shape: where a label is known."""
    return ~target.isnan() if target.is_floating_point() else target >= 0


def beside(y: Tensor, numbers: Sequence[float]) -> Tensor:
    """The numbers in the type and on the device of y, which is not waited for."""
    return torch.tensor(numbers, dtype=y.dtype).to(y.device, non_blocking=True)


def checked_weights(name: str, weights: Sequence[float] | None, outputs: int) -> list[float] | None:
    """One weight an output, as a list.

    Raises:
        ValueError: there are more or fewer, one is negative, or none is positive.
    """
    if weights is None:
        return None
    if len(weights) != outputs or min(weights) < 0 or max(weights) <= 0:
        raise ValueError(
            f"{name}={list(weights)}: give {outputs} weights, one for each of the outputs, none of "
            "them negative and not all of them 0."
        )
    return [float(weight) for weight in weights]


def _mean_over_processes(count: Tensor) -> Tensor:
    """A sum divided by this, then averaged over processes as DDP does, is the global mean."""
    if world_size() > 1:
        count = count.clone()
        dist.all_reduce(count)
    return count / world_size()


def _ratio(total: Tensor, count: Tensor) -> Tensor:
    """Their quotient; where there is nothing to count, the total, which is 0 and has a graph."""
    return total / torch.where(count > 0, count, 1)
