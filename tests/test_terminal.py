"""What is said goes to the screen and, with its time, to a file; a bar on the screen is not drawn
over."""

import io
import logging
import re
import sys
from pathlib import Path

import pytest
from rich import get_console
from rich.console import Console
from rich.live import Live
from rich.table import Table

from polymodal.terminal import Recorded, RunLog, run_log, say


class Terminal(io.StringIO):
    """What looks like one."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def lines_of(folder: Path) -> list[str]:
    return [line[21:].rstrip() for line in (folder / "train.log").read_text().splitlines()]


def test_nothing_is_written_before_the_folder_is_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_log.recording():
        print("first")
        say("second [not markup]")
        assert list(tmp_path.iterdir()) == []
        run_log.open(tmp_path)
        assert lines_of(tmp_path) == ["first", "second [not markup]"]
        print("third", file=sys.stderr)
    print("after it")
    assert lines_of(tmp_path) == ["first", "second [not markup]", "third"]
    said = capsys.readouterr()
    assert said.out == "first\nsecond [not markup]\nafter it\n"
    assert said.err == "third\n"


def test_a_line_that_is_written_over_counts_as_it_was_last(tmp_path: Path) -> None:
    with run_log.recording():
        run_log.open(tmp_path)
        for part in ("\r 10 %", "\r 50 %", "\r100 %\n", "\x1b[1mbold\x1b[0m\r\n", "\n", "no end"):
            sys.stderr.write(part)
        sys.stderr.write(" yet\n")
    assert lines_of(tmp_path) == ["100 %", "bold", "no end yet"]


def test_a_table_is_plain_in_the_file_and_brackets_are_no_markup(tmp_path: Path) -> None:
    table = Table("metric", "value")
    table.add_row("recall@1", "[bold]0.5")
    with run_log.recording():
        run_log.open(tmp_path)
        say(table)
    assert [line for line in lines_of(tmp_path) if "recall" in line] == ["│ recall@1 │ [bold]0.5 │"]


def test_an_error_that_ends_it_leaves_its_stack_trace(tmp_path: Path) -> None:
    def fails() -> None:
        with run_log.recording():
            run_log.open(tmp_path)
            raise RuntimeError("out of order")

    with pytest.raises(RuntimeError):
        fails()
    lines = lines_of(tmp_path)
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "RuntimeError: out of order"
    assert not isinstance(sys.stdout, Recorded)


def test_secrets_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "s3cr3t-value-of-a-key")
    with run_log.recording():
        run_log.open(tmp_path)
        print("the key is s3cr3t-value-of-a-key")
    assert lines_of(tmp_path) == ["the key is ${oc.env:WANDB_API_KEY}"]


def test_a_disk_that_is_full_is_said_once_and_costs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (
        tmp_path / "train.log"
    ).mkdir()  # what cannot be written, for a process that may write anywhere
    with run_log.recording():
        run_log.open(tmp_path)
        print("one")
        print("two")
    said = capsys.readouterr()
    assert said.out == "one\ntwo\n"
    assert said.err.count("could not be written") == 1


def test_lines_stand_above_a_bar_and_go_to_the_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # which is made now, if it is not there: in no colours
    screen, console = (Terminal(), get_console())
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(console, "__dict__", Console(width=60).__dict__)
    with run_log.recording():
        run_log.open(tmp_path)
        with Live("the bar", console=console, auto_refresh=False, transient=True):
            print("printed")
            say("said")
            logging.StreamHandler(sys.stderr).emit(logging.makeLogRecord({"msg": "logged"}))
    assert lines_of(tmp_path) == ["printed", "said", "logged"]
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "")
    for line in ("printed", "said", "logged"):
        assert drawn.count(line) == 1
        assert f"{line}\nthe bar" in drawn  # which is drawn anew below it


def test_what_stands_for_a_stream_is_like_it() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="replace")
    recorded = Recorded(stream, RunLog())
    assert (recorded.encoding, recorded.errors, recorded.writable()) == ("latin-1", "replace", True)
    assert recorded.write("é\n") == 2
    recorded.flush()
    assert recorded.buffer.getvalue() == b"\xe9\n"


def test_who_keeps_hold_of_a_stream_gets_the_real_one(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    with run_log.recording():
        assert isinstance(sys.stdout, Recorded)
        with run_log.aside():
            assert sys.stdout is before
        assert isinstance(sys.stdout, Recorded)
