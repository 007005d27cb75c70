"""From the command line to a checked config, a claimed run folder and the training function."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from polymodal.config.explain import CONFIGS, explain, is_group
from polymodal.config.explain import groups as groups_of_configs
from polymodal.config.secrets import mask
from polymodal.errors import ConfigError, PolymodalError

FORESEEN = (PolymodalError, HydraException, OmegaConfBaseException)
FOR_ANY_RUN = ("devices", "precision")
"""Groups that only set arguments of the trainer: they can be chosen anew for a run that is stored as plain values."""

WITH_VALUE = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p", "--cfg", "-c"}
WITH_VALUE |= {"--shell-completion", "-sc", "--info", "-i"}


def main() -> None:
    """`python src/train.py ...`: one run, a sweep (`-m`), or `check=true`, which checks all experiments."""
    os.environ.setdefault(
        "THP_MEM_ALLOC_ENABLE", "1"
    )  # torch, which reads it once: large tensors in huge pages of Linux
    with readable_errors():
        arguments = as_hydra_arguments(sys.argv[1:])
        if "check=true" in sys.argv:
            from polymodal.config.check_all import check_all

            check_all()
        elif is_first_process():
            sys.argv[1:] = arguments
            hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(run_job)()
        else:
            follow(arguments)


def as_hydra_arguments(arguments: list[str], stored: bool = False) -> list[str]:
    """What a person types -> what Hydra takes.

    `key=value` becomes `++key=value`: any argument of a `_target_` can be given, whether its YAML file lists it or not,
    and the check that follows knows which exist. `repeat=<run folder>` becomes the options that load its config.

    Args:
        arguments: of the command line.
        stored: they change the stored config of a run, as they do with `repeat=`.
    """
    repeated = [a.removeprefix("repeat=") for a in arguments if a.startswith("repeat=")]
    result = [option for folder in repeated for option in ("--config-dir", folder, "--config-name", "config")]
    for folder in repeated:
        if not (Path(folder) / "config.yaml").is_file():
            raise PolymodalError(f"repeat={folder}: there is no config.yaml in this folder. Give the folder of a run.")
    for before, argument in zip(["", *arguments], arguments, strict=False):
        key, equals, _ = argument.partition("=")
        if argument.startswith("repeat="):
            continue
        if not equals or before in WITH_VALUE or key[:1] in {"-", "+", "~"} or key.startswith("hydra"):
            result.append(argument)
        elif "/" in key or is_group(key):
            result.append(_group(argument, stored or bool(repeated)))
        else:
            result.append(f"++{argument}")
    return result


def _group(argument: str, stored: bool) -> str:
    """`group=option`; nothing at all (`null`, `[]`) is the option `none`, where a group has it."""
    key, _, option = argument.partition("=")
    if stored and key not in FOR_ANY_RUN:
        groups = " and ".join(f"{group}=" for group in FOR_ANY_RUN)
        raise ConfigError(f"{argument}: a stored run takes key=value, {groups}. For other parts start a new run.")
    if option in {"null", "[]"}:
        options = groups_of_configs().get(key, [])
        if "none" not in options:
            raise ConfigError(f"{argument}: one of these is needed: {', '.join(options)}.")
        option = "none"
    return f"{'+' if stored else ''}{key}={option}"


def is_first_process() -> bool:
    """False in the further processes of a distributed run, whoever started them: Lightning, torchrun or Slurm."""
    if "RANK" in os.environ:
        return os.environ["RANK"] == "0"
    if "LOCAL_RANK" in os.environ:
        return (os.environ["LOCAL_RANK"], os.environ.get("NODE_RANK", "0")) == ("0", "0")
    return os.environ.get("SLURM_PROCID", "0") == "0"


def run_job(config: DictConfig) -> float | None:
    """One run in the folder that Hydra made: check, claim, train. An error in a sweep is noted; the next job begins.

    Returns:
        the figure that says how good the run was, for sweepers that ask.
    """
    from polymodal.config.check import check_config  # here, so that help and completion do not wait for them
    from polymodal.config.run_folder import claim
    from polymodal.config.sweep import record_failure

    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    try:
        plain = check_config(config)
        stored = claim(folder, config, plain, list(settings.overrides.task))
        with arguments_for_followers(settings, folder):
            from polymodal.run import train  # torch is imported here, after all checks that can do without it

            return train(plain, stored)
    except Exception as error:
        if settings.mode != RunMode.MULTIRUN:
            _remove_if_empty(folder)
            if isinstance(error, FORESEEN):
                show(error)
                sys.exit(2)  # here, since Hydra would put a line of its own before the message
            raise
        record_failure(folder, error, list(settings.overrides.task))
        show(error)
        return None


@contextmanager
def arguments_for_followers(settings: Any, folder: Path) -> Iterator[None]:
    """Lightning starts the other processes of a run with our `sys.argv`: let it say this one job, in this folder.

    Without this, each of them would start the whole sweep again, or a run in a folder of its own.
    """
    given = list(sys.argv)
    source = next((item.path for item in settings.runtime.config_sources if item.provider == "command-line"), None)
    repeating = ["--config-dir", source, "--config-name", settings.job.config_name] if source else []
    sys.argv[1:] = [*repeating, *settings.overrides.task, f"++run_dir={quoted(folder)}"]
    try:
        yield
    finally:
        sys.argv[:] = given


def quoted(value: object) -> str:
    """A value for Hydra's grammar, whatever signs it holds."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def follow(arguments: list[str]) -> None:
    """The part of a process that is not the first of its run: the same training, no folder, no files."""
    from polymodal.config.check import check_config
    from polymodal.config.compose import compose_config

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="train")
    parser.add_argument("--multirun", "-m", action="store_true")
    options, overrides = parser.parse_known_args(arguments)
    if options.multirun:
        raise PolymodalError("A sweep is started by plain `python src/train.py -m ...`; each job starts its processes.")
    if not any(override.startswith("++run_dir=") for override in overrides):
        # torchrun starts all processes alike, and only the first of them writes
        overrides.append(f"++run_dir={quoted(CONFIGS.parent / 'logs')}")
    plain = check_config(compose_config(overrides, options.config_name, options.config_dir))
    from polymodal.run import train  # after the checks, as in run_job

    train(plain, plain)


def _remove_if_empty(folder: Path) -> None:
    """A run that never began leaves no folder: neither its own nor those above it, up to `logs`."""
    above = [path for path in folder.parents[:3] if "logs" in path.parts]
    for path in [folder, *above]:
        try:
            path.rmdir()
        except OSError:
            return


@contextmanager
def readable_errors() -> Iterator[None]:
    """Errors that are meant for the user end the program with their message alone, others with their stack trace."""
    wanted = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its errors instead of printing them
    try:
        yield
    except FORESEEN as error:
        if wanted == "1":
            raise
        if is_first_process() or not isinstance(error, ConfigError):  # all processes check the same config
            show(error)
        sys.exit(2)
    finally:
        os.environ.pop("HYDRA_FULL_ERROR") if wanted is None else os.environ.update(HYDRA_FULL_ERROR=wanted)


def show(error: BaseException) -> None:
    """Prints an error: one message where it was foreseen, the stack trace where it was not."""
    if isinstance(error, PolymodalError):
        # an error in a loading process comes with its stack trace as text, and its message at the end
        message = str(error).rpartition(f"polymodal.errors.{type(error).__name__}: ")[2].strip()
        print(f"error: {mask(message)}", file=sys.stderr)
    elif isinstance(error, HydraException | OmegaConfBaseException):
        print(f"error: {mask(explain(error))}", file=sys.stderr)
    else:
        print(mask("".join(traceback.format_exception(error))), file=sys.stderr)
