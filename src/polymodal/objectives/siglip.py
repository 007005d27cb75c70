"""SigLIP: a sigmoid for every pair of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from polymodal.losses.sigmoid import sigmoid_loss
from polymodal.losses.tiled_sigmoid import tiled_sigmoid_loss
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import pair_terms
from polymodal.types import PositiveFloat, PositiveInt


class SigLIP(Contrastive):
    """Sigmoid loss with a learned temperature and bias a pair of modalities (Zhai et al. 2023).

    Large batches are compared tile by tile, and no matrix of logits is kept for backward (see
    `GlobalBatch.are_many`).

    Args:
        modalities: names of the rows of X.
        pairs: `all`, or a list of [first, second] or [first, second, weight]; the loss is their
            weighted mean.
        anchor: instead of `pairs`, the modality that all others are aligned with.
        logit_scale: first value of the inverse temperatures.
        logit_bias: first value of the biases.
        learn_scale: whether the temperatures are trained.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        pairs: Literal["all"] | Sequence[Sequence[str | float]] = "all",
        anchor: str | None = None,
        logit_scale: PositiveFloat = 10.0,
        logit_bias: float = -10.0,
        learn_scale: bool = True,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        terms = pair_terms(modalities, pairs, anchor)
        super().__init__(
            list(modalities), evaluation_batch_size, logit_scale, learn_scale, terms=terms
        )
        self.logit_bias = nn.Parameter(torch.full((len(terms),), float(logit_bias)))

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """A pair, x (N, 2, d) -> (B,) losses of the own samples; they are the same both ways
        round.
        """
        queries, keys = samples.queries()[:, 0], samples.x[:, 1]
        scale, bias = self.scale(term), self.logit_bias[term]
        if samples.are_many():
            return tiled_sigmoid_loss(
                queries, keys, samples.group[samples.own], samples.group, scale, bias
            )
        logits = (scale * queries) @ keys.T + bias
        return sigmoid_loss(logits, samples.positives())
