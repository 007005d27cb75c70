"""SupCon: one contrastive loss over the rows of all modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.errors import ConfigError, did_you_mean
from polymodal.losses.supcon import supcon
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.samples import Samples
from polymodal.types import PositiveFloat, PositiveInt


class SupCon(Contrastive):
    """Every present row of X against those of all samples and modalities (Khosla et al. 2020, the
    outer form).

    Positives are all rows of the same group, the other modalities of the sample itself among them.
    With a `label`, the class stands for the group, in the loss and in the retrieval metrics; a
    sample without a class (-1) keeps its group. The loss is the mean over the rows that have a
    positive. Large batches are compared block by block.

    Args:
        modalities: names of the rows of X.
        label: key of `PairedBatch.labels`, (B,) class indices; None: samples are told apart by
            group.
        logit_scale: first value of the inverse temperature.
        learn_scale: whether it is trained; the paper keeps it.
        evaluation_batch_size: samples in one loss when a whole split is judged.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        label: str | None = None,
        logit_scale: PositiveFloat = 1 / 0.07,
        learn_scale: bool = True,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        super().__init__(list(modalities), evaluation_batch_size, logit_scale, learn_scale)
        self.label = label

    def groups(self, batch: PairedBatch) -> Tensor:
        """(B,) int64: the group, or the class where there is one.

        Raises:
            ConfigError: the data have no such label, or it is no class index.
        """
        if self.label is None:
            return batch.group
        if self.label not in batch.labels:
            raise ConfigError(
                f"label: the data have no {self.label!r}.{did_you_mean(self.label, batch.labels)}"
            )
        label = batch.labels[self.label]
        if label.ndim != 1 or label.is_floating_point():
            raise ConfigError(
                f"label={self.label} is no class index, one a sample. Choose another label."
            )
        # groups are not negative: no class is like one
        return torch.where(label >= 0, label, -1 - batch.group)

    def share(self, samples: Samples) -> Tensor:
        """What the own samples' rows add to the mean over all rows that have a positive."""
        rows = samples.apart()
        return rows.sum(
            lambda some: supcon(some.x, some.group, some.own, self.scale()), len(rows.group)
        )
