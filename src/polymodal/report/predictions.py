"""Plots and tables of the predictions of a supervised objective."""

from __future__ import annotations

import logging
from pathlib import Path

from torch import Tensor

from polymodal.metrics.calibration import reliability_of
from polymodal.metrics.confusion import MATRIX, class_counts, class_metrics, confusion_matrix
from polymodal.metrics.multilabel import multilabel_table
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.supervised import Supervised
from polymodal.report.confusion import draw_confusion
from polymodal.report.reliability import draw_reliability
from polymodal.report.scatter import draw_residuals, draw_scatter
from polymodal.report.tables import write_classes, write_confused, write_confusion, write_values
from polymodal.report.unharmed import draw

log = logging.getLogger(__name__)


def draw_predictions(
    folder: Path, part: Supervised, table: dict[str, Tensor], names: list[str], label: str
) -> None:
    """Of classes the confusion, the reliability and a table; of tags a table; of values the
    predicted against the true ones, the residuals and a table.

    Args:
        folder: where the files go.
        part: the objective.
        table: its y and target on a split.
        names: of the outputs.
        label: the name of the label.
    """
    y, target = part.in_units(table["y"]), table["target"]
    if isinstance(part, Classification):
        _draw_classes(folder, part, y, target, names, label)
    elif isinstance(part, MultiLabel):
        draw(folder / "classes.csv", write_classes, multilabel_table(y.double(), target), names)
    elif isinstance(part, Regression):
        draw(folder / "predicted_against_true.png", draw_scatter, y.double(), target, names)
        draw(folder / "residuals.png", draw_residuals, y.double(), target, names)
        draw(folder / "values.csv", write_values, y.double(), target, names)


def _draw_classes(
    folder: Path, part: Classification, y: Tensor, target: Tensor, names: list[str], label: str
) -> None:
    predicted = y.argmax(1)
    # a larger matrix can be neither read nor kept
    if part.outputs <= MATRIX:
        confusion = confusion_matrix(predicted, target, part.outputs)
        draw(folder / "confusion.png", draw_confusion, confusion, names, label)
        draw(folder / "confusion.csv", write_confusion, confusion, names)
    else:
        log.info("report: no matrix of %s classes; confused.csv has the pairs.", part.outputs)
        draw(folder / "confused.csv", write_confused, predicted, target, names)
    counts = class_counts(predicted, target, part.outputs)
    draw(folder / "classes.csv", write_classes, class_metrics(*counts), names)
    draw(folder / "reliability.png", draw_reliability, reliability_of(y, target))
