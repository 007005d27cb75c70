"""Numbers of processes that are left in the environment are said, and those of a launcher are
not."""

import pytest

from polymodal.config.environment import RANKS, check_ranks, check_started
from polymodal.config.messages import readable_errors
from polymodal.errors import ConfigError, PolymodalError


@pytest.fixture(autouse=True)
def _alone(monkeypatch) -> None:
    for name in (
        *RANKS,
        "WORLD_SIZE",
        "MASTER_ADDR",
        "TORCHELASTIC_RUN_ID",
        "SLURM_PROCID",
        "SLURM_NTASKS",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("left", "message"),
    [
        ({"RANK": "1"}, r"RANK=1 is set in this shell(.|\n)*unset RANK$"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, r"RANK=1 is set(.|\n)*unset RANK WORLD_SIZE$"),
        ({"LOCAL_RANK": "3"}, "LOCAL_RANK=3 is set"),
        ({"NODE_RANK": "1"}, "NODE_RANK=1 is set"),
        ({"RANK": "gold"}, "RANK=gold is set"),
        ({"WORLD_SIZE": "two", "MASTER_ADDR": "here"}, "WORLD_SIZE=two is set"),
    ],
)
def test_what_is_left_over_is_said(monkeypatch, capsys, left: dict[str, str], message: str) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PolymodalError, match=message):
        check_ranks()
    with pytest.raises(SystemExit), readable_errors():
        pass
    # although this is not the first process
    assert "is set in this shell" in capsys.readouterr().err


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"RANK": "0", "LOCAL_RANK": "0"},
        {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here"},
        {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"},
        {"SLURM_PROCID": "1", "LOCAL_RANK": "1"},
    ],
)
def test_what_a_launcher_says_is_let_through(monkeypatch, told: dict[str, str]) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    check_ranks()


@pytest.mark.parametrize(
    ("launcher", "shown"), [("TORCHELASTIC_RUN_ID", False), ("MASTER_ADDR", True)]
)
def test_a_wrong_config_is_told_once_by_torchrun_and_never_in_silence(
    monkeypatch, capsys, launcher: str, shown: bool
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv(launcher, "x")
    with pytest.raises(SystemExit), readable_errors():
        raise ConfigError("wrong")
    assert ("error: wrong" in capsys.readouterr().err) == shown


def test_the_number_of_processes_is_told_with_what_to_unset(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"2 processes were started(.|\n)*unset WORLD_SIZE RANK"):
        check_started({"devices": 1})


def test_a_local_rank_that_is_left_over_would_keep_the_others_from_being_started(
    monkeypatch,
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    check_started({"devices": 1})
    with pytest.raises(ConfigError, match="unset LOCAL_RANK"):
        check_started({"devices": 2})
