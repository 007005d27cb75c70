"""YAML that somebody else may have written: plain data of a bounded size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf

from polymodal.errors import ConfigError

MOST_BYTES = 2**23
MOST_VALUES = 2**20
DEEPEST = 60
"""What no config of a run comes near to."""


def load_yaml(file: Path) -> Any:
    """The content of a file as plain containers, references unresolved.

    Raises:
        ConfigError: it cannot be read, or has aliases, by which a few bytes stand for as many
            values as one likes.
    """
    try:
        if not file.is_file():
            raise ValueError("it is no file")
        size = file.stat().st_size
        text = file.read_text(encoding="utf-8") if size <= MOST_BYTES else ""
        problem = f"it has {size} bytes" if size > MOST_BYTES else _problem(text)
        if problem is None:
            return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except Exception as error:  # of yaml, of the encoding, of the file system
        raise ConfigError(
            f"{file} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error
    raise ConfigError(f"{file} is none that a run wrote: {problem}.")


def _problem(text: str) -> str | None:
    depth = 0
    for count, event in enumerate(
        yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    ):
        if isinstance(event, yaml.AliasEvent):
            return f"it has an alias, *{event.anchor}"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > DEEPEST or count > MOST_VALUES:
            return "it is too deep or too long"
    return None
