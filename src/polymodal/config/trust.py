"""What a config that came with a checkpoint may build: parts of known libraries, and nothing that runs commands.

A class is judged by the file that defines it, not by the name that it is given: modules hold much that they import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from polymodal.config.signature import find_definition, module_of
from polymodal.errors import ConfigError

LIBRARIES = {
    "torch": r"nn|optim",
    "torchvision": r"models|ops|transforms",
    "timm": r"models|layers|optim",
    "transformers": r"models\.\w+\.(modeling|configuration)_\w+",
    "lightning": r"pytorch\.(callbacks|loggers|plugins|profilers|strategies|trainer)",
    "polymodal": r"data|encoders|fusion|heads|missing|objectives|callbacks|schedulers|loggers|strategy",
}
"""Parts of each library whose classes a stored config may name. What else there is reads pickles
(`torchvision.datasets`, `torch.package`), starts processes or takes the name of a further class (`lightning.*.cli`)."""

CLASSES = re.compile("|".join(rf"{library}\.({parts})(\..+)?" for library, parts in LIBRARIES.items()))
FUNCTIONS = re.compile(r"polymodal\.(schedulers|loggers)(\..+)?")
"""Functions of libraries are refused: among them are some that download code or read pickles."""

OF_MODELS = re.compile(
    r"(torch\.nn|torchvision|timm|transformers|polymodal\.(encoders|fusion|heads|missing|objectives))(\..+)?"
)
"""Where the parts of a model are; loggers, data and trainers reach out to files and networks when they are built."""

REFERENCE = re.compile(r"\$\{(?!run_dir\}|oc\.env:|hydra:runtime\.)")
"""The start of any reference but those that a run's own config keeps."""

BY_HYDRA = ("hydra", "defaults")
"""Keys at the top of a config that would change how it is composed."""


def check_trust(config: Any, places: re.Pattern[str] | None = None) -> None:
    """Refuses a config that names anything but classes of known libraries and parts of this package.

    References are refused too that could make up a `_target_` only when they are resolved.

    Args:
        config: nested dicts and lists.
        places: pattern of the modules whose parts may be built, where not all of these may.

    Raises:
        ConfigError: names the first part that is not to be trusted.
    """
    if not isinstance(config, dict) or any(key in config for key in BY_HYDRA):
        raise ConfigError("The checkpoint's config is one that no run of ours stores.")
    for path, key, value in _leaves(config, "config"):
        if key == "_target_" and not _is_trusted(value, places):
            raise ConfigError(
                f"The checkpoint's {path} is _target_={value}: only classes of {', '.join(LIBRARIES)} that are parts "
                "of a model or of its training are built. Do not use this file unless you know where it comes from."
            )
        if not isinstance(value, str | int | float | None):
            raise ConfigError(
                f"The checkpoint's {path}.{key} is a {type(value).__name__}, which no run of ours stores."
            )
        if isinstance(value, str) and REFERENCE.search(value):
            raise ConfigError(f"The checkpoint's {path}.{key}={value} is a reference that no run of ours stores.")


def _is_trusted(target: Any, places: re.Pattern[str] | None) -> bool:
    if not isinstance(target, str) or any(part.startswith("_") for part in target.split(".")):
        return False
    if target.split(".")[0] not in LIBRARIES:  # of others not even the source is looked for
        return False
    file, definition = find_definition(target)
    allowed = CLASSES if isinstance(definition, ast.ClassDef) else FUNCTIONS
    module = module_of(file)
    return bool(allowed.fullmatch(module) and (places is None or places.fullmatch(module)))


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """(path of its node, key, value) of everything that is neither dict nor list; a `_target_` is one in any case."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list) and key != "_target_":
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield path, str(key), value
