"""metrics.csv, which a resumed run continues."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from polymodal.files import replacing


class CSVLogger(Logger):
    """A row for each time that something is logged, in `metrics.csv`; an empty cell is a figure that was not.

    Lightning's CSVLogger empties the file of an earlier start, and writes it anew, not at once, when there is a new
    column. Here every row is in the file when `log_metrics` returns, and the file is whole at any time.

    Args:
        save_dir: the run's folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        self.file = Path(save_dir) / "metrics.csv"
        self.columns: list[str] = []
        self.rows = 0

    @property
    def name(self) -> str:
        """None is needed: there is one file in a run's folder."""
        return ""

    @property
    def version(self) -> str:
        """None is needed: there is one file in a run's folder."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self.file.parent)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """They are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """One row."""
        row = {**metrics, "step": self.rows if step is None else step}
        if new := set(row) - set(self.columns):
            earlier = self._read(self.rows)
            self.columns = sorted({*self.columns, *new})
            self._write([*earlier, row])
        else:
            with self.file.open("a", newline="") as stream:
                csv.DictWriter(stream, self.columns).writerow(row)
        self.rows += 1

    @rank_zero_only
    def keep(self, rows: int) -> None:
        """Goes on after the first rows of an earlier start; those after them came after the checkpoint."""
        kept = self._read(rows)
        self.columns, self.rows = list(kept[0]) if kept else [], len(kept)
        self._write(kept)

    def _read(self, rows: int) -> list[dict[str, Any]]:
        if not rows or not self.file.exists():
            return []
        with self.file.open(newline="") as stream:
            return list(islice(csv.DictReader(stream), rows))

    def _write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.file) as part, part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self.columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
