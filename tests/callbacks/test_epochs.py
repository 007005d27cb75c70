"""What a run says on the screen and in train.log: whole commands in this process, on tiny data."""

import csv
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from tests.resumed import configured

from polymodal.callbacks.epochs import Epochs
from polymodal.callbacks.throughput import Throughput
from polymodal.formatting import readable
from polymodal.terminal import run_log
from polymodal.training.run import train

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """As outside of pytest, which keeps them for itself."""

    def write(message: Any, category: type[Warning], file: str, line: int, *_: Any) -> None:
        sys.stderr.write(warnings.formatwarning(message, category, "file.py", 1, ""))

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = write
        yield


def talk(*_: Any) -> None:
    """A user's own code, which prints and warns."""
    print("printed by a user")
    print("half a line, ", end="")
    print("and the rest")
    print("\x1b[31mred\x1b[0m", file=sys.stderr)
    warnings.warn("The number of training batches is a warning of a user", stacklevel=1)


def lines_of(folder: Path) -> list[str]:
    """train.log without its times, which are checked."""
    lines = (folder / "train.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[21:] for line in lines]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def run(folder: Path, *overrides: str, resume: str | None = None) -> None:
    config = configured(folder, *overrides)
    with run_log.recording(), warnings_on_stderr():
        train(config | {"resume": resume}, config)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The folder of a run of two epochs, and of a third one after it; what went to stdout and
    stderr before that."""
    folder = tmp_path_factory.mktemp("logged")
    capture = pytest.MonkeyPatch()
    streams = {}
    for name in ("stdout", "stderr"):
        streams[name] = (folder / name).open("w+")
        capture.setattr(sys, name, streams[name])
    common = [
        "trainer.log_every_n_steps=1",
        "tuning.text.freeze=true",
        "monitor=val/recall@10",
        "monitor_mode=max",
    ]
    capture.setattr(Throughput, "on_train_start", talk)
    run(folder, *common, "trainer.max_epochs=2")
    capture.delattr(Throughput, "on_train_start")
    said = [(folder / name).read_text() for name in streams]
    run(folder, *common, "trainer.max_epochs=3", resume=str(folder / "checkpoints" / "last.ckpt"))
    capture.undo()
    for stream in streams.values():
        stream.close()
    return folder, *said


def test_the_start_says_what_is_trained_on_what(logged: tuple[Path, str, str]) -> None:
    folder, stdout, _ = logged
    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    sizes = {name: value.numel() for name, value in state.items() if not name.endswith(STATISTICS)}
    image, text = (
        sum(size for name, size in sizes.items() if name.startswith(f"model.encoders.{part}."))
        for part in ("image", "text")
    )
    lines = stdout.splitlines()
    start = lines.index("Training: synthetic")
    assert lines[start : start + 10] == [
        "Training: synthetic",
        "  samples    128 train, 16 val, 16 test (Synthetic)",
        f"  image      CNN, {image:,} parameters",
        f"  text       BagOfWords, {text:,} parameters, frozen",
        "  objective  CLIP, 1 parameter",
        f"  in all     {image + text + 1:,} parameters, {image + 1:,} trained",
        "  steps      batches of 16, 8 an epoch, 16 in 2 epochs",
        "  monitor    val/recall@10, the larger the better",
        "  device     CPU, 1 thread, fp32",
        f"  folder     {folder}",
    ]
    assert max(len(line) for line in lines[start : start + 9]) <= 80


def test_each_epoch_has_a_line_with_the_values_of_the_metrics_file(
    logged: tuple[Path, str, str],
) -> None:
    folder, stdout, _ = logged
    rows = rows_of(folder)
    expected, best = [], -1.0
    for epoch in range(3):
        own = [row for row in rows if row["epoch"] == str(epoch)]
        loss = mean(float(row["train/loss"]) for row in own if row["train/loss"])
        (validated,) = (row for row in own if row["val/loss"])
        rate = [
            row["lr-AdamW/model"]
            for row in rows
            if row["step"] == str(8 * epoch + 7) and row["lr-AdamW/model"]
        ]
        value = float(validated["val/recall@10"])
        is_best, best = value > best, max(value, best)
        words = [f"epoch {epoch + 1}/{2 if epoch < 2 else 3}", f"loss {readable(loss)}"]
        words += [
            f"val loss {readable(float(validated['val/loss']))}",
            f"recall@10 {readable(value)}{' best' * is_best}",
        ]
        expected.append("  ".join([*words, f"lr {float(rate[0]):.2g}"]))
    said = [line.rpartition("  ")[0] for line in lines_of(folder) if line.startswith("epoch ")]
    assert said == expected
    assert [
        line.rpartition("  ")[0] for line in stdout.splitlines() if line.startswith("epoch ")
    ] == expected[:2]
    assert all(len(line) <= 80 for line in stdout.splitlines() if line.startswith("epoch "))


@pytest.mark.parametrize(("mode", "worse", "better"), [("max", 0.4, 0.6), ("min", 0.6, 0.4)])
def test_a_resumed_run_knows_the_best(mode: str, worse: float, better: float) -> None:
    first, resumed = Epochs(), Epochs()
    assert first._is_best(0.5, mode)
    resumed.load_state_dict(first.state_dict())
    assert [resumed._is_best(value, mode) for value in (worse, 0.5, better)] == [False, False, True]


def test_the_log_has_all_that_was_said_and_a_resumed_run_appends(
    logged: tuple[Path, str, str],
) -> None:
    folder, stdout, stderr = logged
    lines = lines_of(folder)
    parts = [index for index, line in enumerate(lines) if line == "Resuming at step 16: synthetic"]
    assert len(parts) == 1
    before = lines[: parts[0]]
    plain = re.sub(r"\x1b\[\d+m", "", stdout + stderr)
    assert sorted(before) == sorted(line.rstrip() for line in plain.splitlines() if line.strip())
    assert "half a line, and the rest" in before
    assert "red" in before


def test_a_users_own_warning_is_shown_and_no_other_is(logged: tuple[Path, str, str]) -> None:
    _, _, stderr = logged
    own = "file.py:1: UserWarning: The number of training batches is a warning of a user\n"
    assert sorted(stderr.splitlines(keepends=True)) == sorted(["\x1b[31mred\x1b[0m\n", own])


def test_an_epoch_of_few_steps_is_logged_once_and_nobody_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings_on_stderr():
        config = configured(tmp_path, "trainer.log_every_n_steps=50", "trainer.max_epochs=2")
        train(config, config)
    assert [row["step"] for row in rows_of(tmp_path) if row["train/loss"]] == ["7", "15"]
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "train.log").exists()  # of a command alone


def test_validations_within_an_epoch_have_lines_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(
        tmp_path, "trainer.val_check_interval=4", "trainer.max_epochs=1", "scheduler=none"
    )
    train(config, config)
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match("epoch|step ", line)]
    assert [line.split("  ")[0] for line in lines] == ["step 4", "epoch 1/1"]
    steps = [row for row in rows_of(tmp_path) if row["val/loss"]]
    for line, row in zip(lines, steps, strict=True):
        assert f"val loss {readable(float(row['val/loss']))}" in line
