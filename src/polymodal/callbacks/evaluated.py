"""Says how many samples a test was of."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.data.datamodule import PairedDataModule
from polymodal.metrics.sample_table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.terminal import say


class Evaluated(Callback):
    """Prints `Evaluated 20 of 200 samples` when a test ends: metrics of a tenth look like those of
    all.
    """

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets an earlier test."""
        self.seen = SampleTable()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes which samples came."""
        self.seen.update(batch.id)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Counts those of all processes, and says it on the first."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not isinstance(data, PairedDataModule):  # of embed.py, which counts rows
            return
        ids = self.seen.compute()["id"].numpy()
        if trainer.is_global_zero:
            say(f"Evaluated {of_all(*data.counted(ids))}: the test split.", soft_wrap=True)


def of_all(count: int, total: int | None) -> str:
    """`20 of 200 samples`, or `20 samples` where nobody knows how many there are."""
    return f"{count} samples" if total is None else f"{count} of {total} samples"
