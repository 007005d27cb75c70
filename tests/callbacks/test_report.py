"""What a report holds, for each kind of objective."""

import csv
from pathlib import Path

import pytest
from tests.callbacks.runs import KINDS, MODALITIES, fit_and_judge

from polymodal.callbacks.report import Report
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted

pytestmark = pytest.mark.filterwarnings("ignore")

CLASSES = {"confusion.png", "confusion.csv", "classes.csv", "reliability.png"}
ALIGNMENT = {"a_to_b.png", "b_to_a.png", "embedding_map.png"}  # c cannot be shown


def report(folder: Path, objective: Objective, fused: bool = True, outputs: int = 3) -> set[str]:
    fit_and_judge(objective, Report(str(folder), queries=2), fused, outputs)
    return {str(file.relative_to(folder / "report")) for file in folder.rglob("*.*")}


def test_classes_have_a_matrix_a_table_and_a_reliability(tmp_path: Path) -> None:
    assert report(tmp_path, Classification("kind", 3)) == CLASSES
    with (tmp_path / "report" / "classes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["class"] for row in rows] == KINDS
    assert list(rows[0]) == ["class", "support", "precision", "recall", "f1"]
    with (tmp_path / "report" / "confusion.csv").open(newline="") as stream:
        header, *counts = csv.reader(stream)
    assert header[1:] == KINDS
    assert [sum(map(int, row[1:])) for row in counts] == [int(row["support"]) for row in rows]
    assert sum(int(row["support"]) for row in rows) == 39  # of 45 samples, six have no class


def test_several_classes_a_sample_have_a_table(tmp_path: Path) -> None:
    assert report(tmp_path, MultiLabel("tags", 2), outputs=2) == {"classes.csv"}
    with (tmp_path / "report" / "classes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["class"], row["support"]) for row in rows] == [("x", "15"), ("y", "30")]
    assert all(0 <= float(row["average_precision"]) <= 1 for row in rows)


def test_values_have_a_scatter(tmp_path: Path) -> None:
    assert report(tmp_path, Regression("size", 2), outputs=2) == {"predicted_against_true.png"}


def test_modalities_have_galleries_with_the_first_one_and_a_map(tmp_path: Path) -> None:
    assert report(tmp_path, CLIP(MODALITIES), fused=False) == ALIGNMENT


def test_several_objectives_have_a_folder_each(tmp_path: Path) -> None:
    parts = {"align": CLIP(MODALITIES), "kind": Classification("kind", 3)}
    files = report(tmp_path, Weighted(parts, {"align": 1.0, "kind": 1.0}))
    assert files == {f"align/{name}" for name in ALIGNMENT} | {f"kind/{name}" for name in CLASSES}
