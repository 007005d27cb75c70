"""The table of runs: a CSV file with all metrics, a Markdown page with the main ones, mean and
spread over seeds.
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.config.secrets import mask, mask_text
from polymodal.files import replacing, write_whole
from polymodal.formatting import in_table, readable
from polymodal.runs.results import Run
from polymodal.sweeps.show import show

SHOWN = ("recall@1", "accuracy", "recall", "f1", "mae")
"""Last parts of the test metrics that page and terminal have; the CSV has all."""

Row = Mapping[str, Any]


def write_tables(folder: Path, name: str, runs: Sequence[Run]) -> None:
    """Writes `<name>.csv`, `<name>.md` and, where runs differ in their seeds, `<name>_seeds.csv`;
    prints the page.

    Args:
        folder: where to.
        name: of the files.
        runs: a row each.
    """
    title = f"{len(runs)} runs in {folder}"
    _write_csv(folder / f"{name}.csv", [_all_of(run) for run in runs])
    keys, best_first = varied(runs), ranked(runs)
    metrics = {metric for run in runs for metric in run.metrics if is_main(metric)}
    tables = {title: [main_row(run, keys, metrics) for run in best_first]}
    if seeds := over_seeds(runs):
        _write_csv(folder / f"{name}_seeds.csv", seeds)
        tables["Over seeds (ci95: half of the mean's 95 % interval)"] = [
            row for row in seeds if is_main(row["metric"])
        ]
    pages = [f"# {heading}\n\n{markdown(rows)}\n" for heading, rows in tables.items()]
    again = "The best first. To repeat one: `python src/train.py repeat=<its folder>`.\n"
    write_whole(folder / f"{name}.md", mask_text("\n".join([*pages, again])))
    # a row has no room for all of them
    judged = {run.monitor.replace("val/", "test/", 1) for run in runs}
    show(
        title,
        _cells([main_row(run, keys, judged) for run in best_first]),
        _cells(tables.pop(title)),
    )
    for heading, rows in tables.items():
        show(heading, _cells(rows))


def varied(runs: Sequence[Run]) -> list[str]:
    """Keys of what is not the same in all runs."""
    keys = dict.fromkeys(key for run in runs for key in run.changes)
    return [key for key in keys if len({run.changes.get(key) for run in runs}) > 1]


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The best of the validation first; those without a metric of it last."""

    def rank(run: Run) -> tuple[bool, str, float]:
        return run.best is None, run.monitor, (run.best or 0.0) * (-1 if run.mode == "max" else 1)

    return sorted(runs, key=rank)


def over_seeds(runs: Sequence[Run]) -> list[Row]:
    """Count, mean, standard deviation and half a 95 % confidence interval (Student's t) of each
    metric.

    Runs belong together where nothing but their `seed` differs; what has one seed has no row. Of
    several runs with the same seed the last one counts: a repetition is no further sample.
    """
    from scipy.stats import t

    keys = [key for key in varied(runs) if key != "seed"]
    groups: dict[tuple[str, ...], dict[str, Run]] = {}
    for run in runs:
        if run.status == "done" and "seed" in run.changes:
            groups.setdefault(tuple(run.changes.get(key, "") for key in keys), {})[
                run.changes["seed"]
            ] = run
    rows: list[Row] = []
    for values, group in groups.items():
        for metric in next(iter(group.values())).metrics:
            found = [run.metrics[metric] for run in group.values() if metric in run.metrics]
            if (n := len(found)) > 1:
                deviation = statistics.stdev(found)
                about = {
                    "metric": metric,
                    "seeds": n,
                    "mean": statistics.mean(found),
                    "std": deviation,
                }
                half = float(t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
                rows.append(dict(zip(keys, values, strict=True)) | about | {"ci95": half})
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Rows as a table; a missing cell is empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [
        columns,
        ["---"] * len(columns),
        *([cell(row.get(key, "")) for key in columns] for row in rows),
    ]
    return "\n".join(
        "| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines
    )


def _all_of(run: Run) -> Row:
    judged = {"monitor": run.monitor, "best": run.best} if run.best is not None else {}
    return {
        "job": run.name,
        "status": run.status,
        **run.changes,
        "error": run.error,
        **judged,
        **run.metrics,
    }


def main_row(run: Run, keys: Sequence[str], metrics: Collection[str]) -> Row:
    """A run in the table: what sets it apart, and its main metrics."""
    row: dict[str, Any] = {"job": run.name, "status": run.status}
    row |= {key: run.changes.get(key, "") for key in keys}
    row |= {f"best {run.monitor}": run.best} if run.best is not None else {}
    row |= {
        name.removeprefix("test/"): value for name, value in run.metrics.items() if name in metrics
    }
    return row | ({"error": run.error} if run.status == "failed" else {})


def is_main(metric: str) -> bool:
    """Whether a metric is of the test, and one that a table shows."""
    is_own = metric.startswith("test/") and not metric.startswith("test/control/")
    return is_own and metric.rpartition("/")[2] in SHOWN


def cell(value: Any) -> str:
    """A value as a person reads it: in four digits, and a drawn one in six without zeros at the
    end.
    """
    if isinstance(value, str) and re.fullmatch(r"-?\d*\.\d{5,}(e-?\d+)?", value):
        return in_table(float(value))
    return readable(value) if isinstance(value, float) else str(value)


def _cells(rows: Sequence[Row]) -> list[dict[str, str]]:
    return [{key: cell(value) for key, value in row.items()} for row in rows]


def _write_csv(file: Path, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with replacing(file) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(mask(dict(row)) for row in rows)
