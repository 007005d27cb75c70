"""CLIP: symmetric InfoNCE over pairs of modalities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from polymodal.losses.info_nce import info_nce
from polymodal.losses.tiled_info_nce import tiled_info_nce
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import pair_terms
from polymodal.types import NonNegativeFloat, PositiveFloat, PositiveInt, Probability


class CLIP(Contrastive):
    """InfoNCE in both directions, with a learned temperature a pair of modalities (Radford et al.
    2021).

    Large batches are compared tile by tile, and no matrix of logits is kept for backward (see
    `GlobalBatch.are_many`).

    Args:
        modalities: names of the rows of X.
        pairs: `all`, or a list of [first, second] or [first, second, weight]; the loss is their
            weighted mean.
        anchor: instead of `pairs`, the modality that all others are aligned with (ImageBind,
            Girdhar et al. 2023).
        logit_scale: first value of the inverse temperatures.
        learn_scale: whether they are trained.
        label_smoothing: share of the target that is spread over the whole batch.
        decoupled: the positives are left out of the denominator (DCL, Yeh et al. 2022).
        hard_beta: how much more the harder negatives weigh (HN-NCE, Radenovic et al. 2023).
        cyclip_cross: weight of (s_ij - s_ji)^2, s the cosines between the two modalities (CyCLIP,
            Goel et al. 2022).
        cyclip_in: weight of (s_ij - t_ij)^2, s and t the cosines within one modality and within the
            other.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        pairs: Literal["all"] | Sequence[Sequence[str | float]] = "all",
        anchor: str | None = None,
        logit_scale: PositiveFloat = 1 / 0.07,
        learn_scale: bool = True,
        label_smoothing: Probability = 0.0,
        decoupled: bool = False,
        hard_beta: NonNegativeFloat = 0.0,
        cyclip_cross: NonNegativeFloat = 0.0,
        cyclip_in: NonNegativeFloat = 0.0,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        terms = pair_terms(modalities, pairs, anchor)
        super().__init__(
            list(modalities), evaluation_batch_size, logit_scale, learn_scale, terms=terms
        )
        self.label_smoothing, self.decoupled, self.hard_beta = label_smoothing, decoupled, hard_beta
        self.cyclip_cross, self.cyclip_in = cyclip_cross, cyclip_in
        self.needs_matrix = any((decoupled, hard_beta, cyclip_cross, cyclip_in))

    def matrix_width(self, samples: GlobalBatch) -> int:
        """N, for what is not in `tiled_info_nce`."""
        return len(samples.group) if self.needs_matrix else 0

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """A pair, x (N, 2, d) -> (B,) losses of the own samples, the mean of both directions."""
        every_a, every_b = samples.x.unbind(1)
        scale = self.scale(term)
        if samples.are_many() and not self.needs_matrix:
            return tiled_info_nce(
                every_a, every_b, samples.group, samples.own, scale, self.label_smoothing
            )
        a, b = samples.queries().unbind(1)
        ab, ba = (scale * a) @ every_b.T, (scale * b) @ every_a.T
        positives = samples.positives()
        options = (self.label_smoothing, self.decoupled, self.hard_beta)
        losses = (info_nce(ab, positives, *options) + info_nce(ba, positives, *options)) / 2
        if self.cyclip_cross:
            losses = losses + self.cyclip_cross * (a @ every_b.T - b @ every_a.T).square().sum(1)
        if self.cyclip_in:
            losses = losses + self.cyclip_in * (a @ every_a.T - b @ every_b.T).square().sum(1)
        return losses
