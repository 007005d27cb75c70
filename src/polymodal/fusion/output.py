"""What every fusion returns."""

from typing import NamedTuple

from torch import Tensor


class FusionOutput(NamedTuple):
    """The fused vector and what a fusion may tell about itself.

    Attributes:
        y: (B, d) fused vectors.
        weights: (B, m), how much each modality counted, or None where a fusion has no such notion.
        aux_loss: a scalar that the fusion wants added to the loss, or None.
    """

    y: Tensor
    weights: Tensor | None = None
    aux_loss: Tensor | None = None
