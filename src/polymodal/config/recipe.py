"""What an experiment says of a part for which the command line chose another option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from polymodal.config.environment import is_first_process
from polymodal.config.messages import CONFIGS, is_group
from polymodal.config.signature import find_signature
from polymodal.errors import ConfigError


def drop_unfit(config: DictConfig) -> None:
    """Takes out of a composed config, in place, what its experiment set of parts that were then
    replaced.

    An experiment speaks of its own options: `objective.label_smoothing` of clip means nothing to
    siglip. What the command line itself sets stays, and is refused if it does not fit.
    """
    if not HydraConfig.initialized():
        return
    settings = HydraConfig.get()
    experiment = settings.runtime.choices.get("experiment", "none")
    # unresolved: a reference of an override means nothing among Hydra's own settings
    overrides: Any = OmegaConf.to_container(settings.overrides.task, resolve=False)
    given = [str(override).lstrip("+~").partition("=") for override in overrides]
    chosen = {key: option for key, _, option in given if is_group(key) and key != "experiment"}
    typed = {key for key, _, _ in given}
    if "callbacks" in chosen:
        _drop_callbacks(config, experiment, typed)
    for group, option in chosen.items():
        path = group.partition("@")[2] or group.replace("/", ".")
        node = OmegaConf.select(config, path)
        if not isinstance(node, DictConfig) or not isinstance(node.get("_target_"), str):
            continue  # the check of the config says what is wrong
        for key in _unfit(node, _said(experiment, path)):
            if f"{path}.{key}" not in typed:
                if is_first_process():
                    print(
                        f"experiment={experiment} sets {path}.{key}={node[key]}, and "
                        f"{group}={option} has no such setting: left out."
                    )
                with open_dict(node):
                    del node[key]


def _drop_callbacks(config: DictConfig, experiment: str, typed: AbstractSet[str]) -> None:
    """Settings of callbacks that the command line did not choose."""
    for name in _said(experiment, "callbacks"):
        node = config.callbacks.get(name)
        is_typed = any(key.startswith(f"callbacks.{name}") for key in typed)
        if isinstance(node, DictConfig) and "_target_" not in node and not is_typed:
            if is_first_process():
                print(
                    f"experiment={experiment} sets callbacks.{name}, and callbacks= leaves it out."
                )
            with open_dict(config.callbacks):
                del config.callbacks[name]


def _said(experiment: str, path: str) -> Sequence[Any]:
    """Keys that an experiment, or one that it inherits from, sets of a part."""
    file = CONFIGS / "experiment" / f"{experiment}.yaml"
    if not file.is_file():
        return []
    content = OmegaConf.load(file)
    own = OmegaConf.select(content, path)
    parents = [
        name
        for name in OmegaConf.select(content, "defaults", default=[])
        if isinstance(name, str) and name != "_self_"
    ]
    keys = list(own) if isinstance(own, DictConfig) else []
    return [*keys, *(key for parent in parents for key in _said(parent, path))]


def _unfit(node: DictConfig, keys: Sequence[Any]) -> Iterator[str]:
    try:
        signature = find_signature(node["_target_"])
    except ConfigError:
        return  # the check of the config says it better
    for key in keys:
        if key in node and key not in signature.types and not signature.open:
            yield str(key)
