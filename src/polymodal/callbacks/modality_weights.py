"""How much a fusion uses each modality."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.module import MultimodalModule
from polymodal.outputs import ModelOutput


class ModalityWeights(Callback):
    """Logs `<split>/weight/<modality>`, the mean weight over all samples, for fusions that have
    weights.
    """

    logs = ("val/weight/*",)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds a batch."""
        self._log("val", pl_module, outputs, len(batch))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Adds a batch."""
        self._log("test", pl_module, outputs, len(batch))

    @staticmethod
    def _log(split: str, module: MultimodalModule, output: ModelOutput, count: int) -> None:
        if output.weights is not None:
            means = output.weights.float().mean(0)
            metrics = {
                f"{split}/weight/{name}": means[i] for i, name in enumerate(module.model.modalities)
            }
            module.log_dict(metrics, on_step=False, on_epoch=True, batch_size=count, sync_dist=True)
