"""The page of a run: whole, in one file, and safe whatever names the data have."""

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from polymodal.report import html
from polymodal.report.page import write_page
from polymodal.report.tables import read_table

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with all that there may be, and names that try to be part of the page."""
    report = tmp_path / "report"
    (report / "clip").mkdir(parents=True)
    for name, width in (
        ("curves", 1500),
        ("clip/a_to_b", 300),
        (f"clip/{EVIL.replace('/', '')}", 300),
    ):
        Image.new("RGB", (width, 100), "red").save(report / f"{name}.png")
    with (report / "classes.csv").open("w", newline="") as stream:
        rows = [[f"class {index}", index, index / 400] for index in range(400)]
        csv.writer(stream).writerows([["class", "support", EVIL], [EVIL, "1", ""], *rows])
    text = f"# {EVIL}\nname: '{EVIL}'\ndata: {{_target_: polymodal.data.Words}}\nencoder: {{image: {{_target_: a.CNN}}}}\n"
    (tmp_path / "config.yaml").write_text(text)
    metrics = {
        "test/image_to_text/recall@1": 0.625,
        "test/recall@1": 0.5,
        "val/recall@1": 0.75,
        "train/loss": 2.0,
    }
    (tmp_path / "metrics.json").write_text(
        json.dumps(metrics | {"time/total_seconds": 75.0, f"test/{EVIL}/f1": 0.1})
    )
    (tmp_path / "environment.json").write_text(
        json.dumps({"command": ["x", EVIL], "packages": {"torch": "2.9"}})
    )
    return tmp_path


def test_it_needs_no_other_file_and_no_network(run: Path) -> None:
    file = write_page(run)
    assert file == run / "report" / "index.html"
    page = file.read_text()
    sources = re.findall(r"(?:src|href)=\"([^\"]*)\"", page)
    assert sum(source.startswith("data:image/png;base64,") for source in sources) == 3
    assert all(source.startswith(("data:image/png", "#")) for source in sources)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page)
    assert "default-src 'none'" in page


def test_the_library_of_the_curves_is_the_one_that_was_looked_at() -> None:
    file = Path(html.__file__).parent / "templates" / "uplot.min.js"
    # of uPlot 1.6.32, as it is published
    expected = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == expected
    assert "Leon Sorokin" in file.with_name("uplot.LICENSE.txt").read_text()


def test_names_are_never_part_of_the_page(run: Path) -> None:
    page = write_page(run).read_text()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert len(re.findall("<script", page)) == 1


def test_it_says_what_the_run_reached_and_what_it_is_made_of(run: Path) -> None:
    page = write_page(run).read_text()
    tiles = cards(page)
    assert (tiles[0]["title"], tiles[0]["value"], tiles[0]["validation"]) == (
        "recall@1",
        "0.500",
        "0.750",
    )
    assert (tiles[1]["title"], tiles[1]["value"]) == ("recall@1 image to text", "0.625")
    assert "validation" not in tiles[1]
    # of all first
    assert re.search(
        r"Held-out data</summary>.*?<tbody><tr><th></th><td class=\"n\">0.5000<", page, re.DOTALL
    )
    assert "1 min 15 s" in page
    for part, name in (("data", "Words"), ("image encoder", "CNN")):
        assert f"<span>{part}</span> {name}" in page
    assert page.index('alt="Curves"') < page.index('alt="A to b"')
    assert page.count('<figure class="card wide"') == 1
    assert "101 rows left out" in page


def cards(page: str) -> list[dict[str, str]]:
    """Title, value and what stands beside it, of each card."""
    found = []
    for card in re.findall(r'<div class="metric">(.*?)</div>', page, re.DOTALL):
        title, value = re.search(r"<h3>(.*?)</h3><b>(.*?)</b>", card, re.DOTALL).groups()
        beside = dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", card))
        note = re.search(r'<p class="note">(.*?)</p>', card)
        words = re.sub(r"<.*?>", "", title)
        found.append({"title": words, "value": value, "note": note[1] if note else "", **beside})
    return found


def test_cards_show_the_validation_of_the_checkpoint_that_was_tested(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    # the last one
    metrics = {"test/recall@1": 0.5, "test/image_to_text/recall@1": 0.4, "val/recall@1": 0.3}
    metrics |= {"test/control/linear/recall@1": 0.6, "test/control/chance/recall@1": 0.01}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    about = {
        "name": "best.ckpt",
        "epoch": 3,
        "step": 70,
        "validation": {"val/recall@1": 0.55, "val/loss": 1.0},
    }
    about["samples"] = {"test": 80, "val": 90}
    about["counts"] = {
        "image_to_text": {"queries": 78, "gallery": 40},
        "text_to_image": {"queries": 40, "gallery": 78},
    }
    about["chance"] = {"image_to_text/recall@1": 0.025}
    (tmp_path / "report" / "about.json").write_text(json.dumps(about))
    page = write_page(tmp_path).read_text()
    whole, direction = cards(page)
    beside = {"validation": "0.550", "chance": "0.0100", "linear model": "0.600"}
    assert whole == {
        "title": "recall@1",
        "value": "0.500",
        "note": "mean of 2 directions, 80 samples",
        **beside,
    }
    expected = {
        "title": "recall@1 image to text",
        "value": "0.400",
        "note": "78 queries, 40 items to find",
    }
    # of this very test, where no control was run
    assert direction == expected | {"chance": "0.0250"}
    assert 'class="beaten"' in page
    assert "best.ckpt, epoch 3, step 70" in page
    assert "of 90 samples" in page


def test_without_a_test_cards_show_the_best_validation(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "metrics.json").write_text(json.dumps({"val/mae": 3.0, "val/r2": -0.5}))
    about = {
        "name": "best.ckpt",
        "epoch": 0,
        "step": 7,
        "validation": {"val/mae": 1234.5, "val/r2": 0.25},
    }
    about["samples"] = {"test": 0, "val": 90}
    (tmp_path / "report" / "about.json").write_text(json.dumps(about))
    page = write_page(tmp_path).read_text()
    assert [(card["title"], card["value"], card["note"]) for card in cards(page)] == [
        ("MAE", "1,234", "90 samples"),
        ("R²", "0.250", "90 samples"),
    ]
    assert page.count("<small>validation</small>") == 2


def test_a_large_value_is_written_in_full_and_smaller(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    metrics = {"test/mae": 15535300.8, "test/rmse": 1234.5, "time/total_seconds": 3.86}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "report" / "values.csv").write_text("output,mae\nscore,22.84\n")
    page = write_page(tmp_path).read_text()
    assert '<b class="long">15,535,301</b>' in page
    assert "<b>1,234</b>" in page
    assert "3.9 s in all" in page
    assert '<th>output</th><th class="n">mae</th>' in page


def test_curves_are_what_was_logged(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    rows = [["step", "train/loss", "val/loss", EVIL, "lr-AdamW"]]
    rows += [
        [step, step / 7, "" if step % 10 else step / 5, "", "nan" if step == 3 else 0.1]
        for step in range(3000)
    ]
    with (tmp_path / "metrics.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    page = write_page(tmp_path).read_text()
    plots = [json.loads(text) for text in re.findall(r"data-plot='(.*?)'", page)]
    assert [plot["title"] for plot in plots] == ["Loss", "Learning rate"]
    train, validation = plots[0]["series"]
    steps = plots[0]["x"]
    known = {
        step: value for step, value in zip(steps, train["y"], strict=True) if value is not None
    }
    assert len(known) == 1000
    assert known[2] == pytest.approx((0 + 1 + 2) / 7 / 3, rel=1e-5)  # three steps are one point
    known = {
        step: value for step, value in zip(steps, validation["y"], strict=True) if value is not None
    }
    assert known == {step: pytest.approx(step / 5) for step in range(0, 3000, 10)}
    assert (train["smooth"], validation["smooth"]) == (True, False)
    assert EVIL not in page


def test_bars_are_of_the_largest_classes(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    rows = [[f"class {k}", k, k / 50] for k in range(50)]
    with (tmp_path / "report" / "classes.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["class", "support", "recall"], [EVIL, 100, 0.125], *rows])
    page = write_page(tmp_path).read_text()
    bars = re.findall(
        r'<div class="bar"><span title="(.*?)">.*?width:(.*?)%.*?<span>(.*?) <small>of (.*?)<',
        page,
        re.DOTALL,
    )
    assert len(bars) == 30
    assert bars[0] == ("&lt;script&gt;alert(1)&lt;/script&gt;", "12.5", "0.125", "100")
    assert {name for name, *_ in bars[1:]} == {f"class {k}" for k in range(21, 50)}
    assert "20 further classes are in the table" in page  # class 0 does not occur


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    page = write_page(tmp_path).read_text()
    assert tmp_path.name in page
    assert "There are none yet" in page
    assert "<img src" not in page


def test_columns_of_numbers_are_numbers(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("name,n,share,mixed\na,1,0.5,1\nb,,1.0,x\nc,3,0.0,\n")
    table = read_table(file)
    assert table.rows == [["a", 1.0, 0.5, "1"], ["b", None, 1.0, "x"], ["c", 3.0, 0.0, ""]]
    assert (table.shares, table.numeric, table.left_out) == ({2}, {1, 2}, "")
    cut = read_table(file, rows=1, columns=2)
    assert (cut.header, cut.rows, cut.left_out) == (
        ["name", "n"],
        [["a", 1.0]],
        "2 rows and 2 columns",
    )
    file.write_text("")
    assert read_table(file).rows == []
