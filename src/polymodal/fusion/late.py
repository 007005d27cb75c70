"""A decision of each modality by itself, then one of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymodal.fusion.layers.linear_each import LinearEach
from polymodal.fusion.layers.softmax import masked_softmax
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Late(nn.Module):
    """A linear map of each modality to logits, combined over the present modalities. y is Y: use it
    with head=none.

    `combine=mean`: the mean of the logits. `weighted`: their mean with one learned weight a
    modality. `product`: their sum, whose softmax is the normalised product of the experts'
    probabilities (Hinton 2002). `evidential`: softplus(logits) is evidence for each class, and the
    opinions are combined by Dempster's rule (TMC, Han et al. 2021); an absent modality is the
    opinion that knows nothing. y is log(alpha) of the Dirichlet distribution that results: its
    softmax is the expected probability of each class, so that cross-entropy is the loss of the
    expectation, and outputs / exp(y).sum(1) is the uncertainty, 1 where nothing is known.

    Parameters: m*(d + 1)*outputs + (m if combine == "weighted" else 0)

    Args:
        dim: d.
        modalities: the m names.
        outputs: p, the number of classes; or of values, for `mean` and `weighted`.
        combine: how.

    Raises:
        ValueError: `evidential` with a single output.
    """

    def __init__(
        self,
        dim: PositiveInt,
        modalities: Sequence[str],
        outputs: PositiveInt,
        combine: Literal["mean", "weighted", "product", "evidential"] = "mean",
    ) -> None:
        super().__init__()
        if combine == "evidential" and outputs == 1:
            raise ValueError(
                "combine=evidential weighs classes, and outputs=1 is one value: give "
                "fusion.combine=mean."
            )
        self.combine = combine
        self.experts = LinearEach(len(modalities), dim, outputs)
        self.scores = nn.Parameter(torch.zeros(len(modalities))) if combine == "weighted" else None

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, p), weights (B, m) for `mean` and `weighted`."""
        absent = ~mask[:, :, None]
        logits = self.experts(x.masked_fill(absent, 0))
        if self.combine == "evidential":
            return FusionOutput(log_alpha(F.softplus(logits).masked_fill(absent, 0)))
        if self.combine == "product":
            return FusionOutput(logits.masked_fill(absent, 0).sum(1))
        scores = logits.new_zeros(mask.shape[1]) if self.scores is None else self.scores
        weights = masked_softmax(scores.expand(mask.shape), mask, dim=1)
        return FusionOutput((weights[:, :, None] * logits).sum(1), weights)


def log_alpha(evidence: Tensor) -> Tensor:
    """(B, m, K), evidence >= 0 of m opinions -> (B, K), log(alpha) of the opinion that Dempster's
    rule makes of them.

    An opinion has belief e_k / S and uncertainty K / S, S = K + sum(e). The rule multiplies belief
    + uncertainty class by class, and uncertainties, then normalises. Relative to the uncertainty
    that is 1 + e_k / K, a plain product, and the norm cancels: alpha_k = 1 + K (prod_i (1 + e_ik /
    K) - 1). In logarithms nothing overflows.
    """
    classes = evidence.shape[-1]
    log_product = (evidence / classes).log1p().sum(1)
    return log_product + (-(classes - 1) * (-log_product).expm1()).log1p()
