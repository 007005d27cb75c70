"""A command line composed and checked as train.py does it, in this process."""

from typing import Any

from omegaconf import DictConfig

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.auto import fill_auto
from polymodal.config.check import check_config
from polymodal.config.command_line import check_options, check_words
from polymodal.config.compose import compose_config


def checked(*arguments: str, look: bool = True) -> dict[str, Any]:
    """The config of `python src/train.py <arguments>`; the data may be looked at, or are not
    there."""
    check_options(arguments)
    check_words(arguments)
    config = compose_config([*as_hydra_arguments(arguments), "++run_dir=."])
    return check_config(config) if look else checked_without_data(config)


def checked_without_data(config: DictConfig) -> dict[str, Any]:
    """A composed config, checked; what is `auto` has the value that it has where nobody looks at
    the data."""
    check_config(config, look=False)
    fill_auto(config, look=False)
    return check_config(config, look=False)
