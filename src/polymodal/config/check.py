"""Checks a composed config: names, types and ranges, before torch is imported and anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from polymodal.config import environment  # noqa: F401  (the configs ask it)
from polymodal.config.explain import is_group
from polymodal.config.schema import Config, TuningConfig
from polymodal.config.signature import SPECIAL, Signature, find_signature, nearest
from polymodal.config.training import training_problems
from polymodal.errors import ConfigError

ONE_PART = ("data", "fusion", "missing", "head", "objective", "optimizer", "scheduler")
SEVERAL_PARTS = ("encoder", "callbacks", "logger")
"""Keys of the root that hold one node with a `_target_`, and those that hold one by name."""

PARTIAL = ("optimizer", "scheduler")
"""Parts to which the module gives what they still need, whether their file says `_partial_: true` or not."""

SHOWN = 3
"""Problems told at a time: a message should fit into one look."""


def check_config(config: DictConfig) -> dict[str, Any]:
    """The resolved config as plain containers.

    Raises:
        ConfigError: names the keys that are missing, unknown, of a wrong type or out of range.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            keys = ", ".join(missing)
            raise ConfigError(f"No value for {keys}. Give one on the command line: {missing[0]}=...")
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        message = str(error.msg or error).partition("\n    full_key")[0]
        own = message.partition("ConfigError raised while resolving interpolation: ")[2]  # of a resolver of ours
        raise ConfigError(own or f"{error.full_key}: {message.splitlines()[0]}.") from error
    assert isinstance(plain, dict)
    raw = OmegaConf.to_container(config, resolve=False)
    problems = [
        *training_problems(plain),
        *_root_problems(plain),
        *_part_problems(plain),
        *_node_problems(plain, raw, ""),
    ]
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise ConfigError("\n".join(problems[:SHOWN]) + more)
    return {str(key): value for key, value in plain.items()}


def check_node(node: DictConfig, path: str) -> None:
    """Checks one part that is no part of a run, such as a sweep.

    Raises:
        ConfigError: as above.
    """
    problems = list(_node_problems(OmegaConf.to_container(node, resolve=True), {}, path))
    if problems:
        raise ConfigError("\n".join(problems[:SHOWN]))


def _root_problems(config: dict[Any, Any]) -> Iterator[str]:
    try:
        Config.model_validate(config)
    except ValidationError as error:
        told = set()
        for detail in error.errors(include_url=False):
            key = ".".join(str(part) for part in detail["loc"] if str(part).isidentifier())
            if key in told:  # a union says for each of its members why the value is not that one
                continue
            told.add(key)
            if detail["type"] == "extra_forbidden":
                fields = Config.model_fields if "." not in key else TuningConfig.model_fields
                yield f"Unknown key {key!r}.{nearest(key.rpartition('.')[2], fields)}"
            elif detail["type"] == "missing":
                yield f"No value for {key}. Give one on the command line: {key}=..."
            elif detail["type"] == "dict_type" and is_group(group := key.replace(".", "/")):
                yield f"{key}={detail['input']}: an option of a group is chosen by {group}={detail['input']}"
            else:
                yield _wrong(key, detail["input"], detail["msg"])


def _part_problems(config: dict[Any, Any]) -> Iterator[str]:
    """Settings of a part that was not chosen, and encoders whose vectors do not fit into X."""
    parts = [(group, group, config.get(group)) for group in ONE_PART]
    for group in SEVERAL_PARTS:
        nodes = config.get(group)
        parts += [(group, f"{group}.{name}", node) for name, node in nodes.items()] if isinstance(nodes, dict) else []
    dim = config.get("dim")
    for group, path, node in parts:
        if not isinstance(node, dict) or not node:
            continue
        if "_target_" not in node:
            yield f"{path} is not chosen, so it cannot have {', '.join(node)}: choose an option of {group}= first."
        if group == "encoder" and node.get("dim", dim) != dim:
            yield f"{path}.dim={node['dim']}: encoders give vectors of one width. Give dim={node['dim']} instead."


def _node_problems(node: Any, raw: Any, path: str) -> Iterator[str]:
    """Problems of every `_target_` below a node; `raw` is the same node with its references."""
    if isinstance(node, dict):
        raw = raw if isinstance(raw, dict) else {}  # a reference to a whole node
        if "_target_" in node:
            yield from _target_problems(node, raw, path)
        for key, child in node.items():
            yield from _node_problems(child, raw.get(key), f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        raw = raw if isinstance(raw, list) else [None] * len(node)
        for index, (child, raw_child) in enumerate(zip(node, raw, strict=True)):
            yield from _node_problems(child, raw_child, f"{path}[{index}]")


def _target_problems(node: dict[str, Any], raw: dict[str, Any], path: str) -> Iterator[str]:
    target = node["_target_"]
    if not isinstance(target, str):
        yield f"{path}._target_={target!r} is not a name such as package.module.Name."
        return
    try:
        signature = find_signature(target)
    except ConfigError as error:
        yield f"{path}.{error}"
        return
    given = {key: value for key, value in node.items() if key not in SPECIAL}
    for key, value in given.items():
        if key in signature.types and "${" in str(raw.get(key)):
            continue  # a reference: what is wrong with the value is said where it stands
        yield from _argument_problems(f"{path}.{key}", key, value, signature, target)
    is_partial = node.get("_partial_") or path in PARTIAL
    if not is_partial and (lacking := sorted(signature.required - given.keys() - {"_args_"})):
        yield f"{path} needs {', '.join(lacking)}: add {path}.{lacking[0]}=... ({target})"


def _argument_problems(path: str, key: str, value: Any, signature: Signature, target: str) -> Iterator[str]:
    if key not in signature.types:
        if not signature.open:
            yield f"Unknown key {path}: {target} takes no {key!r}.{nearest(key, signature.types)}"
        return
    expected = signature.types[key]
    if expected is Any or isinstance(value, dict):  # a dict may be a node of its own: checked below it
        return
    try:
        # strict for plain values: 64.0 and true are no integers; a list may stand for a tuple
        TypeAdapter(expected).validate_python(value, strict=not isinstance(value, list))
    except ValidationError as error:
        yield _wrong(path, value, error.errors(include_url=False)[0]["msg"])


def _wrong(path: str, value: Any, message: str) -> str:
    return f"{path}={value}: {message[0].lower() + message[1:]}."
