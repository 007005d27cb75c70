"""metrics.csv, which a resumed run continues."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from polymodal.files import check_output, replacing

log = logging.getLogger(__name__)


class CSVLogger(Logger):
    """A row for each time that something is logged, in `metrics.csv`; an empty cell is a metric
    that was not.

    Lightning's CSVLogger empties the file of an earlier start, and writes it anew, not at once,
    when there is a new column. Here every row is in the file when `log_metrics` returns, and the
    file is whole at any time. While it cannot be written, as on a full disk, rows are kept in
    memory, and the run goes on: it is worth more than this file.

    Args:
        save_dir: the run's folder.

    Raises:
        ConfigError: another folder is given, which cannot be made: it is said before a run is
            touched.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__()
        check_output(Path(save_dir), "logger.csv.save_dir")
        self.file = Path(save_dir) / "metrics.csv"
        self.columns: list[str] = []
        self.rows = 0
        self.waiting: list[Mapping[str, Any]] = []

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
        self.rows += 1
        try:
            self._add([*self.waiting, row])
        except OSError as error:
            if not self.waiting:
                log.warning(
                    "%s could not be written: %s. The run goes on, and tries again.",
                    self.file,
                    error,
                )
            self.waiting.append(row)
        else:
            self.waiting = []

    def _add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes the last rows, all of them or none.

        Raises:
            OSError: they cannot be written.
        """
        if new := {name for row in rows for name in row} - set(self.columns):
            columns = sorted({*self.columns, *new})
            self._write([*self._read(self.rows - len(rows)), *rows], columns)
            self.columns = columns
            return
        size = self.file.stat().st_size
        try:
            with self.file.open("a", newline="") as stream:
                csv.DictWriter(stream, self.columns).writerows(rows)
        except OSError:
            os.truncate(self.file, size)  # of a row, a part may be there
            raise

    @rank_zero_only
    def keep(self, rows: int) -> None:
        """Goes on after the first rows of an earlier start; those after them came after the
        checkpoint.
        """
        kept = self._read(rows)
        self.columns, self.rows = list(kept[0]) if kept else [], len(kept)
        self._write(kept, self.columns)

    def _read(self, rows: int) -> list[dict[str, Any]]:
        if not rows or not self.file.exists():
            return []
        with self.file.open(newline="") as stream:
            return list(islice(csv.DictReader(stream), rows))

    def _write(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.file) as part, part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
