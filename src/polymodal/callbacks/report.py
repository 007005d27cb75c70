"""Draws the pictures of a run into its folder when testing ends."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.metrics.calibration import reliability_of
from polymodal.metrics.multilabel import multilabel_table
from polymodal.metrics.recall import MATRIX, class_counts, class_figures, confusion_matrix
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
from polymodal.report.tables import write_classes, write_confused, write_confusion
from polymodal.report.unharmed import unharmed

Columns = dict[str, Tensor]
log = logging.getLogger(__name__)

GALLERIES = 3
"""Modalities besides the first one that have galleries: each takes seconds to draw, and a row of the page."""


class Report(Callback):
    """`report/`: the curves, and of each objective what it has to show, in a folder of its own where there are several.

    Alignment: retrieval galleries of the first modality with the next three, both ways, and a map of the embeddings.
    Classes: confusion matrix (or, with more classes than `MATRIX`, a table of what is confused most), reliability and a
    table of the classes. Values: predicted against true. What cannot be drawn is said, and costs nothing else.
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
        _draw(folder / "curves.png", self._curves)
        for name, part in pl_module.objective.parts().items():
            table, own = self.tables.get(name, {}), folder / name
            if isinstance(part, Contrastive):
                self._alignment(own, table, pl_module.model.modalities, trainer)
            elif isinstance(part, Supervised) and len(table["id"]):
                self._answers(own, part, table, self._class_names(trainer).get(part.label, []))
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ZeroShot) and callback.confusion is not None:
                _draw(folder / "zero_shot.png", draw_confusion, callback.confusion, callback.class_names, "Zero-shot")
        with unharmed("What is shown of the report by loggers"):
            publish(folder, trainer.loggers, trainer.global_step)

    def _curves(self, file: Path) -> None:
        metrics = self.run_dir / "metrics.csv"
        if metrics.exists():  # there is none without the CSV logger, or where a checkpoint is only evaluated
            with metrics.open(newline="") as stream:
                draw_curves(file, list(csv.DictReader(stream)))

    def _alignment(self, folder: Path, table: Columns, modalities: list[str], trainer: Trainer) -> None:
        describe = trainer.datamodule.describe  # type: ignore[attr-defined]
        others = range(1, min(len(modalities), 1 + GALLERIES))
        if left_out := len(modalities) - 1 - len(others):
            log.info("report: no galleries of %s further modalities, such as %s.", left_out, modalities[-1])
        for source, target in (pair for other in others for pair in ((0, other), (other, 0))):
            file = folder / f"{modalities[source]}_to_{modalities[target]}.png"
            _draw(file, draw_gallery, table, modalities, source, target, describe, self.queries)
        _draw(folder / "embedding_map.png", draw_map, table, modalities, self.classes)

    @staticmethod
    def _answers(folder: Path, objective: Supervised, table: Columns, names: list[str]) -> None:
        y, target = objective.in_units(table["y"]), table["target"]
        names = objective.output_names(names)
        if isinstance(objective, Classification):
            answer = y.argmax(1)
            if objective.outputs <= MATRIX:
                confusion = confusion_matrix(answer, target, objective.outputs)
                _draw(folder / "confusion.png", draw_confusion, confusion, names, objective.label)
                _draw(folder / "confusion.csv", write_confusion, confusion, names)
            else:
                log.info("report: no matrix of %s classes; confused.csv has the pairs.", objective.outputs)
                _draw(folder / "confused.csv", write_confused, answer, target, names)
            counts = class_counts(answer, target, objective.outputs)
            _draw(folder / "classes.csv", write_classes, class_figures(*counts), names)
            _draw(folder / "reliability.png", draw_reliability, reliability_of(y, target))
        elif isinstance(objective, MultiLabel):
            _draw(folder / "classes.csv", write_classes, multilabel_table(y.double(), target), names)
        elif isinstance(objective, Regression):
            _draw(folder / "predicted_against_true.png", draw_scatter, y.double(), target, names)

    @staticmethod
    def _class_names(trainer: Trainer) -> dict[str, list[str]]:
        return trainer.datamodule.class_names  # type: ignore[attr-defined]


def _draw(file: Path, draw: Callable[..., None], *content: Any) -> None:
    """Has a file of the report written, in a folder that may be new."""
    with unharmed(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        draw(file, *content)
