"""A composed config without a job: for checks, tests, notebooks and the further processes of a run."""

from __future__ import annotations

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from polymodal.config.explain import CONFIGS


def compose_config(
    overrides: Sequence[str] = (), config_name: str = "train", config_dir: str | None = None
) -> DictConfig:
    """What `python src/train.py <overrides>` would compose; `run_dir` must be among the overrides to be used.

    Args:
        overrides: as on the command line, in Hydra's grammar.
        config_name: of the primary config.
        config_dir: where that lies, if it is not one of ours.
    """
    GlobalHydra.instance().clear()
    search = [f"hydra.searchpath=[file://{CONFIGS}]"] if config_dir else []
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir or CONFIGS)):
        config = compose(config_name, overrides=[*overrides, *search], return_hydra_config=True)
    HydraConfig.instance().set_config(config)  # the names of the chosen options are looked up in it
    with open_dict(config):
        del config["hydra"]
    return config
