"""Pairs of modalities, and each modality with the fusion of all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.losses.info_nce import info_nce
from polymodal.losses.tiled_info_nce import tiled_info_nce
from polymodal.metrics.retrieval import Table
from polymodal.objectives.contrastive import Contrastive, embedded
from polymodal.objectives.global_batch import GlobalBatch
from polymodal.objectives.terms import Term, pair_terms
from polymodal.outputs import ModelOutput
from polymodal.types import Fraction, PositiveFloat, PositiveInt


class Fused(Contrastive):
    """(1 - share) x pairs + share x rests: InfoNCE of pairs, and of modality k with the fused rest
    (after ConFu, 2025).

    Pairs keep retrieval from one modality to another; the rests learn what only several together
    tell. A rest is there where at least one of its modalities is: the fusion sees which. Each term
    has a temperature of its own.

    Args:
        modalities: names of the rows of X.
        fusion: (B, m, d), (B, m) bool -> FusionOutput with y (B, d); a part of this objective, not
            of the model.
        rest_share: share of the loss that the rests have, 0 to 1.
        pairs: `all`, or a list of [first, second] or [first, second, weight].
        anchor: instead of `pairs`, the modality that all others are aligned with.
        logit_scale: first value of the inverse temperatures.
        learn_scale: whether they are trained.
        evaluation_batch_size: samples in one loss when a whole split is evaluated.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        fusion: nn.Module,
        rest_share: Fraction = 0.5,
        pairs: Literal["all"] | Sequence[Sequence[str | float]] = "all",
        anchor: str | None = None,
        logit_scale: PositiveFloat = 1 / 0.07,
        learn_scale: bool = True,
        evaluation_batch_size: PositiveInt = 512,
    ) -> None:
        if not isinstance(fusion, nn.Module):
            raise ValueError(
                f"fusion={fusion} is no fusion. Choose one by fusion@objective.fusion=gated"
            )
        if getattr(fusion, "reads_tokens", False):
            name = type(fusion).__name__
            raise ValueError(
                f"fusion={name} reads sequences of tokens, and there are none here. Choose another "
                "fusion."
            )
        m = len(modalities)
        terms = pair_terms(modalities, pairs, anchor)
        total = sum(term.weight for term in terms)
        terms = [Term(term.rows, (1 - rest_share) * term.weight / total) for term in terms]
        terms += [Term((m + k, k), rest_share / m) for k in range(m)]
        super().__init__(
            list(modalities), evaluation_batch_size, logit_scale, learn_scale, terms=terms
        )
        self.fusion = fusion

    def view(self, output: ModelOutput) -> ModelOutput:
        """X (B, m, d) -> (B, 2m, d): unit vectors, and after them the fused rests, row m + k
        without modality k.
        """
        x, mask = super().view(output)[:2]
        count, m, d = x.shape
        asked = mask[:, None] & ~torch.eye(m, dtype=torch.bool, device=mask.device)  # (B, k, m)
        parts = x[:, None].masked_fill(~asked[..., None], 0).flatten(0, 1)
        weight = next(self.fusion.parameters(), x)
        fused = self.fusion(parts.to(weight.dtype), asked.flatten(0, 1))
        rests = F.normalize(fused.y.to(x.dtype).view(count, m, d), dim=-1, eps=1e-12)
        return ModelOutput(
            torch.cat([x, rests], 1), torch.cat([mask, asked.any(2)], 1), aux_loss=fused.aux_loss
        )

    def losses(self, samples: GlobalBatch, term: int) -> Tensor:
        """A pair, x (N, 2, d) -> (B,) losses of the own samples, the mean of both directions."""
        if samples.are_many():
            asking, asked = samples.x.unbind(1)
            return tiled_info_nce(asking, asked, samples.group, samples.own, self.scale(term))
        own, positives = self.scale(term) * samples.queries(), samples.positives()
        there, back = own[:, 0] @ samples.x[:, 1].T, own[:, 1] @ samples.x[:, 0].T
        return (info_nce(there, positives) + info_nce(back, positives)) / 2

    def remaining(self, table: Table) -> tuple[Tensor, Tensor]:
        """The fusion of all others asks for modality k."""
        m = len(self.modalities)
        batches = torch.arange(len(table["id"]), device=table["id"].device).split(
            self.evaluation_batch_size
        )
        views = [self.view(embedded(table, rows)) for rows in batches]
        return torch.cat([view.x[:, m:] for view in views]), torch.cat(
            [view.mask[:, m:] for view in views]
        )
