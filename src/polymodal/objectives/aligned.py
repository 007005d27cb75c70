"""A contrastive loss as a weighted mean over terms, each of which brings some modalities
together.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial

from torch import Tensor

from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.samples import Samples
from polymodal.objectives.terms import Term


class Aligned(Contrastive):
    """The weighted mean of its terms.

    A term is a mean over the samples that have all of its modalities; the others are neither
    queries nor negatives there. A term without any sample counts as 0: an absent modality does not
    make the others weigh more.

    Args:
        modalities: names of the rows of X.
        terms: the rows of the view that each term compares, and its weight; by default each has a
            scale of its own.
        evaluation_batch_size, logit_scale, learn_scale: as in `Contrastive`.
    """

    def __init__(
        self,
        modalities: list[str],
        terms: list[Term],
        evaluation_batch_size: int,
        logit_scale: float | None,
        learn_scale: bool = True,
    ) -> None:
        super().__init__(
            modalities, evaluation_batch_size, logit_scale, learn_scale, scales=len(terms)
        )
        self.terms = terms

    @abstractmethod
    def losses(self, samples: Samples, term: int) -> Tensor:
        """Losses of the own samples, (B,), in the term of this number; x (N, k, d) holds its k
        modalities alone.
        """

    def held(self, samples: Samples) -> int:
        """How many numbers `losses` holds for each own sample, if that grows with N: they are then
        held in blocks.
        """
        return 0

    def share(self, samples: Samples) -> Tensor:
        """What this process' own samples add to the weighted mean over terms."""
        total = samples.x.new_zeros(())
        for number, term in enumerate(self.terms):
            there = samples.having(term.rows)
            total = total + term.weight * there.mean(
                partial(self.losses, term=number), self.held(there)
            )
        return total / sum(term.weight for term in self.terms)
