"""GRAM: modalities of one sample span a small volume."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from polymodal.losses.info_nce import info_nce
from polymodal.losses.volume import volumes
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import Term, row_of
from polymodal.types import PositiveFloat, PositiveInt


class GRAM(Contrastive):
    """InfoNCE on the volume that an anchor and all other modalities span, both ways round
    (Cicchetti et al. 2025).

    Only samples that have all modalities count. Large batches are compared block by block.

    Args:
        modalities: names of the rows of X.
        anchor: the modality that is exchanged among the tuples of all others; None: each in turn.
        logit_scale: first value of the inverse temperature.
        learn_scale: whether it is trained.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        anchor: str | None = None,
        logit_scale: PositiveFloat = 1 / 0.07,
        learn_scale: bool = True,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        rows = range(len(modalities))
        anchors = list(rows) if anchor is None else [row_of(anchor, modalities, "anchor")]
        terms = [Term((first, *(row for row in rows if row != first))) for first in anchors]
        super().__init__(
            list(modalities), evaluation_batch_size, logit_scale, learn_scale, terms=terms
        )

    def matrix_width(self, samples: GlobalBatch) -> int:
        """The products of an anchor with all tuples."""
        return len(samples.group) * (samples.x.shape[1] - 1)

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """The anchor and the others, x (N, m, d) -> (B,) losses of the own samples, the mean of
        both directions.
        """
        own, positives = samples.queries(), samples.positives()
        to_tuples = volumes(own[:, 0], samples.x[:, 1:])
        to_anchors = volumes(samples.x[:, 0], own[:, 1:]).T
        scale = self.scale(term)
        return (
            info_nce(-scale * to_tuples, positives) + info_nce(-scale * to_anchors, positives)
        ) / 2
