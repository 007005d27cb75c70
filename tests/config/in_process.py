"""A command line composed and checked as train.py does it, in this process."""

from typing import Any

from polymodal.config.check import check_config
from polymodal.config.command_line import check_options, check_words
from polymodal.config.compose import compose_config
from polymodal.config.overrides import as_hydra_arguments


def checked(*arguments: str) -> dict[str, Any]:
    """The config of `python src/train.py <arguments>`."""
    check_options(arguments)
    check_words(arguments)
    return check_config(compose_config([*as_hydra_arguments(arguments), "++run_dir=."]))
