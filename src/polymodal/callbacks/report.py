"""Draws the plots of a run into its folder when testing ends, and gathers what its page shows."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable, Mapping, Sized
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import IterableDataset

from polymodal.batch import PairedBatch
from polymodal.callbacks.zero_shot import ZeroShot
from polymodal.controls.control import random_order, same_answer
from polymodal.data.datamodule import PairedDataModule
from polymodal.data.loading.columns import value_names
from polymodal.files import write_whole
from polymodal.metrics.calibration import reliability_of
from polymodal.metrics.confusion import MATRIX, class_counts, class_metrics, confusion_matrix
from polymodal.metrics.multilabel import multilabel_table
from polymodal.metrics.sample_table import SampleTable
from polymodal.module import MultimodalModule
from polymodal.objectives.classification import Classification
from polymodal.objectives.contrastive import Contrastive
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves
from polymodal.report.embedding_map import draw_map, map_of, map_panel
from polymodal.report.gallery import (
    draw_gallery,
    gallery_panel,
    sizes,
    spread_queries,
    worst_queries,
)
from polymodal.report.media import Contents
from polymodal.report.mistakes import mistakes_of, mistakes_panel
from polymodal.report.publish import publish
from polymodal.report.reliability import draw_reliability
from polymodal.report.scatter import draw_residuals, draw_scatter
from polymodal.report.tables import write_classes, write_confused, write_confusion, write_values
from polymodal.report.unharmed import unharmed
from polymodal.training.checkpoints.files import Origin, load_checkpoint, origin_of

Columns = dict[str, Tensor]
log = logging.getLogger(__name__)

GALLERIES = 3
"""Modalities besides the first one that have galleries: each takes seconds to draw, and a row of
the page."""


class Report(Callback):
    """`report/`: the curves, and of each objective what it has to show, in a folder of its own
    where there are several.

    Alignment: retrieval galleries of the first modality with the next three, both ways, their worst
    misses, and a map of the embeddings. Classes: confusion matrix (or, with more classes than
    `MATRIX`, a table of what is confused most), reliability, a table of the classes and the most
    confident mistakes. Values: predicted against true, residuals, and what is furthest off. What
    cannot be drawn is said, and costs nothing else. The confusion matrix of zero-shot
    classification is drawn where that was done. Plots of the folder, those of other callbacks too,
    go to TensorBoard and wandb; wandb gets the tables as well. What only the page shows is in JSON
    files. When the run has its final metrics, `polymodal.report.page` makes one page of it all.

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
            _draw(self.folder / "curves.png", self._curves)
            with unharmed(self.folder / "about.json"):
                _write(self.folder / "about.json", about(_best(trainer), data))

    def on_test_start(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Forgets what an earlier test left."""
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
        """Notes the class of each sample, for the map's colours, and which items it has."""
        label = batch.labels.get(next(iter(self._class_names(trainer)), ""))
        if label is None or label.ndim > 1:
            label = torch.full_like(batch.id, -1)
        self.modalities = list(batch.items)
        items = torch.stack(list(batch.items.values()), dim=1)
        self.seen.update(batch.id, label=label, items=items, mask=batch.mask(self.modalities))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: MultimodalModule) -> None:
        """Takes what all processes have seen before the objective forgets it."""
        for name, part in pl_module.objective.parts().items():
            if isinstance(part, Contrastive | Supervised):
                self.tables[name] = {
                    column: value.cpu() for column, value in part.table.compute().items()
                }
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
        found = about(pl_module.origin, data, len(self.samples["id"]))
        _draw(self.folder / "curves.png", self._curves)
        for name, part in pl_module.objective.parts().items():
            table, own, start = (
                self.tables.get(name, {}),
                self.folder / name,
                f"{name}/" if name else "",
            )
            if isinstance(part, Contrastive):
                with unharmed(own / "sizes"):
                    measure(found, start, table, part.modalities)
                self._alignment(own, table, pl_module.model.modalities, contents)
            elif isinstance(part, Supervised) and len(table["id"]):
                names = part.output_names(self._names(trainer, part))
                values = {"values": names} if isinstance(part, Regression) else {}
                found["counts"][name] = {"samples": len(table["id"]), **values}
                with unharmed(own / "chance"):
                    chance = same_answer(part, _known_before(data, part, table), table["target"])
                    found["chance"] |= {
                        f"{start}{key}": float(value) for key, value in chance.items()
                    }
                self._answers(own, part, table, names, contents)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ZeroShot) and callback.confusion is not None:
                confusion, names = callback.confusion, callback.class_names
                found["counts"]["zero_shot"] = {"samples": int(confusion.sum())}
                found["chance"] |= dict.fromkeys(
                    ("zero_shot/accuracy", "zero_shot/recall"), 1 / len(names)
                )  # a guess
                _draw(self.folder / "zero_shot.png", draw_confusion, confusion, names, "Zero-shot")
                counts = class_metrics(confusion.diag(), confusion.sum(1), confusion.sum(0))
                _draw(self.folder / "zero_shot_classes.csv", write_classes, counts, names)
        _draw(self.folder / "about.json", _write, found)
        _draw(self.folder / "sounds.json", _write, {"kind": "sounds", "sounds": contents.sounds})
        with unharmed("What is shown of the report by loggers"):
            publish(self.folder, trainer.loggers, trainer.global_step)

    def _curves(self, file: Path) -> None:
        metrics = self.run_dir / "metrics.csv"
        if (
            metrics.exists()
        ):  # there is none without the CSV logger, or where a checkpoint is only evaluated
            with metrics.open(newline="") as stream:
                draw_curves(file, list(csv.DictReader(stream)))

    def _alignment(
        self, folder: Path, table: Columns, modalities: list[str], contents: Contents
    ) -> None:
        others = range(1, min(len(modalities), 1 + GALLERIES))
        if left_out := len(modalities) - 1 - len(others):
            log.info(
                "report: no galleries of %s further modalities, such as %s.",
                left_out,
                modalities[-1],
            )
        for source, target in (pair for other in others for pair in ((0, other), (other, 0))):
            name, ends = (
                f"{modalities[source]}_to_{modalities[target]}",
                (modalities[source], modalities[target]),
            )
            with unharmed(folder / name):
                queries = spread_queries(table, source, target, self.queries)
                missed = worst_queries(table, source, target, self.queries)
                _draw(folder / f"{name}.png", draw_gallery, queries, *ends, contents.describe)
                _draw(
                    folder / f"{name}.json",
                    _gallery,
                    f"{ends[0]} to {ends[1]}".capitalize(),
                    queries,
                    *ends,
                    contents,
                )
                title = f"Worst misses: {ends[0]} to {ends[1]}"
                _draw(folder / f"{name}_misses.json", _gallery, title, missed, *ends, contents)
        with unharmed(folder / "embedding_map"):
            drawn = map_of(table, modalities, self.classes)
            if drawn is not None:
                _draw(folder / "embedding_map.png", draw_map, drawn)
                _draw(folder / "embedding_map.json", _map, drawn, table, contents)

    def _answers(
        self, folder: Path, part: Supervised, table: Columns, names: list[str], contents: Contents
    ) -> None:
        y, target = part.in_units(table["y"]), table["target"]
        if isinstance(part, Classification):
            answer = y.argmax(1)
            if part.outputs <= MATRIX:
                confusion = confusion_matrix(answer, target, part.outputs)
                _draw(folder / "confusion.png", draw_confusion, confusion, names, part.label)
                _draw(folder / "confusion.csv", write_confusion, confusion, names)
            else:
                log.info(
                    "report: no matrix of %s classes; confused.csv has the pairs.", part.outputs
                )
                _draw(folder / "confused.csv", write_confused, answer, target, names)
            counts = class_counts(answer, target, part.outputs)
            _draw(folder / "classes.csv", write_classes, class_metrics(*counts), names)
            _draw(folder / "reliability.png", draw_reliability, reliability_of(y, target))
        elif isinstance(part, MultiLabel):
            _draw(
                folder / "classes.csv", write_classes, multilabel_table(y.double(), target), names
            )
        elif isinstance(part, Regression):
            _draw(folder / "predicted_against_true.png", draw_scatter, y.double(), target, names)
            _draw(folder / "residuals.png", draw_residuals, y.double(), target, names)
            _draw(folder / "values.csv", write_values, y.double(), target, names)
        _draw(folder / "mistakes.json", self._mistakes, part, table, names, contents)

    def _mistakes(
        self, file: Path, part: Supervised, table: Columns, names: list[str], contents: Contents
    ) -> None:
        title, facts = mistakes_of(part, table, names)
        panel = mistakes_panel(title, facts, self.samples, self.modalities, contents)
        if panel:
            _write(file, panel)

    def _names(self, trainer: Trainer, part: Supervised) -> list[str]:
        """What the outputs of an objective are called: classes, or the columns of the values."""
        if isinstance(part, Regression):
            return value_names(
                getattr(trainer.datamodule, "columns", None), part.label, part.outputs
            )  # type: ignore[attr-defined]
        return self._class_names(trainer).get(part.label, [])

    @staticmethod
    def _class_names(trainer: Trainer) -> dict[str, list[str]]:
        return trainer.datamodule.class_names  # type: ignore[attr-defined]


def about(origin: Origin | None, data: Any, tested: int = 0) -> dict[str, Any]:
    """What the page says beside the metrics.

    Args:
        origin: of the weights that are tested; None where they are those at the end of the
            training.
        data: set up.
        tested: samples of the test.
    """
    split = getattr(data, "val_set", None)
    count = len(split) if isinstance(split, Sized) else 0
    validated = min(count, data.limit or count)
    found = {} if origin is None else origin._asdict()
    return {
        "kind": "about",
        **found,
        "samples": {"test": tested, "val": validated},
        "counts": {},
        "chance": {},
    }


def measure(found: dict[str, Any], start: str, table: Columns, modalities: list[str]) -> None:
    """Adds how many queries and items each direction has, and what a random order would find.

    Args:
        found: see `about`.
        start: of the keys.
        table: embeddings of a split.
        modalities: of the objective.
    """
    few = modalities[: 1 + GALLERIES]
    for source, target in ((a, b) for a in range(len(few)) for b in range(len(few)) if a != b):
        queries, gallery = sizes(table, source, target)
        found["counts"][f"{start}{few[source]}_to_{few[target]}"] = {
            "queries": queries,
            "gallery": gallery,
        }
    if few == modalities:
        found["chance"] |= {
            f"{start}{key}": float(value) for key, value in random_order(table, modalities).items()
        }


def _known_before(data: PairedDataModule, part: Supervised, table: Columns) -> Tensor:
    """Targets of the training split; of data without one, or of a stream, those that are
    evaluated.
    """
    is_stream = isinstance(data.train_set, IterableDataset)
    labels = None if is_stream else data.training_labels(part.label)
    return table["target"] if labels is None or len(labels) == 0 else part.targets(labels)


def _best(trainer: Trainer) -> Origin | None:
    """The best checkpoint of a run that has none of its weights loaded."""
    kept = (
        c.best_model_path for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)
    )
    file = next((Path(path) for path in kept if path), None)
    return None if file is None else origin_of(load_checkpoint(file, parts=False), file)


def _gallery(file: Path, *content: Any) -> None:
    panel = gallery_panel(*content)
    if panel:
        _write(file, panel)


def _map(file: Path, *content: Any) -> None:
    _write(file, map_panel(*content))


def _write(file: Path, panel: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(panel))


def _draw(file: Path, draw: Callable[..., None], *content: Any) -> None:
    """Has a file of the report written, in a folder that may be new."""
    with unharmed(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        draw(file, *content)
