"""The arguments that a sweep was started with, read from its folder: which is data, and may be
somebody else's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Sweep

from polymodal.addresses import SECRET
from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.messages import is_group
from polymodal.config.stored import load_yaml
from polymodal.config.trust import trusted
from polymodal.errors import ConfigError
from polymodal.runs.folder import check_links

CODE = re.compile(r"_target_|\$\{[^}]*:")
"""What could name code: a class, or a reference that computes one."""


def stored_arguments(folder: Path, given: Sequence[str] = ()) -> list[str]:
    """The arguments that a sweep was started with.

    Args:
        folder: of the sweep.
        given: what is on the command line now: settings of the sweep, and what is not taken from
            the folder.

    Raises:
        ConfigError: the folder holds no sweep or links out of it, or an argument is not taken from
            a folder; or what is given would change the jobs.
    """
    others = [argument for argument in given if not argument.startswith("sweep.")]
    check_links(folder)
    stored = _stored(folder)
    taken, refused = [], dict[str, ConfigError]()
    for argument in stored or ():
        try:
            taken += [argument] if _is_taken(folder, argument) else []
        except ConfigError as error:
            refused[_key(argument)] = error
    if wrong := [argument for argument in others if _key(argument) not in refused]:
        raise ConfigError(
            f"{wrong[0]}: a resumed sweep keeps its jobs. Only sweep.key=value can be changed."
        )
    if stored is None:
        raise ConfigError(f"resume={folder}: there is no sweep in this folder.")
    for key in refused.keys() - set(map(_key, given)):
        raise refused[key]
    return taken


def _stored(folder: Path) -> list[str] | None:
    ours, hydras = folder / "environment.json", folder / "multirun.yaml"
    try:
        if hydras.exists():
            return ["sweep=grid", *map(str, load_yaml(hydras)["hydra"]["overrides"]["task"])]
        if ours.exists() and not (folder / "config.yaml").exists():
            return list(map(str, json.loads(ours.read_text())["overrides"]))
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"resume={folder}: what it was started with cannot be read: {error}"
        ) from error
    return None


def _key(argument: str) -> str:
    return argument.lstrip("+~").partition("=")[0]


def _is_taken(folder: Path, argument: str) -> bool:
    """Whether an argument is used again; one that names a cache is not.

    Raises:
        ConfigError: only the person who types the command may give it.
    """
    key, value = _key(argument), argument.partition("=")[2]
    if SECRET in argument:
        raise ConfigError(
            f"resume={folder}: {key} held a secret, which is not stored. Give it again: {key}=..."
        )
    group = is_group(key) or "/" in key
    outside = group and (".." in value or value.startswith("/"))  # Hydra would take it from there
    storage = key.startswith("sweep.storage")
    if (
        storage
        or outside
        or CODE.search(argument)
        or key.startswith(("-", "hydra", "repeat", "resume"))
    ):
        raise ConfigError(
            f"resume={folder}: its {argument} is not taken from a file. Start a new sweep with it."
        )
    if group or argument.startswith("~"):
        return True
    override = OverridesParser.create().parse_override(as_hydra_arguments([argument])[0])
    return all(_is_kept(folder, key.split("."), value) for value in _values(override.value()))


def _values(value: Any) -> Iterator[Any]:
    """Plain values of an argument: one, or all among which a sweep chooses. Ranges and intervals
    are of numbers.
    """
    if isinstance(value, ChoiceSweep):
        yield from (Override._convert_value(item) for item in value.list)
    elif not isinstance(value, Sweep):
        yield value


def _is_kept(folder: Path, path: Sequence[str], value: Any) -> bool:
    """Whether a setting is taken as it is."""
    if path[:2] == ["sweep", "space"]:
        return all(_is_taken(folder, f"{key}={values}") for key, values in _flat(value, path[2:]))
    if path[0] == "sweep":
        return True
    node = value
    for key in reversed(path):
        node = {key: node}
    return bool(trusted(node) == node)


def _flat(value: Any, path: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Key of a space -> its values, as they stand on a command line."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, [*path, str(key)])
    else:
        yield ".".join(path), value if isinstance(value, str) else json.dumps(value)
