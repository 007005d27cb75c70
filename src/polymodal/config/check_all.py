"""`python src/train.py check=true`: every experiment with every debug mode, composed and
checked.
"""

from __future__ import annotations

from itertools import product

from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.progress import track

from polymodal.config.check import check_config
from polymodal.config.compose import compose_config
from polymodal.config.messages import explain, groups
from polymodal.errors import ConfigError, PolymodalError


def check_all() -> None:
    """Prints how many combinations were checked.

    Raises:
        ConfigError: with the first problem of each combination that has one.
    """
    options = groups()
    combinations = list(product(options["experiment"], options["debug"]))
    problems = []
    unfinished: dict[str, str] = {}
    for experiment, debug in track(combinations, description="Checking", transient=True):
        try:
            config = compose_config([f"experiment={experiment}", f"debug={debug}", "++run_dir=."])
            if missing := OmegaConf.missing_keys(config):  # what an experiment leaves to its user
                unfinished[experiment] = ", ".join(sorted(missing))
                continue
            check_config(config, look=False)
        except PolymodalError as error:
            problems.append(f"experiment={experiment} debug={debug}: {error}")
        except (HydraException, OmegaConfBaseException) as error:
            problems.append(f"experiment={experiment} debug={debug}: {explain(error)}")
    if problems:
        raise ConfigError("\n".join(problems))
    print(f"{len(combinations)} combinations of experiment and debug are right.")
    for experiment, keys in unfinished.items():
        print(f"experiment={experiment} needs a value for {keys}.")
