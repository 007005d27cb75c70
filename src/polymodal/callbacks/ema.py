"""An exponential moving average of the weights that is judged as a whole."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from polymodal.module import MultimodalModule


class EMA(EMAWeightAveraging):
    """Lightning's average, kept in place until the figures of a validation are computed.

    Lightning puts the raw weights back before the module computes its figures: a validation loss would then join
    averaged embeddings with the raw temperature.
    """

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Too early: see `on_validation_end`."""

    def on_validation_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Puts the raw weights back; checkpoints are saved after this, with the average as the model's weights."""
        super().on_validation_epoch_end(trainer, pl_module)
