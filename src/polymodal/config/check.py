"""Checks a composed config: names, types and ranges, before torch is imported and anything is
built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from polymodal.config import environment, run_name  # noqa: F401  (the configs ask them)
from polymodal.config.annotation import adapter
from polymodal.config.auto import FOLLOW, is_open, say_chosen, settle
from polymodal.config.auto_parts import AUTO
from polymodal.config.messages import groups, is_group
from polymodal.config.recipe import drop_unfit
from polymodal.config.schema import Config, TuningConfig
from polymodal.config.secrets import remember
from polymodal.config.signature import SPECIAL, Signature, find_signature
from polymodal.config.training import training_problems
from polymodal.config.wrong_values import nearest_member, shown, wrong_value
from polymodal.errors import ConfigError, did_you_mean

ONE_PART = ("data", "fusion", "missing", "head", "objective", "optimizer", "scheduler", "trainer")
SEVERAL_PARTS = ("encoder", "metrics", "callbacks", "logger")
"""Keys of the root that hold one node with a `_target_`, and those that hold one by name."""

WHOLE = ("data", "fusion", "missing", "head", "objective", "trainer", *SEVERAL_PARTS)
"""Keys of the root whose parts are called with nothing more once they are built."""
PARTIAL = ("optimizer", "scheduler")
"""Parts to which the module gives what they still need, whether or not their file says that they
are partial."""

TRAINER = "lightning.pytorch.Trainer"
"""What builds the trainer where the config does not say it."""

SHOWN = 3
"""Problems told at a time: a message should fit into one look."""


def check_config(config: DictConfig, look: bool = True) -> dict[str, Any]:
    """The resolved config as plain containers.

    What an experiment sets of a part that was then replaced is taken out of the config first, and
    settings that are `auto` get values that suit the data, when all else is known to be right: the
    config is changed in place.

    Args:
        config: composed.
        look: whether the data may be looked at; else `auto` stays.

    Raises:
        ConfigError: names the keys that are missing, unknown, of a wrong type or out of range.
        DataError: the data are to be looked at, and cannot be read.
    """
    drop_unfit(config)
    plain = _checked(config)
    if not (look and is_open(config)):
        return plain
    chosen = settle(config)
    plain = _checked(config)
    say_chosen(chosen)  # what is refused comes without them
    return plain


def _checked(config: DictConfig) -> dict[str, Any]:
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            keys = ", ".join(missing)
            raise ConfigError(
                f"No value for {keys}. Give one on the command line: {missing[0]}=..."
            )
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        message = str(error.msg or error).partition("\n    full_key")[0]
        # of a resolver of ours
        own = message.partition("ConfigError raised while resolving interpolation: ")[2]
        message = re.sub(r'^\w+ raised while resolving interpolation: "?(.*?)"?$', r"\1", message)
        raise ConfigError(own or f"{error.full_key}: {message.splitlines()[0]}.") from error
    assert isinstance(plain, dict)
    if isinstance(plain.get("trainer"), dict):  # a file of one's own need not say it
        plain["trainer"].setdefault("_target_", TRAINER)
    remember(plain)
    raw = OmegaConf.to_container(config, resolve=False)
    _refuse(
        [
            *training_problems(plain),
            *_root_problems(plain),
            *_part_problems(plain),
            *_end_problems(plain),
            *_node_problems(plain, raw, ""),
        ]
    )
    # what is wrong with a value has been said where it stands: now, where it does not fit to which
    # it is referred
    _refuse(list(_node_problems(plain, raw, "", references=True)))
    return {str(key): value for key, value in plain.items()}


def _refuse(problems: list[str]) -> None:
    problems = list(
        {problem.partition(": ")[0]: problem for problem in reversed(problems)}.values()
    )[::-1]  # one a key
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise ConfigError("\n".join(problems[:SHOWN]) + more)


def check_node(node: DictConfig, path: str) -> None:
    """Checks one part that is no part of a run, such as a sweep.

    Raises:
        ConfigError: as above.
    """
    _refuse(list(_node_problems(OmegaConf.to_container(node, resolve=True), {}, path)))


def _root_problems(config: dict[Any, Any]) -> Iterator[str]:
    try:
        Config.model_validate(config)
    except ValidationError as error:
        details: dict[
            str, list[Any]
        ] = {}  # a union says for each of its members why the value is not that one
        for detail in error.errors(include_url=False):
            details.setdefault(_key(detail["loc"], config), []).append(detail)
        for key, several in details.items():
            detail = nearest_member(several)
            if detail["type"] == "extra_forbidden":
                fields = Config.model_fields if "." not in key else TuningConfig.model_fields
                yield f"Unknown key {key!r}.{did_you_mean(key.rpartition('.')[2], fields)}"
            elif detail["type"] == "missing":
                yield f"No value for {key}. Give one on the command line: {key}=..."
            elif detail["type"] == "dict_type" and is_group(group := key.replace(".", "/")):
                yield _no_node(key, group, detail["input"])
            else:
                yield wrong_value(key, detail["input"], detail)


def _key(loc: Sequence[Any], config: Any) -> str:
    """The dotted name of what pydantic speaks of, without the members of a union and the elements
    of a list.
    """
    parts = []
    for part in loc:
        if not isinstance(config, dict):
            break
        parts.append(str(part))
        config = config.get(part)
    return ".".join(parts)


def _no_node(key: str, group: str, value: Any) -> str:
    """A value in the place of a part: most often the name of an option, with a dot for the
    slash.
    """
    options = groups().get(group, [])
    option = value if isinstance(value, str) else "<option>"
    there = "" if option in options else f". It is one of: {', '.join(options)}."
    return f"{key}={shown(value)}: an option of a group is chosen by {group}={option}{there}"


def _end_problems(config: dict[Any, Any]) -> Iterator[str]:
    """A training without an end: Lightning would take 1,000 epochs for it."""
    trainer = config.get("trainer")
    if not isinstance(trainer, dict) or trainer.get("fast_dev_run"):
        return
    if all(trainer.get(key) in (None, -1) for key in ("max_epochs", "max_steps", "max_time")):
        yield (
            "Nothing says when the training ends: give trainer.max_epochs=... (or max_steps, or "
            "max_time)."
        )


def _part_problems(config: dict[Any, Any]) -> Iterator[str]:
    """Settings of a part that was not chosen, and encoders whose vectors do not fit into X."""
    parts = [(group, group, config.get(group)) for group in ONE_PART]
    for group in SEVERAL_PARTS:
        nodes = config.get(group)
        parts += (
            [(group, f"{group}.{name}", node) for name, node in nodes.items()]
            if isinstance(nodes, dict)
            else []
        )
    dim = config.get("dim")
    for group, path, node in parts:
        if not isinstance(node, dict) or not node:
            continue
        if "_target_" not in node:
            keys = ", ".join(map(str, node))
            yield (
                f"{path} is not chosen, so it cannot have {keys}: choose an option of {group}= "
                "first."
            )
        if group == "encoder" and node.get("dim", dim) != dim:
            yield (
                f"{path}.dim={node['dim']}: encoders give vectors of one width. Give "
                f"dim={node['dim']} instead."
            )


def _node_problems(node: Any, raw: Any, path: str, references: bool = False) -> Iterator[str]:
    """Problems of every `_target_` below a node.

    Args:
        node: resolved.
        raw: the same node with its references.
        path: of the node.
        references: look at the values that are references to others, and else at all others.
    """
    if isinstance(node, dict):
        raw = raw if isinstance(raw, dict) else {}  # a reference to a whole node
        if "_target_" in node:
            yield from _target_problems(node, raw, path, references)
        for key, child in node.items():
            if key not in SPECIAL:
                yield from _node_problems(
                    child, raw.get(key), f"{path}.{key}" if path else str(key), references
                )
    elif isinstance(node, list):
        raw = raw if isinstance(raw, list) else [None] * len(node)
        for index, (child, raw_child) in enumerate(zip(node, raw, strict=True)):
            yield from _node_problems(child, raw_child, f"{path}[{index}]", references)


def _target_problems(
    node: dict[str, Any], raw: dict[str, Any], path: str, references: bool
) -> Iterator[str]:
    target = node["_target_"]
    if target == AUTO:
        return
    if not isinstance(target, str):
        if not references:
            yield f"{path}._target_={shown(target)} is not a name such as package.module.Name."
        return
    try:
        signature = find_signature(target)
    except ConfigError as error:
        if not references:
            yield f"{path}.{error}"
        return
    given = {key: value for key, value in node.items() if key not in SPECIAL}
    for key, value in given.items():
        given_as = raw.get(key)
        reference = given_as if isinstance(given_as, str) and "${" in given_as else None
        if value == AUTO and (reference or key in FOLLOW):
            continue  # it follows the data, once it is known that all else is right
        if references == (reference is not None):
            yield from _argument_problems(f"{path}.{key}", key, value, signature, target, reference)
    if references:
        return
    yield from _hydra_problems(node, path)
    # a metric is told how many classes there are by the objective
    is_partial = node.get("_partial_") or path in PARTIAL or path.startswith("metrics.")
    if not is_partial and (lacking := sorted(signature.required - given.keys() - {"_args_"})):
        yield f"{path} needs {', '.join(lacking)}: add {path}.{lacking[0]}=... ({target})"


def _hydra_problems(node: dict[str, Any], path: str) -> Iterator[str]:
    """Keys of a node that Hydra reads itself."""
    for key, expected in SPECIAL.items():
        if key in node:
            try:
                adapter(expected).validate_python(node[key])
            except ValidationError as error:
                yield wrong_value(f"{path}.{key}", node[key], error.errors(include_url=False)[0])
    if node.get("_partial_") is True and path.partition(".")[0] in WHOLE:
        yield f"{path}._partial_=true: this part is used as it is built. Leave it out."


def _argument_problems(
    path: str, key: str, value: Any, signature: Signature, target: str, reference: str | None
) -> Iterator[str]:
    if key not in signature.types:
        if not signature.open:
            yield f"Unknown key {path}: {target} takes no {key!r}.{did_you_mean(key, signature.types)}"
        return
    expected = signature.types[key]
    if expected is Any:
        return
    try:
        adapter(expected).validate_python(value)
    except ValidationError as error:
        detail = nearest_member(error.errors(include_url=False))
        for part in detail["loc"]:  # to the value in a {key: value} that is wrong
            if not isinstance(value, dict) or part not in value:
                break
            path, value = f"{path}.{part}", value[part]
        yield wrong_value(path, value, detail, reference)
