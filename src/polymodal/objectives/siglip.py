"""SigLIP: a sigmoid for every pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from polymodal.losses.sigmoid import sigmoid_loss
from polymodal.objectives.contrastive import Contrastive
from polymodal.types import PositiveFloat, PositiveInt


class SigLIP(Contrastive):
    """Pairwise sigmoid loss with a learned temperature and bias (Zhai et al. 2023).

    Args:
        modalities: names of the rows of X; all pairs are aligned.
        logit_scale: first value of the inverse temperature.
        logit_bias: first value of the bias.
        evaluation_batch_size: samples in one loss when a whole split is judged.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        logit_scale: PositiveFloat = 10.0,
        logit_bias: float = -10.0,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        super().__init__(list(modalities), logit_scale, evaluation_batch_size)
        self.logit_bias = nn.Parameter(torch.tensor(logit_bias))

    @property
    def directions(self) -> list[tuple[int, int]]:
        """Each pair of modalities once: the loss is the same both ways round."""
        return [(a, b) for a, b in super().directions if a < b]

    def rows(self, queries: Tensor, keys: Tensor, positives: Tensor) -> Tensor:
        """(B, d), (N, d), (B, N) bool -> (B,) losses."""
        return sigmoid_loss(queries, keys, positives, self.logit_scale.exp(), self.logit_bias)
