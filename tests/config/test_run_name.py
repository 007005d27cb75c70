"""A run that has no experiment is called after its data."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from polymodal.cli import train as launch  # noqa: F401  (its resolvers)
from polymodal.config.compose import compose_config
from polymodal.config.messages import CONFIGS


def name_of(*words: str) -> str:
    return str(compose_config([*words, "++run_dir=."]).name)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((), "glyphs"),
        (("experiment=clip_small", "data=manifest", "data.path=pairs.csv"), "clip_small"),
        (("data=manifest", "data.path=tables/pairs.csv"), "pairs"),
        (("data=manifest",), "manifest"),
        (("data=manifest", "data.path={val: b.csv, train: deep/my data.tsv}"), "my_data"),
        (("data=manifest", "data.path=[x/first.csv,x/second.csv]"), "first"),
        (("data=folder", "data.path=/data/animals/"), "animals"),
        (("data=webdataset", "data.path='/data/cc3m/{00..12}.tar'"), "cc3m"),
        (("data=webdataset", "data.path='/data/cc3m/part-*.tar'"), "cc3m"),
        (("data=huggingface", "data.name=user/flowers-102"), "flowers-102"),
        (("data=synthetic", "name=mine"), "mine"),
    ],
)
def test_a_run_is_called_after_its_experiment_or_its_data(
    words: tuple[str, ...], name: str
) -> None:
    assert name_of(*words) == name


OWN = "# @package _global_\ndefaults: [manifest, _self_]\ndata: {path: /x/table.csv, batch_size: 48}\n"


def test_data_of_ones_own_lend_their_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "birds.yaml").write_text(OWN)
    config = compose_config(["data=birds", "++run_dir=."], config_dir=str(tmp_path))
    assert (config.name, config.data.batch_size) == ("birds", 48)


def test_the_folder_of_a_run_has_its_name() -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(CONFIGS)):
        words = ["data=manifest", "data.path=a/pairs.csv"]
        config = compose("train", overrides=words, return_hydra_config=True)
    assert config.hydra.run.dir.startswith("logs/train/pairs/")
    assert config.hydra.sweep.dir.startswith("logs/train/pairs/")
