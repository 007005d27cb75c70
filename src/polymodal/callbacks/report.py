"""Draws the pictures of a run into its folder when testing ends."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from polymodal.batch import PairedBatch
from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.metrics.retrieval import Table
from polymodal.module import MultimodalModule
from polymodal.objectives.contrastive import Contrastive
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves
from polymodal.report.embedding_map import draw_map
from polymodal.report.gallery import draw_gallery


class Report(Callback):
    """`report/`: curves, a retrieval gallery in each direction, the zero-shot confusion matrix, a map of embeddings.

    Each picture is drawn only where the run has what it shows.

    Args:
        run_dir: the run's folder.
        queries: rows of a gallery.
    """

    def __init__(self, run_dir: str, queries: int = 8) -> None:
        self.run_dir = Path(run_dir)
        self.queries = queries
        self.table: Table | None = None
        self.classes: dict[int, str] = {}

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets what an earlier test left."""
        self.table = None
        self.classes = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes the class of each sample that this process sees, for the map's colours."""
        for label, names in list(trainer.datamodule.class_names.items())[:1]:  # type: ignore[attr-defined]
            pairs = zip(batch.id.tolist(), batch.labels[label].tolist(), strict=True)
            self.classes |= {id: names[index] for id, index in pairs if index >= 0}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Takes the embeddings of all processes before the objective forgets them."""
        if isinstance(pl_module.objective, Contrastive):
            self.table = pl_module.objective.table.compute()

    def on_test_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Draws, on the first process."""
        if not trainer.is_global_zero:
            return
        folder = self.run_dir / "report"
        folder.mkdir(parents=True, exist_ok=True)
        self._curves(folder)
        modalities, data = pl_module.model.modalities, trainer.datamodule  # type: ignore[attr-defined]
        if self.table is not None:
            for source, target in [(0, 1), (1, 0)]:
                file = folder / f"{modalities[source]}_to_{modalities[target]}.png"
                draw_gallery(file, self.table, modalities, source, target, data.describe, self.queries)
            draw_map(folder / "embedding_map.png", self.table, modalities, self.classes)
        for zero_shot in self._zero_shot(trainer):
            if zero_shot.confusion is not None:
                draw_confusion(folder / "zero_shot.png", zero_shot.confusion, zero_shot.class_names)

    def _curves(self, folder: Path) -> None:
        metrics = self.run_dir / "metrics.csv"
        if metrics.exists():  # there is none without the CSV logger, or where a checkpoint is only evaluated
            with metrics.open(newline="") as stream:
                draw_curves(folder / "curves.png", list(csv.DictReader(stream)))

    @staticmethod
    def _zero_shot(trainer: Trainer) -> list[ZeroShot]:
        return [callback for callback in trainer.callbacks if isinstance(callback, ZeroShot)]  # type: ignore[attr-defined]
