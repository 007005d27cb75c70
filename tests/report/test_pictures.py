"""Plots can be drawn of anything that a run may give, and tables say what they should."""

import csv
import re
from contextlib import nullcontext
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from tests.conftest import ROOT

from polymodal.metrics.calibration import reliability
from polymodal.report import style
from polymodal.report.confusion import draw_confusion
from polymodal.report.curves import draw_curves, shown_shares
from polymodal.report.embedding_map import draw_map, map_of
from polymodal.report.gallery import draw_gallery, spread_queries
from polymodal.report.reliability import draw_reliability
from polymodal.report.scatter import draw_scatter
from polymodal.report.style import short
from polymodal.report.tables import write_classes, write_confusion


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plot.png"


def size(file: Path) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


@pytest.mark.parametrize("classes", [1, 2, 12, 200])
def test_a_matrix_of_any_size_with_names_of_any_length(file: Path, classes: int) -> None:
    confusion = torch.randint(0, 9, (classes, classes)) + torch.eye(classes, dtype=torch.long)
    confusion[1:2] = 0  # a class that does not occur
    draw_confusion(file, confusion, [f"$ {'long ' * 20}{k}" for k in range(classes)], "kind")
    assert max(size(file)) < 2000


def test_names_are_cut_in_their_middle() -> None:
    assert short("abc") == "abc"
    assert len(short("a" * 100 + "z")) == 30
    assert short("a" * 100 + "z").endswith("z")
    assert short("$5") == r"\$5"


@pytest.mark.parametrize("count", [1, 50])
def test_a_reliability_of_any_number_of_samples(file: Path, count: int) -> None:
    draw_reliability(
        file, reliability(torch.rand(count, 3).softmax(1), torch.zeros(count, dtype=torch.long))
    )
    assert file.exists()


@pytest.mark.parametrize("outputs", [1, 4, 9])
def test_a_scatter_leaves_out_what_is_not_known(file: Path, outputs: int) -> None:
    y, target = torch.randn(20, outputs), torch.randn(20, outputs)
    target[:, -1] = torch.nan
    draw_scatter(file, y, target, [str(k) for k in range(outputs)])
    assert file.exists() == (outputs > 1)


def test_titles_and_axes_of_large_values_have_room(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    monkeypatch.setattr(style, "replacing", nullcontext)
    y = torch.linspace(1e8, 4e9, 50)[:, None]
    draw_scatter(
        file, torch.cat([y / 1e8, y], 1), torch.cat([y / 1e8, 1.3 * y], 1), ["score", "gross"]
    )
    small, large = drawn[0].axes
    lines = ["gross", "MAE 614,999,892, RMSE 704,951,023,", "R² 0.7771"]
    assert large.get_title().replace("\N{NO-BREAK SPACE}", " ").splitlines() == lines
    drawn[0].canvas.draw()
    assert "4G" in [label.get_text() for label in large.get_xticklabels()]
    assert "20" in [label.get_text() for label in small.get_xticklabels()]


def table(count: int, m: int) -> dict[str, torch.Tensor]:
    id = torch.arange(count)
    mask = torch.ones(count, m, dtype=torch.bool)
    x = torch.nn.functional.normalize(torch.randn(count, m, 4), dim=-1)
    return {"id": id, "group": id // 2, "items": id[:, None].repeat(1, m), "mask": mask, "x": x}


@pytest.mark.parametrize(("count", "m"), [(1, 2), (3, 2), (12, 1), (12, 3)])
def test_a_map_of_few_samples_or_many_modalities(file: Path, count: int, m: int) -> None:
    drawn = map_of(
        table(count, m), [f"modality {i}" for i in range(m)], {0: "x", 1: "$ " + "y" * 90}
    )
    assert (drawn is not None) == (count * m >= 5)
    if drawn is not None:
        draw_map(file, drawn)
        assert file.exists()


def test_a_gallery_asks_only_samples_that_have_both(file: Path) -> None:
    rows = table(9, 2)
    rows["mask"][:4, 1] = False
    shown: list[tuple[str, int]] = []

    def describe(modality: str, item: int) -> str:
        shown.append((modality, item))
        return f"{modality} {item}"

    draw_gallery(file, spread_queries(rows, 0, 1, 9, top=8), "a", "b", describe, top=8)
    assert file.exists()
    assert {item for _, item in shown} == set(range(4, 9))


@pytest.mark.parametrize("hidden", ["a", "b", "both absent"])
def test_there_is_no_gallery_of_what_cannot_be_shown(file: Path, hidden: str) -> None:
    rows = table(6, 2)
    if hidden == "both absent":
        rows["mask"][:3, 0] = rows["mask"][3:, 1] = False
    shown = {name: None if name == hidden else name for name in ("a", "b")}
    draw_gallery(file, spread_queries(rows, 0, 1, 3), "a", "b", lambda name, _: shown[name])
    assert not file.exists()


def test_curves_of_many_metrics_and_of_none(file: Path) -> None:
    keys = [f"val/{a}_to_{b}/recall@{k}" for a in "abcdefg" for b in "abcdefg" for k in (1, 5, 10)]
    row = {
        "step": "1",
        "train/loss": "2.0",
        "val/loss": "",
        "val/pearson": "-0.5",
        **dict.fromkeys(keys, "0.5"),
    }
    draw_curves(file, [row, {**row, "step": "2"}])
    assert max(size(file)) < 2000
    shown = shown_shares([*reversed(keys), "val/f1", "test/accuracy", "val/loss"])
    assert len(shown) == 10
    assert shown[0] == "val/f1"  # of the whole
    assert {name.rpartition("/")[2] for name in shown[1:]} == {"recall@1"}
    both = ["val/clip/image_to_text/recall@1", "val/clip/recall@1", "val/classification/accuracy"]
    assert shown_shares(both) == [*both[1:], both[0]]
    assert shown_shares(["val/recall@5", "val/accuracy", "test/accuracy"]) == [
        "val/accuracy",
        "val/recall@5",
    ]
    draw_curves(file, [])


def test_a_notebook_keeps_its_own_figures(file: Path) -> None:
    matplotlib.use("svg")  # as a notebook sets a backend of its own
    draw_confusion(file, torch.eye(2, dtype=torch.long), ["a", "b"], "kind")
    assert matplotlib.get_backend() == "svg"
    drawing = re.compile(r"pyplot import|import matplotlib\.pyplot|matplotlib\.use\(")
    assert not [
        script for script in (ROOT / "src").rglob("*.py") if drawing.search(script.read_text())
    ]


def test_tables_can_be_read_again(tmp_path: Path) -> None:
    names = ["a, b", 'c "d"']
    write_confusion(tmp_path / "confusion.csv", torch.tensor([[1, 2], [3, 4]]), names)
    write_classes(
        tmp_path / "classes.csv",
        {"n": torch.tensor([3, 7]), "f": torch.tensor([0.5, torch.nan])},
        names,
    )
    for file, expected in (
        ("confusion.csv", [["true / predicted", *names], ["a, b", "1", "2"], ['c "d"', "3", "4"]]),
        ("classes.csv", [["class", "n", "f"], ["a, b", "3", "0.5"], ['c "d"', "7", ""]]),
    ):
        with (tmp_path / file).open(newline="") as stream:
            assert list(csv.reader(stream)) == expected
