"""metrics.csv holds every row, also those of a time when it could not be written."""

import csv
import errno
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from polymodal.errors import ConfigError
from polymodal.loggers.csv import CSVLogger


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Fills the disk, or makes room: of what is written to a full one, a part is there."""
    is_full, write_rows = False, csv.DictWriter.writerows

    def writerows(writer: csv.DictWriter, rows: list) -> None:
        write_rows(writer, rows[:1])
        if is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_rows(writer, rows[1:])

    def fill(now: bool) -> None:
        nonlocal is_full
        is_full = now

    monkeypatch.setattr(csv.DictWriter, "writerows", writerows)
    return fill


@pytest.mark.parametrize("new_column", [False, True])
def test_rows_of_a_full_disk_are_written_when_there_is_room(
    new_column: bool, tmp_path: Path, fill: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    logger = CSVLogger(str(tmp_path))
    logger.log_metrics({"loss": 1.0}, 0)
    before = (tmp_path / "metrics.csv").read_bytes()
    fill(True)
    with caplog.at_level(logging.WARNING):
        logger.log_metrics({"loss": 2.0, **({"accuracy": 0.5} if new_column else {})}, 1)
        logger.log_metrics({"loss": 3.0}, 2)
    assert len(caplog.messages) == 1
    assert (
        "metrics.csv could not be written: [Errno 28] No space left on device. The run goes on"
        in caplog.messages[0]
    )
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert logger.rows == 3  # which a checkpoint notes
    fill(False)
    logger.log_metrics({"loss": 4.0}, 3)
    assert [(row["step"], row["loss"]) for row in rows_of(tmp_path)] == [
        (str(n), f"{n + 1}.0") for n in range(4)
    ]
    assert [row.get("accuracy") for row in rows_of(tmp_path)] == (
        ["", "0.5", "", ""] if new_column else [None] * 4
    )


def test_a_folder_that_cannot_be_written_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    logger = CSVLogger(str(tmp_path / "file"))
    logger.log_metrics({"loss": 1.0})
    assert "could not be written" in caplog.text
    assert logger.rows == 1


def test_a_resumed_run_keeps_the_rows_before_its_checkpoint(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path))
    for step in range(4):
        logger.log_metrics({"loss": 1.0 * step}, step)
    resumed = CSVLogger(str(tmp_path))
    resumed.keep(2)
    resumed.log_metrics({"loss": 9.0, "val/loss": 1.0}, 2)
    assert [row["loss"] for row in rows_of(tmp_path)] == ["0.0", "1.0", "9.0"]
    assert resumed.rows == 3


def test_a_folder_that_cannot_be_made_is_said_before_a_run_is_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        ConfigError, match=r"^logger\.csv\.save_dir=.*file/x cannot be written: .*file is no folder"
    ):
        CSVLogger(str(tmp_path / "file" / "x"))
    CSVLogger(str(tmp_path / "new" / "run"))
    assert not (tmp_path / "new").exists()
