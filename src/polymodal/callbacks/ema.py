"""An exponential moving average of the weights that is evaluated as a whole."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.plugins import DoublePrecision
from torch import nn
from torch.optim.swa_utils import AveragedModel

from polymodal.module import MultimodalModule
from polymodal.training.distributed.fsdp import shard


class EMA(EMAWeightAveraging):
    """Lightning's average, kept in place until the metrics of a validation are computed.

    Lightning puts the raw weights back before the module computes its metrics: a validation loss
    would then join averaged embeddings with the raw temperature. It also keeps the average as the
    module is before the run begins, on the CPU and in fp32, and has none of a model that is
    sharded.
    """

    def setup(self, trainer: Trainer, pl_module: MultimodalModule, stage: str) -> None:
        """Copies the module while it is whole; of a copy of a sharded one each process keeps its
        shards.
        """
        if stage != "fit":
            return
        parts = nn.ModuleDict({"model": pl_module.model, "objective": pl_module.objective})
        device = self._device or trainer.strategy.root_device
        self._average_model = AveragedModel(
            parts, device, use_buffers=self._use_buffers, **self._kwargs
        )
        # else the weights lose digits where both are swapped
        if isinstance(trainer.precision_plugin, DoublePrecision):
            self._average_model.double()
        if pl_module.device_mesh is not None:
            shard(self._average_model.module.model, pl_module.device_mesh.device_type)  # type: ignore[arg-type]

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Too early: see `on_validation_end`."""

    def on_validation_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Puts the raw weights back; checkpoints are saved after this, with the average as the
        model's weights.
        """
        super().on_validation_epoch_end(trainer, pl_module)
