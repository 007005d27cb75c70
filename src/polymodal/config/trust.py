"""What a config that came with a checkpoint may build: parts of known libraries, and nothing that runs commands."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from polymodal.config.signature import find_definition
from polymodal.errors import ConfigError

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "lightning", "torchmetrics")
OWN_FUNCTIONS = ("schedulers", "loggers")
OWN_CLASSES = ("data", "encoders", "fusion", "heads", "missing", "objectives", "callbacks", "strategy", *OWN_FUNCTIONS)
"""Parts of polymodal of which a stored config may name functions, and classes."""

REFERENCE = re.compile(r"\$\{(?!run_dir\}|oc\.env:|hydra:runtime\.)")
"""The start of any reference but those that a run's own config keeps."""


def check_trust(config: dict[str, Any]) -> None:
    """Refuses a config that names anything but classes of known libraries and parts of this package.

    Functions of libraries are refused too: among them are some that download code or read pickles. So are references
    that could make up a `_target_` only when they are resolved.

    Raises:
        ConfigError: names the first part that is not to be trusted.
    """
    for path, key, value in _leaves(config, "config"):
        if key == "_target_" and not _is_trusted(value):
            raise ConfigError(
                f"The checkpoint's {path} is _target_={value}: only classes of {', '.join(LIBRARIES)} and parts of "
                "polymodal are built from a checkpoint. Do not use this file unless you know where it comes from."
            )
        if isinstance(value, str) and REFERENCE.search(value):
            raise ConfigError(f"The checkpoint's {path}.{key}={value} is a reference that no run of ours stores.")


def _is_trusted(target: Any) -> bool:
    package, *rest = str(target).split(".")
    if any(part.startswith("_") for part in rest):
        return False
    is_class = isinstance(find_definition(str(target))[1], ast.ClassDef)
    if package == "polymodal":
        return rest[0] in (OWN_CLASSES if is_class else OWN_FUNCTIONS)
    return package in LIBRARIES and is_class


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """(path of its node, key, value) of everything that is neither dict nor list."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield path, str(key), value
