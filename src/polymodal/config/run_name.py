"""The name of a run that was given none: that of its experiment, else that of its data."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf

NO_EXPERIMENT = "none"

OF_ANY_SOURCE = {"manifest", "folder", "webdataset", "huggingface", "huggingface_stream"}
"""Options of data= that read whatever they are pointed at, so that their own name says little."""

LONGEST = 60


def run_name(_root_: DictConfig) -> str:
    """`clip_small` of experiment=clip_small, `pairs` of data=manifest data.path=pairs.csv, `glyphs`
    of data=glyphs.
    """
    # Hydra asks for the folder of a run before it has begun
    hydra = OmegaConf.select(_root_, "hydra")
    choices = (hydra or HydraConfig.get()).runtime.choices
    experiment, option = choices.get("experiment"), str(choices.get("data"))
    if experiment not in (None, NO_EXPERIMENT):
        return str(experiment)
    if option not in OF_ANY_SOURCE:
        return _clean(option)
    source = OmegaConf.select(_root_, "data.path") or OmegaConf.select(_root_, "data.name")
    return _name_of(source) or option


def _name_of(source: Any) -> str:
    """Of a file, a folder, a pattern, a data set; of several the first."""
    if isinstance(source, DictConfig):
        source = source.get("train") or next(iter(source.values()), None)
    if isinstance(source, ListConfig):
        source = next(iter(source), None)
    path = PurePosixPath(str(source or ""))
    # a pattern of shards has no name of its own: its folder has
    names = [path.stem, *(parent.name for parent in path.parents)]
    return next(
        (
            _clean(name)
            for name in names
            if re.search(r"[^\W\d_]", name) and not re.search(r"[*?{}]", name)
        ),
        "",
    )


def _clean(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("_.-")[:LONGEST]


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
