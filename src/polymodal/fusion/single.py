"""No fusion, as a control: one modality alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from polymodal.fusion.layers.named import index_of
from polymodal.outputs import FusionOutput
from polymodal.types import PositiveInt


class Single(nn.Module):
    """The vector of one modality, 0 where it is absent: what a fusion has to beat.

    Parameters: 0

    Args:
        dim: d.
        modalities: the m names.
        modality: which of them; None for the first.

    Raises:
        ValueError: there is no modality of that name.
    """

    def __init__(
        self, dim: PositiveInt, modalities: Sequence[str], modality: str | None = None
    ) -> None:
        super().__init__()
        self.index = index_of(modality, modalities, "modality")

    def forward(self, x: Tensor, mask: Tensor) -> FusionOutput:
        """(B, m, d), (B, m) bool -> y (B, d)."""
        return FusionOutput(x[:, self.index].masked_fill(~mask[:, self.index, None], 0))
