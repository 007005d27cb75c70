"""What a report holds, for each kind of objective."""

import csv
import errno
import json
import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure
from tests.callbacks.runs import KINDS, MODALITIES, fit_and_judge

from polymodal.callbacks.report import Report
from polymodal.metrics import confusion as recall
from polymodal.objectives.base import Objective
from polymodal.objectives.classification import Classification
from polymodal.objectives.clip import CLIP
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.objectives.weighted import Weighted
from polymodal.report import alignment, predictions
from polymodal.report.about import training_targets
from polymodal.report.alignment import draw_alignment
from polymodal.report.page import write_page
from polymodal.training.final import finish

pytestmark = pytest.mark.filterwarnings("ignore")

ALWAYS = {"about.json", "sounds.json"}
CLASSES = {"confusion.png", "confusion.csv", "classes.csv", "reliability.png", "mistakes.json"}
ALIGNMENT = {
    "a_to_b.png",
    "b_to_a.png",
    "a_to_b.json",
    "b_to_a.json",
    "embedding_map.png",
    "embedding_map.json",
}
ALIGNMENT |= {"a_to_b_misses.json", "b_to_a_misses.json"}  # c cannot be shown


def report(folder: Path, objective: Objective, fused: bool = True, outputs: int = 3) -> set[str]:
    fit_and_judge(objective, Report(str(folder), queries=2), fused, outputs)
    files = {str(file.relative_to(folder / "report")) for file in folder.rglob("*.*")}
    assert files >= ALWAYS
    return files - ALWAYS


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
    support = [int(row["support"]) for row in rows]
    assert sum(support) == 39  # of 45 samples, six have no class
    chance = json.loads((tmp_path / "report" / "about.json").read_text())["chance"]
    assert chance["accuracy"] == pytest.approx(max(support) / 39)
    assert chance["recall"] == pytest.approx(1 / 3)


def test_several_classes_a_sample_have_a_table(tmp_path: Path) -> None:
    assert report(tmp_path, MultiLabel("tags", 2), outputs=2) == {"classes.csv", "mistakes.json"}
    with (tmp_path / "report" / "classes.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["class"], row["support"]) for row in rows] == [("x", "15"), ("y", "30")]
    assert all(0 <= float(row["average_precision"]) <= 1 for row in rows)


def test_values_have_a_scatter_and_residuals(tmp_path: Path) -> None:
    expected = {"predicted_against_true.png", "residuals.png", "mistakes.json", "values.csv"}
    assert report(tmp_path, Regression("size", 2), outputs=2) == expected
    chance = json.loads((tmp_path / "report" / "about.json").read_text())["chance"]
    assert chance["r2"] == pytest.approx(0, abs=0.1)
    assert chance["mae"] > 0


def test_chance_is_of_the_training_labels_or_else_of_those_that_are_evaluated() -> None:
    part, table = Regression("size"), {"target": torch.tensor([[5.0]])}
    trained = SimpleNamespace(train_set=[], training_labels=lambda _: torch.tensor([1.0, 3.0]))
    assert training_targets(trained, part, table).tolist() == [[1.0], [3.0]]
    for labels in (None, torch.empty(0)):
        other = SimpleNamespace(train_set=[], training_labels=lambda _, labels=labels: labels)
        assert training_targets(other, part, table) is table["target"]


def test_modalities_have_galleries_with_the_first_one_and_a_map(tmp_path: Path) -> None:
    assert report(tmp_path, CLIP(MODALITIES), fused=False) == ALIGNMENT


def test_several_objectives_have_a_folder_each(tmp_path: Path) -> None:
    parts = {"align": CLIP(MODALITIES), "kind": Classification("kind", 3)}
    files = report(tmp_path, Weighted(parts, {"align": 1.0, "kind": 1.0}))
    assert files == {f"align/{name}" for name in ALIGNMENT} | {f"kind/{name}" for name in CLASSES}


def test_of_very_many_classes_the_confused_pairs_are_written(tmp_path: Path, monkeypatch) -> None:
    for module in (recall, predictions):
        monkeypatch.setattr(
            module,
            "confusion_matrix",
            lambda *_: pytest.fail("it grows with the square of the classes"),
        )
    many = recall.MATRIX + 1
    callback = Report(str(tmp_path))
    _, module = fit_and_judge(Classification("kind", many), callback, fused=True, outputs=many)
    names = {file.name for file in (tmp_path / "report").iterdir()} - ALWAYS
    assert names == {"confused.csv", "classes.csv", "reliability.png", "mistakes.json"}
    table = callback.tables[""] if "" in callback.tables else next(iter(callback.tables.values()))
    pairs = zip(table["target"].tolist(), table["y"].argmax(1).tolist(), strict=True)
    names = Classification("kind", many).output_names(KINDS)
    expected = Counter((names[true], names[answer]) for true, answer in pairs if true != answer)
    with (tmp_path / "report" / "confused.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {(row["true"], row["predicted"]): int(row["samples"]) for row in rows} == expected
    assert [int(row["samples"]) for row in rows] == sorted(expected.values(), reverse=True)
    with (tmp_path / "report" / "classes.csv").open(newline="") as stream:
        assert sum(int(row["support"]) for row in csv.DictReader(stream)) == 39


def test_galleries_of_very_many_modalities_have_an_end(tmp_path: Path, monkeypatch, caplog) -> None:
    drawn = []
    monkeypatch.setattr(alignment, "draw_gallery", lambda file, *_: drawn.append(file.name))
    for name in ("spread_queries", "worst_queries", "gallery_panel", "map_of"):
        monkeypatch.setattr(alignment, name, lambda *_: None)
    names, contents = [f"m{n}" for n in range(50)], SimpleNamespace(describe=None)
    with caplog.at_level(logging.INFO):
        draw_alignment(tmp_path, {}, names, {}, 8, contents)
    assert drawn == [name for n in "123" for name in (f"m0_to_m{n}.png", f"m{n}_to_m0.png")]
    assert "no galleries of 46 further modalities, such as m49" in caplog.text


def no_room(*_, **__) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_picture_that_cannot_be_drawn_costs_nothing_else(
    tmp_path: Path, monkeypatch, caplog
) -> None:
    trainer, _ = fit_and_judge(
        Classification("kind", 3), Report(str(tmp_path / "whole")), fused=True
    )
    expected = {name: float(value) for name, value in trainer.callback_metrics.items()}
    save = Figure.savefig

    def fails(figure: Figure, file: Path, **options) -> None:
        save(figure, file, **options)  # all of it but its last bytes
        if "confusion" in str(file):
            file.write_bytes(file.read_bytes()[:-100])
            no_room()

    monkeypatch.setattr(Figure, "savefig", fails)
    trainer, _ = fit_and_judge(Classification("kind", 3), Report(str(tmp_path)), fused=True)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert metrics == expected
    assert {file.name for file in (tmp_path / "report").iterdir()} == ALWAYS | CLASSES - {
        "confusion.png"
    }
    assert (
        f"{tmp_path}/report/confusion.png could not be written: [Errno 28] No space left"
        in caplog.text
    )
    assert "The metrics are not affected." in caplog.text


@pytest.mark.parametrize("what", ["polymodal.report.tables.csv.writer", "pathlib.Path.mkdir"])
def test_a_report_that_cannot_be_written_at_all_costs_nothing_else(
    what: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(what, no_room)
    trainer, _ = fit_and_judge(Classification("kind", 3), Report(str(tmp_path)), fused=True)
    assert float(trainer.callback_metrics["test/accuracy"]) > 0


def test_the_page_of_a_report_comes_after_the_metrics(tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "broken.png").write_bytes(b"no image")
    with pytest.raises(Exception, match="identify"):
        write_page(tmp_path)
    finish({"test/accuracy": 0.5, "time/total_seconds": 1.0}, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["test/accuracy"] == 0.5
    assert "index.html could not be written" in caplog.text
    assert not (tmp_path / "report" / "index.html").exists()


def test_sums_of_a_confusion_matrix_are_counted_without_it() -> None:
    torch.manual_seed(0)
    answer, target = torch.randint(0, 7, (200,)), torch.randint(0, 6, (200,))
    matrix = recall.confusion_matrix(answer, target, 8)
    counts = recall.class_counts(answer, target, 8)
    assert [part.tolist() for part in counts] == [
        part.tolist() for part in (matrix.diag(), matrix.sum(1), matrix.sum(0))
    ]
