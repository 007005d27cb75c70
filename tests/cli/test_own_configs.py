"""Configs in a folder of one's own, in the first process of a run and in the others."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.resumed import TINY

from polymodal.cli.train import arguments_for_followers, as_hydra_arguments, follow
from polymodal.config.compose import compose_config

SMALL = [word for word in TINY if not word.startswith("encoder.image.widths")]

RECIPE = """\
# @package _global_
defaults:
  - override /encoder/image: linear
dim: 24
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine's, own"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(RECIPE)
    return folder


def test_options_are_found_beside_ours(mine: Path) -> None:
    there = {"config_dir": str(mine)}
    assert compose_config(["experiment=mine", "++run_dir=."], **there).dim == 24
    assert compose_config(["experiment=clip_small", "++run_dir=."], **there).dim == 256
    assert (
        compose_config(
            ["experiment=mine", f'hydra.searchpath=["file://{mine}"]', "++run_dir=."]
        ).dim
        == 24
    )


def test_both_ways_may_be_taken_at_once(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "optimizer").mkdir(parents=True)
    (tmp_path / "other" / "optimizer" / "own.yaml").write_text(
        "_target_: torch.optim.Adam\nlr: 0.125\n"
    )
    overrides = [
        "experiment=mine",
        "optimizer=own",
        f"hydra.searchpath=[file://{tmp_path / 'other'}]",
        "++run_dir=.",
    ]
    config = compose_config(overrides, config_dir=str(mine))
    assert (config.dim, config.optimizer.lr) == (24, 0.125)


@pytest.mark.parametrize("way", ["config-dir", "searchpath"])
def test_the_other_processes_of_a_run_find_them_too(
    mine: Path, tmp_path: Path, monkeypatch, way: str
) -> None:
    """With the arguments that the first process leaves for them, as Lightning starts them."""
    sources = [SimpleNamespace(provider="main", path="configs")]
    hydras = ["hydra.run.dir=run"]
    if way == "config-dir":
        sources.append(SimpleNamespace(provider="command-line", path=str(mine)))
    else:
        hydras.append(f'hydra.searchpath=["file://{mine}"]')
    settings = SimpleNamespace(
        runtime=SimpleNamespace(config_sources=sources),
        job=SimpleNamespace(config_name="train"),
        overrides=SimpleNamespace(
            task=[*as_hydra_arguments(SMALL), "experiment=mine", "++dim=24"], hydra=hydras
        ),
    )
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr("polymodal.training.run.train", lambda config, _: seen.append(config))
    with arguments_for_followers(settings, tmp_path / "run", None):
        follow(sys.argv[1:])
    assert seen[0]["name"] == "mine"
    assert seen[0]["run_dir"] == str(tmp_path / "run")
    assert seen[0]["encoder"]["image"]["_target_"] == "polymodal.encoders.image.linear.Linear"
