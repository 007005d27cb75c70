"""Symile: one inner product of all modalities at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from polymodal.losses.info_nce import info_nce
from polymodal.losses.symile import all_logits, shifted_logits
from polymodal.metrics.retrieval import Table
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import Term
from polymodal.types import PositiveFloat, PositiveInt


class Symile(Contrastive):
    """Each modality in turn against tuples of all others, by the multilinear inner product (Saporta
    et al. 2024).

    It learns what only all modalities together tell, which no sum over pairs does. Only samples
    that have all modalities count. The sum over k of the products of m unit vectors shrinks with
    their width: it is multiplied by d^(m/2 - 1), so that random vectors have logits as large as
    those of CLIP, and the scale means the same for any m. Large batches are compared block by
    block, down to one sample at a time.

    Args:
        modalities: names of the rows of X.
        negatives: `n`: as many tuples as samples. `n_squared`: all combinations, N^(m-1) a sample:
            for m = 3 and small batches.
        logit_scale: first value of the inverse temperature.
        learn_scale: whether it is trained.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        negatives: Literal["n", "n_squared"] = "n",
        logit_scale: PositiveFloat = 1 / 0.07,
        learn_scale: bool = True,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        terms = [Term(tuple(range(len(modalities))))]
        super().__init__(
            list(modalities), evaluation_batch_size, logit_scale, learn_scale, terms=terms
        )
        self.negatives = negatives

    def matrix_width(self, samples: GlobalBatch) -> int:
        """The tuples that each sample is compared with."""
        return len(samples.group) ** (1 if self.negatives == "n" else samples.x.shape[1] - 1)

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """All modalities, x (N, m, d) -> (B,) losses of the own samples, the mean over the m
        anchors.
        """
        _, m, d = samples.x.shape
        scale = self.scale(term) * d ** (m / 2 - 1)
        queries, positives = samples.queries(), samples.positives()
        total = samples.x.new_zeros(len(queries))
        for anchor in range(m):
            anchors, others = scale * queries[:, anchor], without(samples.x, anchor)
            if self.negatives == "n":
                logits, right = shifted_logits(anchors, others, samples.own, positives)
            else:
                logits, right = all_logits(anchors, others, positives)
            total = total + info_nce(logits, right) / m
        return total

    def remaining(self, table: Table) -> tuple[Tensor, Tensor]:
        """The product of all others asks for modality k."""
        m = len(self.modalities)
        rest = torch.stack([without(table["x"], k).prod(1) for k in range(m)], dim=1)
        there = torch.stack([without(table["mask"], k).all(1) for k in range(m)], dim=1)
        return rest, there


def without(x: Tensor, row: int) -> Tensor:
    """(N, m, ...) -> (N, m - 1, ...)."""
    return torch.cat([x[:, :row], x[:, row + 1 :]], dim=1)
