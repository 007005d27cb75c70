"""What sets runs apart is what differs in their configs, and nothing else."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from polymodal.errors import ConfigError
from polymodal.sweeps.compare import compare, differences

keys = st.sampled_from(["a", "b", "c"])
configs = st.recursive(
    st.integers(0, 2), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=6
)


@given(st.lists(st.dictionaries(keys, configs, max_size=3), min_size=2, max_size=3))
def test_runs_are_told_apart_exactly_where_they_differ(nodes: list[dict]) -> None:
    found = differences(nodes)
    for first, one in zip(found, nodes, strict=True):
        for second, other in zip(found, nodes, strict=True):
            assert list(first) == list(second)
            if one == other:
                assert first == second


@given(st.dictionaries(keys, configs, max_size=3))
def test_equal_configs_have_no_differences(node: dict) -> None:
    assert differences([node, node | {"run_dir": "elsewhere"}]) == [{}, {}]


def test_another_class_is_one_difference() -> None:
    one = {"encoder": {"text": {"_target_": "a.b.Bow", "dim": 8}}, "lr": 1, "run_dir": "x"}
    other = {
        "encoder": {"text": {"_target_": "a.b.RNN", "dim": 8, "layers": 2}},
        "lr": 1,
        "run_dir": "y",
    }
    assert differences([one, other]) == [{"encoder.text": "Bow"}, {"encoder.text": "RNN"}]


def test_what_follows_another_key_is_no_difference_of_its_own() -> None:
    nodes = [
        {"seed": k, "data": {"seed": k, "x": 5 - k}, "fusion": {"a": {"seed": 0}}} for k in (0, 1)
    ]
    assert differences(nodes) == [{"seed": "0", "data.x": "5"}, {"seed": "1", "data.x": "4"}]


def write(folder: Path, accuracy: float, **config: object) -> None:
    folder.mkdir(parents=True)
    config |= {"monitor": "val/accuracy", "monitor_mode": "max"}
    OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
    (folder / "metrics.json").write_text(json.dumps({"test/accuracy": accuracy}))
    (folder / "metrics.csv").write_text(f"step,val/accuracy\n10,{accuracy / 2}\n20,{accuracy}\n")


def test_runs_and_sweeps_stand_side_by_side(tmp_path: Path) -> None:
    write(tmp_path / "one", 0.5, dim=8)
    write(tmp_path / "sweep" / "0", 0.6, dim=16)
    write(tmp_path / "sweep" / "1", 0.7, dim=32)
    runs = compare([str(tmp_path / "on*"), str(tmp_path / "sweep")], tmp_path / "out")
    assert [(run.name, run.changes, run.best) for run in runs] == [
        ("one", {"dim": "8"}, 0.5),
        ("sweep/0", {"dim": "16"}, 0.6),
        ("sweep/1", {"dim": "32"}, 0.7),
    ]
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        "compare.csv",
        "compare.md",
        "compare.html",
        "curves.png",
        "parallel_coordinates.png",
    }
    (tmp_path / "sweep" / "2").mkdir()
    (tmp_path / "sweep" / "2" / "error.txt").write_text("a bad choice")  # before it had a config
    runs = compare([str(tmp_path / "sweep")], tmp_path / "out")
    assert [(run.changes, run.error) for run in runs] == [
        ({"dim": "16"}, ""),
        ({"dim": "32"}, ""),
        ({}, "a bad choice"),
    ]
    with pytest.raises(ConfigError, match="no run"):
        compare([str(tmp_path / "nothing")], tmp_path / "out")
