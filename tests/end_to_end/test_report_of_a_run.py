"""A report shows the validation of the checkpoint that was tested, also of a resumed run and in an
evaluation."""

import csv
import json
import re
from pathlib import Path

import pytest
from tests.resumed import configured

from polymodal.callbacks import report
from polymodal.formatting import readable
from polymodal.inference.evaluate import evaluate
from polymodal.report import alignment
from polymodal.training.checkpoints.files import newest_checkpoint
from polymodal.training.run import train

pytestmark = pytest.mark.filterwarnings("ignore")

REPORT = [
    "callbacks=[checkpoint,report]",
    "callbacks.report.queries=2",
    "monitor=val/loss",
    "monitor_mode=max",
]
"""The worst loss counts as the best: that of an early epoch, and never that of the last one."""


def validations(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["val/loss"]]
    return [
        {name: float(value) for name, value in row.items() if name.startswith("val/") and value}
        for row in rows
    ]


def cards(folder: Path) -> dict[str, tuple[str, dict[str, str], str]]:
    """Title -> value, what stands beside it, and how many samples, as the page has them."""
    page = (folder / "report" / "index.html").read_text()
    found = {}
    for card in re.findall(r'<div class="metric">(.*?)</div>', page, re.DOTALL):
        title = re.sub(r"<.*?>", "", re.search(r"<h3>(.*?)</h3>", card)[1])
        beside = dict(re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>", card))
        found[title] = (
            re.search(r"<b>(.*?)</b>", card)[1],
            beside,
            re.search(r'note">(.*?)</p>', card)[1],
        )
    return found


def test_the_validation_is_that_of_the_tested_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # plots are slow, and other tests are of them
    monkeypatch.setattr(report, "draw_curves", lambda *_: None)
    for slow in ("draw_gallery", "map_of"):
        monkeypatch.setattr(alignment, slow, lambda *_: None)
    run, evaluation = tmp_path / "run", tmp_path / "evaluation"
    run.mkdir()
    first = configured(run, *REPORT, "trainer.max_epochs=2")
    train(first, first)

    # not tested: the best validation is shown, and the curves
    best = max(validations(run), key=lambda row: row["val/loss"])
    assert best != validations(run)[-1]
    value, beside, note = cards(run)["recall@1"]
    assert (value, beside, note) == (readable(best["val/recall@1"], 3), {}, "16 samples")
    assert "data-plot='" in (run / "report" / "index.html").read_text()

    # resumed and tested: the best checkpoint is one of before
    more = configured(run, *REPORT, "trainer.max_epochs=3", "test=true")
    train(more | {"resume": str(newest_checkpoint(run))}, more)
    assert len(validations(run)) == 3
    best = max(validations(run), key=lambda row: row["val/loss"])
    about = json.loads((run / "report" / "about.json").read_text())
    assert about["validation"] == pytest.approx(best, rel=1e-6)
    metrics = json.loads((run / "metrics.json").read_text())
    # which is the last one, as before
    assert metrics["val/loss"] != pytest.approx(best["val/loss"])
    for title, name in (
        ("recall@1", "recall@1"),
        ("recall@10 image to text", "image_to_text/recall@10"),
    ):
        if title not in cards(run):
            continue
        value, beside, _ = cards(run)[title]
        assert value == readable(metrics[f"test/{name}"], 3)
        assert beside["validation"] == readable(best[f"val/{name}"], 3)
        for control, shown in (("chance", "chance"), ("linear", "linear model")):
            assert beside[shown] == readable(metrics[f"test/control/{control}/{name}"], 3)
    queries, gallery = (about["counts"]["image_to_text"][key] for key in ("queries", "gallery"))
    assert cards(run)["recall@1 image to text"][2] == f"{queries} queries, {gallery} items to find"
    assert queries == about["samples"]["test"]

    # evaluated: the same checkpoint, and chance without a control
    evaluated = evaluate(run, [f"run_dir={evaluation}"])
    again = json.loads((evaluation / "report" / "about.json").read_text())
    assert again["validation"] == about["validation"]
    value, beside, _ = cards(evaluation)["recall@1"]
    assert value == readable(evaluated["test/recall@1"], 3)
    assert beside == {
        "validation": readable(best["val/recall@1"], 3),
        "chance": readable(metrics["test/control/chance/recall@1"], 3),
    }
