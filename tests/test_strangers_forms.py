"""A run folder that somebody else has made: values of a wrong kind and pipes end in one message,
and nothing waits."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import polymodal
from polymodal.config.trust import check_whole
from polymodal.errors import ConfigError
from polymodal.files import read_json
from polymodal.runs.folder import DEFAULTS, header
from polymodal.runs.results import config_of, read_run
from polymodal.runs.resume import find_run
from polymodal.sweeps.stored import stored_arguments
from polymodal.training.checkpoints.files import load_checkpoint, newest_checkpoint, position_of

WHOLE = {"name": "x", "label": None, "data": {"_target_": "a"}, "encoder": {}, "objective": {}}
LOOPS = {
    "fit_loop": {
        "epoch_progress": {"current": {"started": 2, "processed": 1}},
        "epoch_loop.batch_progress": {"is_last_batch": False, "current": {"ready": 7}},
    }
}


def emptied(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Copies of nested dictionaries, in each of which one value is another."""
    for key, value in node.items():
        for other in ([], None, "x", {}):
            yield node | {key: other}
        if isinstance(value, dict):
            yield from (node | {key: inner} for inner in emptied(value))


@pytest.mark.parametrize("key", [*WHOLE, "data._target_"])
@pytest.mark.parametrize("value", [5, [1], "absent"], ids=str)
def test_a_config_without_what_is_read_of_it_is_refused(key: str, value: object) -> None:
    check_whole(WHOLE)
    first, _, second = key.partition(".")
    config = WHOLE | {first: {second: value} if second else value}
    if value == "absent":
        config = {name: node for name, node in WHOLE.items() if name != first} | (
            {"data": {}} if second else {}
        )
    with pytest.raises(ConfigError, match=f"has no {key}"):
        check_whole(config)


@pytest.mark.parametrize(
    "name", ["state_dict", "callbacks", "loops", "resume", "optimizer_states", "global_step"]
)
def test_a_field_of_a_checkpoint_that_is_something_else_is_refused(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / "x.ckpt"
    torch.save({"config": {"name": "x"}, name: {1: 2}}, file)
    with pytest.raises(ConfigError, match=f"its {name} is of another kind"):
        load_checkpoint(file)


def test_how_far_training_was_is_read_or_refused() -> None:
    assert position_of({"loops": LOOPS}) == (1, 7)
    for loops in emptied(LOOPS):
        if loops["fit_loop"] and isinstance(loops["fit_loop"], dict):
            flag = loops["fit_loop"]["epoch_loop.batch_progress"]
            if (
                isinstance(flag, dict)
                and flag.get("is_last_batch") is not False
                and flag.get("current")
            ):
                continue  # any value is true or false
        with pytest.raises(ConfigError, match="how far"):
            position_of({"loops": loops})


@pytest.mark.parametrize(
    "name",
    ["metrics.json", ".lock", "environment.json", "metrics.csv", "checkpoints/x.ckpt", "error.txt"],
)
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    text = header(tmp_path) + OmegaConf.to_yaml({"name": "x", "monitor": "val/loss"})
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "checkpoints").mkdir()
    os.mkfifo(tmp_path / name)
    for opened in (lambda: find_run(str(tmp_path), None), lambda: stored_arguments(tmp_path)):
        with pytest.raises(ConfigError, match=f"{Path(name).name} is neither a file nor a folder"):
            opened()
    assert read_run(tmp_path).monitor == "val/loss"


def test_a_pipe_is_no_config_no_model_and_no_json(tmp_path: Path) -> None:
    for name in ("config.yaml", "config.json", "a.json"):
        os.mkfifo(tmp_path / name)
    assert config_of(tmp_path) == {}
    assert read_json(tmp_path / "a.json") == {}
    with pytest.raises(ConfigError, match=r"there is no config\.json"):
        polymodal.load(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no config\.yaml"):
        find_run(str(tmp_path), None)
    with pytest.raises(ConfigError, match="no checkpoint is whole"):
        newest_checkpoint(tmp_path)


def test_files_of_a_run_that_hold_something_else_are_rows_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"test/loss": "x", "test/accuracy": 0.5}')
    (tmp_path / "environment.json").write_text('{"overrides": [1, "seed=3", null]}')
    (tmp_path / "config.yaml").write_text("monitor: [1]\nmonitor_mode: {a: 1}\n")
    found = read_run(tmp_path)
    assert (found.metrics, found.changes, found.mode) == (
        {"test/accuracy": 0.5},
        {"seed": "3"},
        "max",
    )
    (tmp_path / "config.yaml").write_text("monitor: val/loss\n")
    (tmp_path / "metrics.csv").write_text("step,val/loss\n1,a\n")
    with pytest.raises(ConfigError, match="could not convert"):
        read_run(tmp_path)


def test_the_name_of_a_folder_adds_no_setting() -> None:
    text = header(Path("a\nseed: 5\r\x85b"))
    assert OmegaConf.create(text) == {"defaults": DEFAULTS}
    assert text.startswith(
        "# The whole config of one run.\n"
        "# To repeat it: python src/train.py repeat=a?seed: 5??b; to resume it: resume=a?seed: 5??b\n"
    )
