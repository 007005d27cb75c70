"""The page of a run: whole, in one file, and safe whatever names the data have."""

import csv
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from polymodal.report.page import write_page
from polymodal.report.tables import read_table

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with all that there may be, and names that try to be part of the page."""
    report = tmp_path / "report"
    (report / "clip").mkdir(parents=True)
    for name, width in (("curves", 1500), ("clip/a_to_b", 300), (f"clip/{EVIL.replace('/', '')}", 300)):
        Image.new("RGB", (width, 100), "red").save(report / f"{name}.png")
    with (report / "classes.csv").open("w", newline="") as stream:
        rows = [[f"class {index}", index, index / 400] for index in range(400)]
        csv.writer(stream).writerows([["class", "support", EVIL], [EVIL, "1", ""], *rows])
    text = (
        f"# {EVIL}\nname: '{EVIL}'\ndata: {{_target_: polymodal.data.Words}}\nencoder: {{image: {{_target_: a.CNN}}}}\n"
    )
    (tmp_path / "config.yaml").write_text(text)
    figures = {"test/image_to_text/recall@1": 0.625, "test/recall@1": 0.5, "val/recall@1": 0.75, "train/loss": 2.0}
    (tmp_path / "metrics.json").write_text(json.dumps(figures | {"time/total_seconds": 75.0, f"test/{EVIL}/f1": 0.1}))
    (tmp_path / "environment.json").write_text(json.dumps({"command": ["x", EVIL], "packages": {"torch": "2.9"}}))
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


def test_names_are_never_part_of_the_page(run: Path) -> None:
    page = write_page(run).read_text()
    assert "<script>" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 5
    assert len(re.findall("<script", page)) == 1


def test_it_says_what_the_run_reached_and_what_it_is_made_of(run: Path) -> None:
    page = write_page(run).read_text()
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><div class="what">(.*?)</div>', page)
    assert [(float(value), name) for value, name in tiles[:1]] == [(0.5, "recall@1")]
    assert ("0.625", "image to text · recall@1") in tiles
    assert "validation 0.750" in page
    assert re.search(
        r"Held-out data</summary>.*?<tbody><tr><th></th><td class=\"n\">0.5<", page, re.DOTALL
    )  # of all first
    assert "1 min 15 s" in page
    for part, name in (("data", "Words"), ("image encoder", "CNN")):
        assert f"<span>{part}</span> {name}" in page
    assert page.index('alt="Curves"') < page.index('alt="A to b"')
    assert page.count('class="card wide"') == 1
    assert "101 rows left out" in page


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
    assert (table.shares, table.left_out) == ({2}, "")
    cut = read_table(file, rows=1, columns=2)
    assert (cut.header, cut.rows, cut.left_out) == (["name", "n"], [["a", 1.0]], "2 rows and 2 columns")
    file.write_text("")
    assert read_table(file).rows == []
