"""A composed config without a job: for checks, tests, notebooks and the further processes of a
run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from polymodal.config.messages import CONFIGS

SEARCHPATH = "hydra.searchpath="


def compose_config(
    overrides: Sequence[str] = (), config_name: str = "train", config_dir: str | None = None
) -> DictConfig:
    """What `python src/train.py <overrides>` would compose; `run_dir` must be among the overrides
    to be used.

    Args:
        overrides: as on the command line, in Hydra's grammar.
        config_name: of the primary config.
        config_dir: where that lies, or options of groups do, if they are not ours. So does
            `hydra.searchpath=` among the overrides.
    """
    GlobalHydra.instance().clear()
    has_primary = config_dir is not None and (Path(config_dir) / f"{config_name}.yaml").is_file()
    main, other = (Path(config_dir or CONFIGS), CONFIGS) if has_primary else (CONFIGS, config_dir)
    overrides, places = _searched(overrides, other)
    with initialize_config_dir(version_base="1.3", config_dir=str(main.absolute())):
        config = compose(config_name, overrides=[*overrides, *places], return_hydra_config=True)
    HydraConfig.instance().set_config(config)  # the names of the chosen options are looked up in it
    with open_dict(config):
        del config["hydra"]
    return config


def _searched(overrides: Sequence[str], further: str | Path | None) -> tuple[list[str], list[str]]:
    """The other overrides, and the one that says where configs are looked for beside the primary
    one.
    """
    given = [override for override in overrides if override.lstrip("+").startswith(SEARCHPATH)]
    others = [override for override in overrides if override not in given]
    places = [f"file://{Path(further).absolute()}"] if further else []
    for override in given[-1:]:
        places += OmegaConf.create(f"places: {override.partition('=')[2]}").places or []
    return others, [
        f"{SEARCHPATH}[{','.join(repr(str(place)) for place in places)}]"
    ] if places else []
