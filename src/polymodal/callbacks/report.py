"""Draws the pictures of a run into its folder when testing ends."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.metrics.calibration import reliability
from polymodal.metrics.classification import class_table, confusion_of
from polymodal.metrics.multilabel import multilabel_table
from polymodal.metrics.table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves
from polymodal.report.embedding_map import draw_map
from polymodal.report.gallery import draw_gallery
from polymodal.report.publish import publish
from polymodal.report.reliability import draw_reliability
from polymodal.report.scatter import draw_scatter
from polymodal.report.tables import write_classes, write_confusion

Columns = dict[str, Tensor]


class Report(Callback):
    """`report/`: the curves, and of each objective what it has to show, in a folder of its own where there are several.

    Alignment: retrieval galleries of the first modality with each other, both ways, and a map of the embeddings.
    Classes: confusion matrix, reliability and a table of the classes. Values: predicted against true.
    The confusion matrix of zero-shot classification is drawn where that was done.
    Pictures of the folder, those of other callbacks too, go to TensorBoard and wandb; wandb gets the tables as well.
    When the run has its final figures, `polymodal.report.page` makes one page of it all.

    Args:
        run_dir: the run's folder.
        queries: rows of a gallery.
    """

    def __init__(self, run_dir: str, queries: int = 8) -> None:
        self.run_dir = Path(run_dir)
        self.queries = queries

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets what an earlier test left."""
        self.tables: dict[str, Columns] = {}
        self.classes: dict[int, str] = {}
        self.labels = SampleTable("label")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes the class of each sample, for the map's colours."""
        label = batch.labels.get(next(iter(self._class_names(trainer)), ""))
        if label is None or label.ndim > 1:
            label = torch.full_like(batch.id, -1)
        self.labels.update(batch.id, label=label)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Takes what all processes have seen before the objective forgets it."""
        for name, part in pl_module.objective.parts().items():
            if isinstance(part, Contrastive | Supervised):
                self.tables[name] = {column: value.cpu() for column, value in part.table.compute().items()}
        names = next(iter(self._class_names(trainer).values()), [])
        labels = self.labels.compute()
        pairs = zip(labels["id"].tolist(), labels["label"].tolist(), strict=True)
        self.classes = {id: names[index] for id, index in pairs if index >= 0}

    def on_test_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Draws, on the first process."""
        if not trainer.is_global_zero:
            return
        folder = self.run_dir / "report"
        folder.mkdir(parents=True, exist_ok=True)
        self._curves(folder)
        for name, part in pl_module.objective.parts().items():
            table = self.tables.get(name, {})
            own = folder / name
            own.mkdir(parents=True, exist_ok=True)
            if isinstance(part, Contrastive):
                self._alignment(own, table, pl_module.model.modalities, trainer)
            elif isinstance(part, Supervised) and len(table["id"]):
                self._answers(own, part, table, self._class_names(trainer).get(part.label, []))
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ZeroShot) and callback.confusion is not None:
                draw_confusion(folder / "zero_shot.png", callback.confusion, callback.class_names, "Zero-shot")
        publish(folder, trainer.loggers, trainer.global_step)

    def _curves(self, folder: Path) -> None:
        metrics = self.run_dir / "metrics.csv"
        if metrics.exists():  # there is none without the CSV logger, or where a checkpoint is only evaluated
            with metrics.open(newline="") as stream:
                draw_curves(folder / "curves.png", list(csv.DictReader(stream)))

    def _alignment(self, folder: Path, table: Columns, modalities: list[str], trainer: Trainer) -> None:
        describe = trainer.datamodule.describe  # type: ignore[attr-defined]
        for other in range(1, len(modalities)):
            for source, target in ((0, other), (other, 0)):
                file = folder / f"{modalities[source]}_to_{modalities[target]}.png"
                draw_gallery(file, table, modalities, source, target, describe, self.queries)
        draw_map(folder / "embedding_map.png", table, modalities, self.classes)

    @staticmethod
    def _answers(folder: Path, objective: Supervised, table: Columns, names: list[str]) -> None:
        y, target = table["y"].double(), table["target"]
        names = objective.output_names(names)
        if isinstance(objective, Classification):
            confusion = confusion_of(y, target)
            draw_confusion(folder / "confusion.png", confusion, names, objective.label)
            write_confusion(folder / "confusion.csv", confusion, names)
            write_classes(folder / "classes.csv", class_table(confusion), names)
            draw_reliability(folder / "reliability.png", reliability(y.softmax(1), target))
        elif isinstance(objective, MultiLabel):
            write_classes(folder / "classes.csv", multilabel_table(y, target), names)
        elif isinstance(objective, Regression):
            draw_scatter(folder / "predicted_against_true.png", y, target, names)

    @staticmethod
    def _class_names(trainer: Trainer) -> dict[str, list[str]]:
        return trainer.datamodule.class_names  # type: ignore[attr-defined]
