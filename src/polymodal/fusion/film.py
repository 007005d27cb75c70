"""One modality, scaled and shifted by the others."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.fusion.layers.named import index_of
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class FiLM(nn.Module):
    """(1 + scale) * target + shift, both a sum of linear maps of the other modalities (FiLM, Perez
    et al. 2018).

    What is absent adds nothing to either; an absent target is 0, and leaves the shift. With one
    modality there is nothing to condition on: y is the target.

    Parameters: (m - 1)*(d + 1)*2*d

    Args:
        dim: d.
        modalities: the m names.
        target: name of the modality that is conditioned; None for the first.

    Raises:
        ValueError: there is no modality of that name.
    """

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], target: str | None = None
    ) -> None:
        super().__init__()
        self.target = index_of(target, modalities, "target")
        self.others = [i for i in range(len(modalities)) if i != self.target]
        self.maps = nn.ModuleList(nn.Linear(dim, 2 * dim) for _ in self.others)

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        x = x.masked_fill(~mask[:, :, None], 0)
        y = x[:, self.target]
        for index, linear in zip(self.others, self.maps, strict=True):
            scale, shift = (linear(x[:, index]) * mask[:, index, None]).chunk(2, dim=1)
            y = y + scale * x[:, self.target] + shift
        return FusionOutput(y)
