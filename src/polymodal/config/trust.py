"""What a config that came with a checkpoint may build: parts of known libraries, and nothing that runs commands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from polymodal.config.signature import find_definition
from polymodal.errors import ConfigError

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "lightning", "torchmetrics")


def check_trust(config: dict[str, Any]) -> None:
    """Refuses a config whose `_target_`s are not classes of known libraries or parts of this package.

    Functions of libraries are refused too: among them are some that download code or read pickles.

    Raises:
        ConfigError: names the first `_target_` that is not to be trusted.
    """
    for path, target in _targets(config, "config"):
        package = str(target).partition(".")[0]
        is_class = package in LIBRARIES and isinstance(find_definition(str(target))[1], ast.ClassDef)
        if package != "polymodal" and not is_class:
            raise ConfigError(
                f"The checkpoint's {path} is _target_={target}: only classes of {', '.join(LIBRARIES)} and parts of "
                "polymodal are built from a checkpoint. Do not use this file unless you know where it comes from."
            )


def _targets(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node["_target_"]
        for key, child in node.items():
            yield from _targets(child, f"{path}.{key}")
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _targets(child, f"{path}[{index}]")
