"""The page of a sweep: every run, linked, with its values, and nothing of it that a browser would
run."""

import csv
import json
import re
from pathlib import Path

import pytest

from polymodal.runs.results import jobs_of, read_run
from polymodal.sweeps.page import write_sweep_page
from polymodal.sweeps.plots import heights

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Eight runs, one of which failed; the better the larger the rate."""
    for job in range(8):
        folder = tmp_path / str(job)
        (folder / "report").mkdir(parents=True)
        text = f"name: '{EVIL}'\nmonitor: val/accuracy\nmonitor_mode: max\n"
        (folder / "config.yaml").write_text(text)
        overrides = [
            f"lr={10.0 ** (job % 4 - 4)}",
            f"text={EVIL if job % 2 else 'bow'}",
            f"seed={job // 4}",
        ]
        (folder / "environment.json").write_text(json.dumps({"overrides": overrides}))
        if job == 7:
            (folder / "error.txt").write_text(f"{EVIL}\nand more")
            continue
        (folder / "report" / "index.html").touch()
        best = 0.1 * (job % 4) + job / 100
        with (folder / "metrics.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [["step", "val/accuracy", "val/loss"], [1, 0.01, 3], [2, best, 2]]
            )
        metrics = {
            "test/accuracy": best / 2,
            "test/control/chance/accuracy": 0.125,
            "time/total_seconds": 61.2,
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path


def test_every_run_is_in_the_table_with_a_link_to_its_report(sweep: Path) -> None:
    page = write_sweep_page(sweep, "sweep", [read_run(job) for job in jobs_of(sweep)]).read_text()
    body = page[page.index('<table class="sortable">') :]
    header = re.findall(r"<th(?: class=.n.)?>(.*?)</th>", body[: body.index("</thead>")])
    assert header == [
        "job",
        "status",
        "lr",
        "text",
        "seed",
        "best val/accuracy",
        "accuracy",
        "seconds",
        "error",
    ]
    numeric = re.findall(r'<th class="n">(.*?)</th>', body)
    assert numeric == ["best val/accuracy", "accuracy", "seconds"]
    rows = re.findall(r"<tr><td>(.*?)</tr>", body[: body.index("</table>")])
    links = [re.match(r'<a href="(.*?)">(\d)</a>', row) for row in rows]
    assert [link and link.groups() for link in links] == [
        *((f"{job}/report/index.html", job) for job in "3625140"),
        None,
    ]
    numbers = re.findall(r"--v:([\d.]+)", rows[0])
    assert [float(value) for value in numbers] == pytest.approx([0.33, 0.165, 61])
    assert "done</span> 7" in page
    assert "failed</span> 1" in page


def test_curves_of_all_runs_are_on_one_plot(sweep: Path) -> None:
    page = write_sweep_page(sweep, "sweep", [read_run(job) for job in jobs_of(sweep)]).read_text()
    plots = [json.loads(text) for text in re.findall(r"data-plot='(.*?)'", page)]
    assert [plot["title"] for plot in plots] == ["val/accuracy", "val/loss"]
    assert [len(plot["series"]) for plot in plots] == [7, 7]
    best = plots[0]["series"][0]
    assert best["name"] == f"3, lr=0.1, text={EVIL}, seed=0"
    assert (plots[0]["x"], best["y"]) == ([1, 2], [0.01, 0.33])
    assert len(re.findall("<polyline", page)) == 7
    assert "What matters for val/accuracy" in page


def test_nothing_of_a_run_is_part_of_the_page(sweep: Path) -> None:
    page = write_sweep_page(sweep, "sweep", [read_run(job) for job in jobs_of(sweep)]).read_text()
    assert EVIL not in page
    assert len(re.findall("<script", page)) == 1
    assert not re.search(r"https?:|url\(|@import", page)


def test_runs_that_left_nothing_have_a_page(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    page = write_sweep_page(tmp_path, "compare", [read_run(tmp_path / "0")]).read_text()
    assert "unfinished</span> 1" in page
    assert "data-plot" not in page


def test_numbers_that_are_far_apart_are_on_a_logarithmic_scale() -> None:
    assert heights(["0.001", "0.01", "0.1"])[0] == pytest.approx([0, 0.5, 1])
    assert heights(["1", "2", "3"]) == (pytest.approx([0, 0.5, 1]), {0.0: "1", 1.0: "3"})
    assert heights(["b", "a", "b"]) == ([1, 0, 1], {0: "a", 1: "b"})
