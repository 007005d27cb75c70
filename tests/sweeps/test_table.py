"""Metrics of tables and plots, against references."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from polymodal.runs.results import Run
from polymodal.sweeps.plots import draw_all, importance
from polymodal.sweeps.table import markdown, over_seeds, ranked, varied, write_tables


def run(
    job: int, best: float | None = 0.5, status: str = "done", mode: str = "max", **changes: str
) -> Run:
    metrics = {"test/accuracy": best} if best is not None else {}
    return Run(str(job), Path(str(job)), status, changes, "", metrics, "val/accuracy", mode, best)


def test_mean_and_interval_over_seeds_are_those_of_student() -> None:
    random = np.random.default_rng(0)
    values = {fusion: random.normal(size=4) for fusion in ("sum", "concat")}
    runs = [
        run(k, float(v[k]), fusion=f, seed=str(k), lr="1")
        for f, v in values.items()
        for k in range(4)
    ]
    runs.append(run(9, None, status="failed", fusion="sum", seed="9", lr="1"))
    rows = over_seeds(runs)
    assert [row["fusion"] for row in rows] == ["sum", "concat"]
    for row in rows:
        sample = values[row["fusion"]]
        low, high = stats.t.interval(0.95, 3, loc=sample.mean(), scale=stats.sem(sample))
        assert row["seeds"] == 4
        expected = [sample.mean(), sample.std(ddof=1), (high - low) / 2]
        assert [row["mean"], row["std"], row["ci95"]] == pytest.approx(expected)


def test_one_seed_each_is_no_sample() -> None:
    assert over_seeds([run(0, fusion="sum", seed="0"), run(1, fusion="concat", seed="0")]) == []


def test_a_run_and_its_repetition_are_one_sample() -> None:
    runs = [
        run(k, best, fusion="sum", seed=seed)
        for k, (seed, best) in enumerate([("0", 0.1), ("0", 0.1), ("1", 0.3)])
    ]
    (row,) = over_seeds(runs)
    assert (row["seeds"], row["mean"]) == (2, pytest.approx(0.2))


def test_brackets_are_values_in_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    failed = run(1, None, status="failed", logger="[tensorboard]")
    failed.error = "[/data] is empty"
    write_tables(tmp_path, "sweep", [run(0, logger="[csv]"), failed])
    said = capsys.readouterr().out
    assert all(text in said for text in ("[csv]", "[tensorboard]", "[/data] is empty"))


@pytest.mark.parametrize(("mode", "order"), [("max", ["2", "0", "1"]), ("min", ["0", "2", "1"])])
def test_the_best_come_first_and_the_failed_last(mode: str, order: list[str]) -> None:
    runs = [
        run(0, 0.1, mode=mode),
        run(1, None, status="failed", mode=mode),
        run(2, 0.7, mode=mode),
    ]
    assert [r.name for r in ranked(runs)] == order


def test_only_what_varies_tells_runs_apart() -> None:
    assert varied([run(0, a="1", b="2"), run(1, a="1", b="3"), run(2, a="1")]) == ["b"]


def test_a_cell_cannot_break_the_page() -> None:
    assert markdown([{"a": "x|y", "b": 0.5}, {"c": ""}]).splitlines()[2] == "| x\\|y | 0.5000 |  |"


def test_what_matters_is_found() -> None:
    random = np.random.default_rng(0)
    texts = ["bow", "gru", "cnn"]
    rows = [
        (f"{10 ** random.uniform(-4, -2):g}", str(random.choice(texts)), "x" * k)
        for k in range(1, 61)
    ]
    runs = [
        run(k, np.log10(float(lr)) + 0.3 * (text == "gru"), lr=lr, text=text, noise=noise)
        for k, (lr, text, noise) in enumerate(rows)
    ]
    shares = importance(runs, ["text", "noise", "lr"])
    assert list(shares) == ["lr", "text", "noise"]
    assert shares["lr"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_pictures_are_drawn_of_as_much_as_there_is(tmp_path: Path, count: int) -> None:
    runs = [run(k, k / 10, lr=str(10.0**-k), text="ab"[k % 2], name="$x") for k in range(count)]
    draw_all(tmp_path, [*runs, run(9, None, status="failed", lr="7")])
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"curves.png"} | (
        {"parallel_coordinates.png", "importance.png"} if count > 1 else set()
    )


def test_nothing_matters_where_all_metrics_are_the_same(tmp_path: Path) -> None:
    draw_all(tmp_path, [run(k, 0.5, text="ab"[k % 2]) for k in range(8)])
    assert {file.name for file in tmp_path.iterdir()} == {"curves.png", "parallel_coordinates.png"}
