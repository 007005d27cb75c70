"""Draws the plots of a run into its folder when testing ends, and gathers what its page shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from polymodal.batch import PairedBatch
from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.data.loading.columns import label_name, value_names
from polymodal.metrics.confusion import class_metrics
from polymodal.metrics.sample_table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.about import About
from polymodal.report.alignment import draw_alignment
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves
from polymodal.report.media import Contents
from polymodal.report.mistakes import mistakes_of, mistakes_panel
from polymodal.report.predictions import draw_predictions
from polymodal.report.publish import publish
from polymodal.report.tables import write_classes
from polymodal.report.unharmed import draw, unharmed, write_panel
from polymodal.training.checkpoints.files import Origin, load_checkpoint, origin_of

Columns = dict[str, Tensor]


class Report(Callback):
    """Writes `report/`: the curves, and what each objective has to show, in a folder of its own
    where there are several.

    Alignment: retrieval galleries of the first modality with the next three, both ways, their worst
    misses, and a map of the embeddings. Classes: confusion matrix (or, with more classes than
    `MATRIX`, a table of what is confused most), reliability, a table of the classes and the most
    confident mistakes. Values: predicted against true, residuals, and the largest errors. Zero-shot
    classification: its confusion matrix. A plot that cannot be drawn is reported, and costs nothing
    else.

    Plots of the folder, those of other callbacks too, go to TensorBoard and wandb; wandb gets the
    tables as well. What only the page shows is in JSON files. When the run has its final metrics,
    `polymodal.report.page` makes one page of it all.

    Args:
        run_dir: the run's folder.
        queries: rows of a gallery.
    """

    def __init__(self, run_dir: str, queries: int = 8) -> None:
        self.run_dir = Path(run_dir)
        self.queries = queries

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return self.run_dir / "report"

    def on_fit_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """A run that is not tested has curves, and the validation of its best checkpoint."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and "test" not in data.wanted:
            draw(self.folder / "curves.png", self._curves)
            with unharmed(self.folder / "about.json"):
                write_panel(self.folder / "about.json", About(_best(trainer), data).panel())

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets an earlier test."""
        self.tables: dict[str, Columns] = {}
        self.classes: dict[int, str] = {}
        self.seen = SampleTable("label", "items", "mask")
        self.modalities: list[str] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: MultimodalModule,
        outputs: Any,
        batch: PairedBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Notes the class of each sample, for the map's colours, and its items."""
        label = batch.labels.get(next(iter(self._class_names(trainer)), ""))
        if label is None or label.ndim > 1:
            label = torch.full_like(batch.id, -1)
        self.modalities = list(batch.items)
        items = torch.stack(list(batch.items.values()), dim=1)
        self.seen.update(batch.id, label=label, items=items, mask=batch.mask(self.modalities))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Gathers the tables of all processes before the objective is reset."""
        for name, part in pl_module.objective.parts().items():
            if isinstance(part, Contrastive | Supervised):
                columns = part.table.compute()
                self.tables[name] = {key: value.cpu() for key, value in columns.items()}
        names = next(iter(self._class_names(trainer).values()), [])
        self.samples = self.seen.compute()
        pairs = zip(self.samples["id"].tolist(), self.samples["label"].tolist(), strict=True)
        self.classes = {id: names[index] for id, index in pairs if index >= 0}

    def on_test_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Draws, on the first process."""
        if not trainer.is_global_zero:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        contents = Contents(data)
        about = About(pl_module.origin, data, len(self.samples["id"]))
        draw(self.folder / "curves.png", self._curves)
        for name, part in pl_module.objective.parts().items():
            if isinstance(part, Contrastive):
                self._alignment(name, part, pl_module.model.modalities, about, contents)
            elif isinstance(part, Supervised) and len(self.tables[name]["id"]):
                self._predictions(name, part, trainer, about, contents)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ZeroShot):
                self._zero_shot(callback, about)
        draw(self.folder / "about.json", write_panel, about.panel())
        sounds = {"kind": "sounds", "sounds": contents.sounds}
        draw(self.folder / "sounds.json", write_panel, sounds)
        with unharmed("What is shown of the report by loggers"):
            publish(self.folder, trainer.loggers, trainer.global_step)

    def _curves(self, file: Path) -> None:
        # there is none without the CSV logger, or where a checkpoint is only evaluated
        metrics = self.run_dir / "metrics.csv"
        if metrics.exists():
            with metrics.open(newline="") as stream:
                draw_curves(file, list(csv.DictReader(stream)))

    def _alignment(
        self, name: str, part: Contrastive, modalities: list[str], about: About, contents: Contents
    ) -> None:
        folder, table = self.folder / name, self.tables.get(name, {})
        with unharmed(folder / "sizes"):
            about.add_retrieval(_prefix(name), table, part.modalities)
        draw_alignment(folder, table, modalities, self.classes, self.queries, contents)

    def _predictions(
        self, name: str, part: Supervised, trainer: Trainer, about: About, contents: Contents
    ) -> None:
        folder, table = self.folder / name, self.tables[name]
        data = trainer.datamodule  # type: ignore[attr-defined]
        names = part.output_names(self._names(trainer, part))
        about.add_predictions(name, part, len(table["id"]), names)
        with unharmed(folder / "chance"):
            about.add_chance(_prefix(name), part, data, table)
        label = label_name(getattr(data, "columns", None), part.label)
        draw_predictions(folder, part, table, names, label)
        with unharmed(folder / "mistakes.json"):
            title, mistakes = mistakes_of(part, table, names)
            panel = mistakes_panel(title, mistakes, self.samples, self.modalities, contents)
            write_panel(folder / "mistakes.json", panel)

    def _zero_shot(self, callback: ZeroShot, about: About) -> None:
        confusion, names = callback.confusion, callback.class_names
        if confusion is None:
            return
        about.add_zero_shot(confusion, len(names))
        draw(self.folder / "zero_shot.png", draw_confusion, confusion, names, "Zero-shot")
        counts = class_metrics(confusion.diag(), confusion.sum(1), confusion.sum(0))
        draw(self.folder / "zero_shot_classes.csv", write_classes, counts, names)

    def _names(self, trainer: Trainer, part: Supervised) -> list[str]:
        """Names of the outputs of an objective: classes, or the columns of the values."""
        if isinstance(part, Regression):
            columns = getattr(trainer.datamodule, "columns", None)  # type: ignore[attr-defined]
            return value_names(columns, part.label, part.outputs)
        return self._class_names(trainer).get(part.label, [])

    @staticmethod
    def _class_names(trainer: Trainer) -> dict[str, list[str]]:
        return trainer.datamodule.class_names  # type: ignore[attr-defined]


def _prefix(name: str) -> str:
    """Start of the metric keys of an objective."""
    return f"{name}/" if name else ""


def _best(trainer: Trainer) -> Origin | None:
    """The best checkpoint of a run that has none of its weights loaded."""
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_path:
            file = Path(callback.best_model_path)
            return origin_of(load_checkpoint(file, parts=False), file)
    return None
