"""What every fusion returns."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class AuxLoss(NamedTuple):
    """A loss of what the global batch is like as a whole, however it is cut among processes and micro-batches.

    Attributes:
        rows: (B, k), what is to be known of each sample.
        of_mean: the mean of the rows of the global batch, (k,) -> the loss, a scalar.
    """

    rows: Tensor
    of_mean: Callable[[Tensor], Tensor]


class FusionOutput(NamedTuple):
    """The fused vector and what a fusion may tell about itself.

    Attributes:
        y: (B, d) fused vectors.
        weights: (B, m), how much each modality counted, or None where a fusion has no such notion.
        aux_loss: what the fusion wants added to the loss, or None.
    """

    y: Tensor
    weights: Tensor | None = None
    aux_loss: AuxLoss | None = None
