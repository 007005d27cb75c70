"""The end of a run: what stands on the screen."""

import json
from pathlib import Path

import pytest

from polymodal.training.final import final_table, finish


def columns(metrics: dict[str, float]) -> dict[str, list[str]]:
    return {str(column.header): list(column.cells) for column in final_table(metrics).columns}


def test_the_table_has_metrics_with_the_controls_beside_them() -> None:
    metrics = {
        "test/mae": 6320.44,
        "test/loss": 0.00002,
        "val/mae": 1.0,
        "test/control/linear/mae": 15535300.8,
    }
    assert columns(metrics | {"test/control/chance/mae": 999.96}) == {
        "metric": ["test/mae", "test/loss"],
        "value": ["6,320", "2e-05"],
        "linear": ["15,535,301", ""],
        "chance": ["1,000", ""],
    }


@pytest.mark.parametrize("with_chance", [True, False])
def test_an_evaluation_shows_the_chance_of_its_report(
    with_chance: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "about.json").write_text(json.dumps({"chance": {"f1": 0.36961}}))
    metrics = {"test/f1": 0.79373, "time/total_seconds": 75.2}
    finish(metrics, tmp_path, with_chance)
    said = capsys.readouterr().out
    assert ("│ test/f1 │ 0.7937 │ 0.3696 │" in said) == with_chance
    assert "1 min 15 s in all" in said
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
