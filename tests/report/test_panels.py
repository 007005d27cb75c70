"""What a page shows of the answers of a model, against what is counted by hand."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import recall_score

from polymodal.metrics.confusion import class_counts, class_metrics
from polymodal.objectives.classification import Classification
from polymodal.objectives.multilabel import MultiLabel
from polymodal.objectives.regression import Regression
from polymodal.report.embedding_map import TILE, map_of, map_panel
from polymodal.report.gallery import gallery_panel, sizes, spread_queries, worst_queries
from polymodal.report.media import Contents
from polymodal.report.mistakes import mistakes_of, mistakes_panel
from polymodal.report.page import _bars
from polymodal.report.tables import read_table, write_classes, write_values

EVIL = "<script>alert(1)</script>"


class Items:
    """Data of images and captions that need no files."""

    modalities = ("image", "text")
    kinds: dict[str, str] = {}  # noqa: RUF012

    def formats(self) -> dict:
        return {"image": {}, "text": {}}

    def content(self, modality: str, item: int):
        return np.full((8, 8), item, np.uint8) if modality == "image" else f"{EVIL} {item}"

    describe = content


def table(count: int = 40) -> dict[str, torch.Tensor]:
    """Every second image has two captions; some samples lack one of the two."""
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(count, 2, 4), dim=-1)
    x[:, 1] = torch.nn.functional.normalize(x[:, 1] + x[:, 0], dim=-1)
    id = torch.arange(count)
    mask = torch.ones(count, 2, dtype=torch.bool)
    mask[3, 0] = mask[8, 1] = False
    image = id - id % 2  # two samples share an image
    x[1::2, 0] = x[0::2, 0]
    return {"id": id, "group": image, "items": torch.stack([image, id], 1), "mask": mask, "x": x}


def rank_by_hand(rows: dict[str, torch.Tensor], source: int, target: int, item: int) -> int:
    asking = [r for r in range(40) if rows["mask"][r, source] and rows["items"][r, source] == item]
    groups = set(rows["group"][asking].tolist())
    cosines: dict[int, float] = {}
    right = set()
    for row in range(40):
        if rows["mask"][row, target]:
            found = int(rows["items"][row, target])
            cosines.setdefault(found, float(rows["x"][row, target] @ rows["x"][asking[0], source]))
            if int(rows["group"][row]) in groups:
                right.add(found)
    best = max(cosines[found] for found in right)
    return 1 + sum(cosine >= best for found, cosine in cosines.items() if found not in right)


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_the_worst_misses_are_those_of_the_highest_ranks(source: int, target: int) -> None:
    rows = table()
    both = rows["mask"].all(1)
    ranks = {
        int(item): rank_by_hand(rows, source, target, int(item))
        for item in rows["items"][both, source]
    }
    worst = worst_queries(rows, source, target, 5)
    assert [query.rank for query in worst] == sorted(ranks.values(), reverse=True)[:5]
    assert all(query.rank == ranks[query.item] for query in worst)
    assert all(not found.is_right for query in worst for found in query.found[:1])
    assert len({query.item for query in worst}) == 5
    shown = spread_queries(rows, source, target, 8)
    assert all(query.rank == ranks[query.item] for query in shown)
    assert sizes(rows, source, target) == ((20, 39) if target else (39, 20))


def test_a_gallery_escapes_nothing_itself_and_holds_every_answer() -> None:
    queries = spread_queries(table(), 0, 1, 3)
    panel = gallery_panel("a title", queries, "image", "text", Contents(Items()))
    assert [row["rank"] for row in panel["rows"]] == [query.rank for query in queries]
    assert [len(row["found"]) for row in panel["rows"]] == [5, 5, 5]
    assert panel["rows"][0]["found"][0]["text"] == f"{EVIL} {queries[0].found[0].item}"
    assert panel["rows"][0]["query"]["image"].startswith("data:image/webp")


def test_every_point_of_the_map_has_its_thumbnail_or_its_words() -> None:
    rows, classes = table(), {0: "even", 1: EVIL}
    drawn = map_of(rows, ["image", "text"], classes)
    panel = map_panel(drawn, rows, Contents(Items()))
    points = panel["points"]
    assert len(points) == int(rows["mask"].sum()) == 78
    assert all(0 <= point[0] <= 1 and 0 <= point[1] <= 1 for point in points)
    images = [point for point in points if point[2] == 0]
    assert [point[5] for point in images] == list(range(39))
    assert {point[5] for point in points if point[2] == 1} == {-1}
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(panel["tiles"].split(",")[1]))))
    for point in images:
        row, column = divmod(point[5], panel["columns"])
        tile = sprite[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
        # as grey as its item's number
        assert abs(float(tile.mean()) - (point[4] - point[4] % 2)) < 4
    texts = [point for point in points if point[2] == 1]
    assert all(point[6] == f"{EVIL} {point[4]}" for point in texts)
    coloured = {(point[4], *panel["classes"][point[3]]) for point in points if point[3] >= 0}
    assert coloured == {(0, "even", drawn.colours["even"]), (1, EVIL, drawn.colours[EVIL])}


def test_the_most_confident_mistakes_come_first() -> None:
    torch.manual_seed(0)
    y, target = 3 * torch.randn(200, 4), torch.randint(0, 4, (200,))
    rows = {"id": torch.arange(200) + 1000, "y": y, "target": target}
    _, found = mistakes_of(Classification("kind", 4), rows, ["a", "b", "c", EVIL])
    probability = y.double().softmax(1)
    wrong = [
        (float(p.max()), n) for n, p in enumerate(probability) if int(p.argmax()) != int(target[n])
    ]
    expected = sorted(wrong, reverse=True)[:24]
    assert [mistake.id - 1000 for mistake in found] == [number for _, number in expected]
    assert [mistake.probability for mistake in found] == pytest.approx([p for p, _ in expected])
    first = expected[0][1]
    names = ["a", "b", "c", EVIL]
    assert found[0].facts == {
        "true": names[target[first]],
        "predicted": names[int(y[first].argmax())],
    }


def test_tags_and_values_that_are_furthest_off_come_first() -> None:
    y = torch.tensor([[4.0, -1.0], [-3.0, 0.1], [2.0, 9.0]])
    target = torch.tensor([[0, 1], [1, 0], [1, -1]])
    rows = {"id": torch.arange(3), "y": y, "target": target}
    _, found = mistakes_of(MultiLabel("tags", 2), rows, ["x", "y"])
    assert [(mistake.id, mistake.facts["tag"], mistake.facts["true"]) for mistake in found] == [
        (0, "x", "no"),
        (1, "x", "yes"),
        (0, "y", "yes"),
        (1, "y", "no"),
    ]
    objective = Regression("size", 2)
    objective.mean, objective.std = [100.0, 0.0], [10.0, 1.0]
    truth = torch.tensor([[100.0, 0.0], [110.0, 1.0], [120.0, torch.nan]])
    rows = {
        "id": torch.arange(3),
        "y": torch.tensor([[0.5, 0.0], [1.0, 4.0], [2.0, 50.0]]),
        "target": truth,
    }
    _, far = mistakes_of(objective, rows, ["price", "size"])
    assert [(mistake.id, mistake.facts) for mistake in far] == [
        (1, {"true size": "1", "predicted": "4"}),  # three units of a deviation of a half
        (0, {"true price": "100", "predicted": "105"}),
    ]


def test_a_mistake_is_shown_with_all_that_its_sample_has() -> None:
    rows = {
        "id": torch.tensor([1, 5]),
        "y": torch.tensor([[1.0, 0.0], [0.0, 1.0]]),
        "target": torch.tensor([1, 1]),
    }
    title, found = mistakes_of(Classification("kind", 2), rows, ["a", "b"])
    samples = {"id": torch.tensor([1, 5]), "items": torch.tensor([[7, 8], [9, 9]])}
    samples["mask"] = torch.tensor([[False, True], [True, True]])
    panel = mistakes_panel(title, found, samples, ["image", "text"], Contents(Items()))
    (row,) = panel["rows"]
    assert [(cell["name"], cell["text"]) for cell in row["cells"]] == [("text", f"{EVIL} 8")]
    assert mistakes_panel(title, [], samples, ["image", "text"], Contents(Items())) == {}


def test_bars_have_the_recall_of_each_class(tmp_path) -> None:
    torch.manual_seed(0)
    answer, target = torch.randint(0, 5, (300,)), torch.randint(0, 4, (300,))
    counts = class_metrics(*class_counts(answer, target, 5))
    write_classes(tmp_path / "classes.csv", counts, [f"class {k}" for k in range(5)])
    (bars,) = _bars(tmp_path / "classes.csv")
    expected = recall_score(target, answer, labels=range(4), average=None)
    assert {name: value for name, _, value in bars.rows} == {
        f"class {k}": pytest.approx(expected[k], abs=1e-5) for k in range(4)
    }
    assert sum(count for _, count, _ in bars.rows) == 300
    values = [value for *_, value in bars.rows]
    assert values == sorted(values)


def test_each_value_has_its_own_metrics(tmp_path) -> None:
    y = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 40.0]]).double()
    target = torch.tensor([[1.0, 20.0], [2.0, 20.0], [4.0, torch.nan]]).double()
    write_values(tmp_path / "values.csv", y, target, ["price", "size"])
    found = read_table(tmp_path / "values.csv")
    price, size = (dict(zip(found.header, row, strict=True)) for row in found.rows)
    assert (price["output"], price["samples"], price["mae"]) == (
        "price",
        3,
        pytest.approx(1 / 3, abs=1e-5),
    )
    assert price["rmse"] == pytest.approx((1 / 3) ** 0.5, abs=1e-5)
    assert (size["samples"], size["mae"], size["r2"]) == (2, 5, None)  # its true values do not vary


def test_values_are_called_by_their_columns() -> None:
    from polymodal.data.loading.columns import ColumnChoice, value_names

    columns = ColumnChoice({"text": "t", "label": ["price", "size"]}, {})
    assert value_names(columns, "label", 2) == ["price", "size"]
    assert value_names(None, "size", 1) == ["size"]
    assert value_names(None, "size", 2) == []
    assert value_names(SimpleNamespace(), "label", 1) == ["label"]
