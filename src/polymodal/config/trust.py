"""What is taken from a config that came with a run, a checkpoint, an exported model or a sweep: see
docs/security.md.

Parts of known libraries are built, and nothing that runs commands. A class is evaluated by the file
that defines it, not by the name that it is given: modules hold much that they import. What the
settings say is evaluated in `places`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polymodal.config.moved import today
from polymodal.config.places import LOGGERS, settled
from polymodal.config.signature import find_definition, module_of
from polymodal.config.stored import DEEPEST, MOST_VALUES
from polymodal.errors import ConfigError

LIBRARIES = {
    "torch": r"nn|optim",
    "torchvision": r"models|ops|transforms",
    "timm": r"models|layers|optim",
    "transformers": r"models\.\w+\.(modeling|configuration)_\w+",
    "torchmetrics": r"classification|regression",
    "lightning": r"pytorch\.(callbacks|loggers|plugins|profilers|strategies|trainer)",
    "polymodal": r"data|encoders|fusion|heads|missing|objectives|callbacks|schedulers|loggers"
    r"|training\.distributed\.strategy",
}
"""Parts of each library whose classes a stored config may name. What else there is reads pickles
(`torchvision.datasets`, `torch.package`), starts processes or takes the name of a further class
(`lightning.*.cli`)."""

CLASSES = re.compile(
    "|".join(rf"{library}\.({parts})(\..+)?" for library, parts in LIBRARIES.items())
)
FUNCTIONS = re.compile(r"polymodal\.(schedulers|loggers)(\..+)?")
"""Functions of libraries are refused: among them are some that download code or read pickles."""

OF_MODELS = re.compile(
    r"(torch\.nn|torchvision|timm|transformers|polymodal\.(encoders|fusion|heads|missing|objectives))(\..+)?"
)
"""Where the parts of a model are; loggers, data and trainers reach out to files and networks when
they are built."""

OF_GROUPS = {
    "data": r"polymodal\.data",
    "optimizer": r"torch\.optim|timm\.optim",
    "scheduler": r"torch\.optim|polymodal\.schedulers",
    "metrics": r"torchmetrics\.(classification|regression)",
    "callbacks": r"lightning\.pytorch\.callbacks|polymodal\.callbacks",
    "logger": r"lightning\.pytorch\.loggers|polymodal\.loggers",
    "trainer": r"lightning\.pytorch\.(trainer|plugins|(strategies|profilers)(?!.*(deepspeed|xla)))"
    r"|polymodal\.training\.distributed\.strategy",
}
"""Group -> where its parts are; those of the other groups are parts of models."""

REFERENCE = re.compile(r"\$\{(?!run_dir\}|oc\.env:|hydra:runtime\.)")
"""The start of any reference but those that configs of runs have kept."""

BY_HYDRA = ("hydra", "defaults")
"""Keys at the top of a config that would change how it is composed."""


def check_trust(config: Any, places: re.Pattern[str] | None = None) -> None:
    """Refuses a config that names anything but classes of known libraries and parts of this
    package.

    Names of older versions stand for those of today (`polymodal.config.moved`). References are
    refused too that could make up a `_target_` only when they are resolved.

    Args:
        config: nested dicts and lists.
        places: pattern of the modules whose parts may be built, where not all of these may.

    Raises:
        ConfigError: names the first part that is not to be trusted.
    """
    if not isinstance(config, dict) or any(key in config for key in BY_HYDRA):
        raise ConfigError("The checkpoint's config is one that no run of ours stores.")
    for count, (path, key, value) in enumerate(_leaves(config, "config")):
        if count > MOST_VALUES:
            raise ConfigError(
                "The checkpoint's config has more values than any that a run of ours stores."
            )
        if key == "_target_" and not _is_trusted(today(value), places):
            raise ConfigError(
                f"The checkpoint's {path} is _target_={value}: only classes of "
                f"{', '.join(LIBRARIES)} that are parts of a model or of its training are built. "
                "Do not use this file unless you know where it comes from."
            )
        if not isinstance(value, str | int | float | None):
            raise ConfigError(
                f"The checkpoint's {path}.{key} is a {type(value).__name__}, which no run of ours "
                "stores."
            )
        if isinstance(value, str) and REFERENCE.search(value):
            raise ConfigError(
                f"The checkpoint's {path}.{key}={value} is a reference that no run of ours stores."
            )


def check_whole(config: Mapping[str, Any]) -> None:
    """Refuses a run's config that lacks what is read of it before all of it is checked.

    Raises:
        ConfigError: names the first setting.
    """
    for key, kind in {
        "name": str,
        "data": dict,
        "encoder": dict,
        "objective": dict,
        "label": str | None,
    }.items():
        if key not in config or not isinstance(config[key], kind):
            raise ConfigError(f"The checkpoint's config has no {key} such as a run of ours stores.")
    if not isinstance(config["data"].get("_target_"), str):
        raise ConfigError(
            "The checkpoint's config has no data._target_ such as a run of ours stores."
        )


def trusted(config: Mapping[str, Any], changes: Sequence[str] = ()) -> dict[str, Any]:
    """What is taken of somebody else's config: architecture, sizes and plain settings.

    Args:
        config: of a run, whole or in part.
        changes: of the command line, `key=value` each. What they give is theirs, and not evaluated.

    Returns:
        the config without what is given. Caches and hosts are those of our own configs, and files
        are written into `${run_dir}`, whatever folder that is now.

    Raises:
        ConfigError: names the first setting that only the person who types the command may give.
    """
    check_trust(config)
    kept = _without(config, _given(changes))
    for group, part in kept.items():
        where = re.compile(rf"({OF_GROUPS[group]})(\..+)?") if group in OF_GROUPS else OF_MODELS
        for path, key, value in _leaves({group: part}, ""):
            if key == "_target_":
                _check_place(f"{path}.{key}"[1:], value, where)
    return settled(kept, str(config.get("run_dir") or ""))


def at_rest(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a model whose data are not read and that is not trained: it needs no places."""
    data = {
        key: value
        for key, value in config["data"].items()
        if key not in ("options", "data_dir", "data_files")
    }
    return {
        **config,
        "data": data | {key: "nowhere" for key in ("path", "name") if key in data},
        "metrics": {},
        "callbacks": {},
        "logger": {},
    }


def _check_place(path: str, target: str, where: re.Pattern[str]) -> None:
    file, definition = find_definition(target)
    group = path.split(".")[0]
    good = where.fullmatch(module_of(file)) and (group != "logger" or target in LOGGERS)
    if group == "data":
        good = good and path == "data._target_" and _is_data(file, definition)
    if not good:
        raise ConfigError(
            f"{path}={target}: a stored config has no such part there. {path}=... gives it."
        )


def _is_data(file: Any, definition: Any) -> bool:
    """Whether a class is a data module: others write where they are told to as soon as they are
    built.
    """
    for base in definition.bases:
        name = ast.unparse(base)
        if name == "PairedDataModule":
            return True
        try:
            if _is_data(*find_definition(f"{module_of(file)}.{name}")):
                return True
        except (ConfigError, AttributeError):  # of a library, or no class
            continue
    return False


def _given(changes: Sequence[str]) -> dict[str, str]:
    """Dotted key -> what is given for it."""
    pairs = (change.partition("=") for change in changes if not change.startswith(("-", "~")))
    return {
        key.lstrip("+").split("@")[0].replace("/", "."): value.strip("\"' ")
        for key, _, value in pairs
    }


def _without(node: Any, given: Mapping[str, str], path: str = "") -> Any:
    """A copy without what is given; of a part with a `_target_` that is single settings, or that it
    goes.
    """
    if isinstance(node, list):
        return [_without(item, given, f"{path}[]") for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        own = f"{path}.{key}" if path else str(key)
        part = isinstance(value, dict) and "_target_" in value and "." in own
        if own in given and not (part and given[own] not in ("null", "none", "")):
            continue
        kept[key] = _without(value, given, own)
    return kept


def _is_trusted(target: Any, places: re.Pattern[str] | None) -> bool:
    if not isinstance(target, str) or any(part.startswith("_") for part in target.split(".")):
        return False
    if target.split(".")[0] not in LIBRARIES:  # of others not even the source is looked for
        return False
    file, definition = find_definition(target)
    allowed = CLASSES if isinstance(definition, ast.ClassDef) else FUNCTIONS
    module = module_of(file)
    return bool(allowed.fullmatch(module) and (places is None or places.fullmatch(module)))


def _leaves(node: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """(path of its node, key, value) of everything that is neither dict nor list; a `_target_` is
    one in any case.

    Raises:
        ConfigError: it is deeper than any config of ours; it may hold itself.
    """
    if depth > DEEPEST:
        raise ConfigError("The checkpoint's config is deeper than any that a run of ours stores.")
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list) and key != "_target_":
            yield from _leaves(value, f"{path}.{key}", depth + 1)
        else:
            yield path, str(key), value
