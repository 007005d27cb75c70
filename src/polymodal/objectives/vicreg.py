"""VICReg: agreement without negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from polymodal.losses.vicreg import covariance_loss, invariance_loss, variance_loss
from polymodal.objectives.contrastive import Contrastive, in_fp32
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import pair_terms
from polymodal.outputs import ModelOutput
from polymodal.types import NonNegativeFloat, PositiveInt


class VICReg(Contrastive):
    """Invariance between two modalities, variance and covariance within each (Bardes et al. 2022).

    Embeddings are not normalised; statistics are those of the global batch. There are no negatives,
    so that small batches do, and groups have no part in the loss. As in the authors' code, the
    invariance is a mean over the d dimensions, and the variance a mean of the two modalities.

    Args:
        modalities: names of the rows of X.
        pairs: `all`, or a list of [first, second] or [first, second, weight]; the loss is their
            weighted mean.
        anchor: instead of `pairs`, the modality that all others are aligned with.
        invariance: weight of the mean squared difference.
        variance: weight of what the standard deviations lack to 1.
        covariance: weight of the squared covariances.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        pairs: Literal["all"] | Sequence[Sequence[str | float]] = "all",
        anchor: str | None = None,
        invariance: NonNegativeFloat = 25.0,
        variance: NonNegativeFloat = 25.0,
        covariance: NonNegativeFloat = 1.0,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        terms = pair_terms(modalities, pairs, anchor)
        super().__init__(list(modalities), evaluation_batch_size, logit_scale=None, terms=terms)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def view(self, output: ModelOutput) -> ModelOutput:
        """X (B, m, d) and its mask as they are, in fp32 at least."""
        return ModelOutput(in_fp32(output.x), output.mask)

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """A pair, x (N, 2, d) -> (B,) losses of the own samples, each with what the batch as a
        whole adds.
        """
        a, b = samples.queries().unbind(1)
        spread = sum(variance_loss(z) for z in samples.x.unbind(1)) / 2
        overlap = sum(covariance_loss(z) for z in samples.x.unbind(1))
        return (
            self.invariance * invariance_loss(a, b)
            + self.variance * spread
            + self.covariance * overlap
        )
