"""The end of a run: metrics.json, the page of its report, and a table of what it came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from polymodal.files import read_json, write_whole
from polymodal.formatting import duration, readable
from polymodal.report.page import write_page
from polymodal.report.unharmed import unharmed
from polymodal.terminal import say


def finish(metrics: Mapping[str, float], run_dir: Path, with_chance: bool = False) -> None:
    """Writes metrics.json, whole or not at all, and the page of the report if there is one; shows
    the test metrics.

    Args:
        metrics: of the run, by their keys.
        run_dir: its folder.
        with_chance: whether the table has what the report calls chance, where no control was run.
    """
    write_whole(run_dir / "metrics.json", json.dumps(metrics, indent=2))
    page = None
    if (run_dir / "report").is_dir():
        with unharmed(run_dir / "report" / "index.html"):
            page = write_page(run_dir)
    chance = read_json(run_dir / "report" / "about.json").get("chance", {}) if with_chance else {}
    say(
        final_table(
            {f"test/control/chance/{name}": value for name, value in chance.items()} | dict(metrics)
        )
    )
    if "test/accuracy" in metrics:
        say(f"Accuracy of the model on the test data: {100 * metrics['test/accuracy']:.0f} %")
    say(f"{duration(metrics['time/total_seconds'])} in all. Run folder: {run_dir}", soft_wrap=True)
    if page:
        say(f"To look at: {page}", soft_wrap=True)


def final_table(metrics: Mapping[str, float]) -> Table:
    """The metrics of the test split with the controls beside them; without a test those that were
    logged last.
    """
    tested = [name for name in metrics if name.startswith("test/") and "/control/" not in name]
    table = Table(
        title="Held-out data" if tested else "Logged last, without a test", title_justify="left"
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    controls = [
        name for name in ("linear", "chance") if any(f"/control/{name}/" in key for key in metrics)
    ]
    for name in controls:
        table.add_column(name, justify="right")
    for name in tested or metrics:
        beside = [
            metrics.get(f"test/control/{control}/{name.removeprefix('test/')}")
            for control in controls
        ]
        table.add_row(
            name, *("" if value is None else readable(value) for value in (metrics[name], *beside))
        )
    return table
