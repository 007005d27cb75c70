"""The config of a run that is repeated or resumed, as Hydra is to load it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from polymodal.config.trust import trusted
from polymodal.runs.folder import header
from polymodal.runs.resume import stored_config

_copies: list[tempfile.TemporaryDirectory[str]] = []
"""They are there until this process ends: further processes of a run read them too."""


def options_of(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The options of Hydra that load what is taken of a run's config.

    Args:
        folder: of the run.
        arguments: of the command line: what they give is not taken from the run.

    Raises:
        ConfigError: the config holds what is not to be trusted.
    """
    config = trusted(stored_config(folder), arguments)
    # jobs on other machines read it there
    here = "." if {"-m", "--multirun"} & set(arguments) else None
    copy = tempfile.TemporaryDirectory(prefix=".polymodal-", dir=here)
    _copies.append(copy)
    text = header(folder) + OmegaConf.to_yaml(OmegaConf.create(config))
    Path(copy.name, "config.yaml").write_text(text, encoding="utf-8")
    return ["--config-dir", str(Path(copy.name).absolute()), "--config-name", "config"]
