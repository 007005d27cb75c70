"""Killed (SIGKILL) while a file is written, a run is resumed and ends as if it had not been."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.resumed import configured, differences, final_state, rows

from polymodal.training.checkpoints.files import newest_checkpoint
from polymodal.training.run import train

pytestmark = pytest.mark.slow

LONG = [
    "test=true",
    "callbacks=[checkpoint,lr_monitor,throughput,report]",
    "callbacks.last.every_steps=4",
]


def kill_itself(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def trained_and_killed(folder: Path, where: str, turn: int) -> None:
    """In a process of its own: a run that is killed within the `turn`-th write of a kind."""
    save, left = torch.save, [turn]

    def half_saved(content: Any, stream: Any) -> None:
        left[0] -= 1
        save(content, stream)
        if left[0] == 0:
            stream.flush()
            stream.truncate(stream.tell() // 2)
            kill_itself()

    def page_of(run_dir: Path) -> Path:
        (run_dir / "report" / "index.html.part").write_text("<html")
        kill_itself()
        raise AssertionError

    if where == "checkpoint":
        torch.save = half_saved
    elif where == "plot":
        import polymodal.report.alignment

        polymodal.report.alignment.draw_map = kill_itself
    else:
        import polymodal.training.final

        polymodal.training.final.write_page = page_of
    config = configured(folder, *LONG)
    train(config, config)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The same run, never killed."""
    folder = tmp_path_factory.mktemp("whole")
    config = configured(folder, *LONG)
    train(config, config)
    return folder


@pytest.mark.parametrize(
    ("where", "turn"), [("checkpoint", 2), ("checkpoint", 5), ("plot", 1), ("page", 1)]
)
def test_it_ends_bit_for_bit_as_if_it_had_not_been_killed(
    where: str, turn: int, whole: Path, tmp_path: Path
) -> None:
    process = multiprocessing.get_context("forkserver").Process(
        target=trained_and_killed, args=(tmp_path, where, turn)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    checkpoint = newest_checkpoint(tmp_path)
    config = configured(tmp_path, *LONG)
    train(config | {"resume": str(checkpoint)}, config)
    assert differences(final_state(whole), final_state(tmp_path)) == []
    assert rows(whole) == rows(tmp_path)
    assert (tmp_path / "metrics.json").is_file()
    assert (tmp_path / "report" / "index.html").read_text().endswith("</html>")
    assert not list(tmp_path.rglob("*.part"))
