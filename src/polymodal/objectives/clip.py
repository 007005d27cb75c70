"""CLIP: symmetric InfoNCE."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from polymodal.losses.info_nce import info_nce
from polymodal.objectives.contrastive import Contrastive
from polymodal.types import PositiveFloat, PositiveInt, Probability


class CLIP(Contrastive):
    """InfoNCE in both directions with a learned temperature (Radford et al. 2021).

    Args:
        modalities: names of the rows of X; all pairs are aligned.
        logit_scale: first value of the inverse temperature.
        label_smoothing: share of the target that is spread over the whole batch.
        evaluation_batch_size: samples in one loss when a whole split is judged.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        logit_scale: PositiveFloat = 1 / 0.07,
        label_smoothing: Probability = 0.0,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        super().__init__(list(modalities), logit_scale, evaluation_batch_size)
        self.label_smoothing = label_smoothing

    def rows(self, queries: Tensor, keys: Tensor, positives: Tensor) -> Tensor:
        """(B, d), (N, d), (B, N) bool -> (B,) losses."""
        return info_nce(queries, keys, positives, self.logit_scale.exp(), self.label_smoothing)
