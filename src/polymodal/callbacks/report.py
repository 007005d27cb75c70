"""Draws the pictures of a run into its folder when testing ends."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from lightning.pytorch import Callback, Trainer

from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.module import MultimodalModule
from polymodal.objectives.contrastive import Contrastive
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves
from polymodal.report.embedding_map import draw_map
from polymodal.report.gallery import draw_gallery

log = logging.getLogger(__name__)


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

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Takes the embeddings of all processes before the objective forgets them."""
        objective = pl_module.objective
        self.table = objective.table.compute() if isinstance(objective, Contrastive) else None

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
            draw_map(folder / "embedding_map.png", self.table, modalities, self._classes(trainer))
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

    def _classes(self, trainer: Trainer) -> dict[int, str]:
        """Sample id -> class name, as far as the test data have classes."""
        labels = trainer.datamodule.class_names  # type: ignore[attr-defined]
        if not labels:
            return {}
        label, names = next(iter(labels.items()))
        data = trainer.datamodule.test_set  # type: ignore[attr-defined]
        batch = data[list(range(len(data)))]
        pairs = zip(batch.id.tolist(), batch.labels[label].tolist(), strict=True)
        return {id: names[index] for id, index in pairs if index >= 0}
