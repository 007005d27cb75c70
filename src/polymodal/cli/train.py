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
from hydra.types import RunMode
from omegaconf import DictConfig

from polymodal.cli.overrides import SWEEP, WITH_VALUE, as_hydra_arguments, quoted
from polymodal.config import run_name  # noqa: F401  (the configs ask it for the folder)
from polymodal.config.command_line import check_no_run_dir, check_options, check_words, in_order
from polymodal.config.environment import is_first_process  # its resolvers go to sweeps
from polymodal.config.messages import CONFIGS, FORESEEN, WANTED, in_our_words, readable_errors, show
from polymodal.errors import ConfigError, PolymodalError
from polymodal.runs.folder import claim, give_back, record_failure
from polymodal.runs.resume import claim_again, how, locked
from polymodal.runs.slurm import goes_on, run_again
from polymodal.sweeps.hydra import table_at_the_end
from polymodal.training.distributed.signals import Stopped, end_with_parent


def main() -> None:
    """`python src/train.py ...`: one run, a sweep (`-m`), or `check=true`, which checks all
    experiments.
    """
    # for torch: large tensors in huge pages of Linux
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    end_with_parent()
    with readable_errors():
        if sweeps := [argument for argument in sys.argv[1:] if argument.startswith("sweep=")]:
            raise ConfigError(f"{sweeps[0]} starts many runs: python src/sweep.py {sweeps[0]} ...")
        check_options(in_order(sys.argv[1:], WITH_VALUE))
        check_words(sys.argv[1:], WITH_VALUE)
        check_no_run_dir(sys.argv[1:], f"hydra.{'sweep' if SWEEP & set(sys.argv) else 'run'}.dir")
        arguments = in_order(as_hydra_arguments(sys.argv[1:]), WITH_VALUE)
        if "check=true" in sys.argv:
            from polymodal.config.check_all import check_all

            check_all()
        elif is_first_process():
            sys.argv[1:] = arguments
            # Hydra raises its errors, instead of printing them
            with full_errors("1"), table_at_the_end():
                hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="train")(
                    run_job
                )()
        else:
            follow(arguments)


def run_job(config: DictConfig) -> float | None:
    """One run in the folder that Hydra made: check, claim, train. An error in a sweep is noted; the
    next job begins.

    A launcher may have started all processes of the job, as submitit does: only the first of them
    has the folder. What that one says goes to train.log, too.

    Returns:
        the metric that says how good the run was, for sweepers that ask.
    """
    # here, so that help and completion do not wait for it
    from polymodal.config.check import check_config

    if not is_first_process():
        return take_part(check_config(config))
    from polymodal.terminal import run_log

    with run_log.recording():
        return _run_first(config)


def _run_first(config: DictConfig) -> float | None:
    """The part of the process that has the folder."""
    from polymodal.config.check import check_config

    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    ours, claimed = not (folder / "config.yaml").exists(), False
    try:
        plain = check_config(config)
        check_run_dir(plain, folder)
        overrides = list(settings.overrides.task)
        again = plain["resume"] is not None or goes_on(folder)
        stored, begin = ({}, None) if again else (claim(folder, config, plain, overrides), None)
        claimed = not again
        with locked(folder):
            ours = True
            if again:
                resumed = claim_again(folder, config, plain, overrides)
                if resumed is None:
                    return None
                stored, begin = resumed
            with arguments_for_followers(settings, folder, plain["resume"]):
                from polymodal.training.run import train  # it imports torch: after the checks

                return train(plain, stored, begin)
    except Stopped as stop:
        saved = any((folder / "checkpoints").glob("*.ckpt"))
        if saved and run_again(stop):
            sys.exit(stop.code)
        message = f"{stop} " + (
            f"Go on with: {how(folder)}" if saved else "There was no checkpoint yet."
        )
        print(message, file=sys.stderr)
        if "SUBMITIT_EXECUTOR" in os.environ:
            return (
                None  # the other jobs go on; the process that submitted them all writes the table
            )
        sys.exit(stop.code)
    except Exception as raised:
        error = in_our_words(raised)
        if settings.mode != RunMode.MULTIRUN:
            give_back(folder, claimed and isinstance(error, FORESEEN))
            if isinstance(error, FORESEEN):
                show(error)
                sys.exit(2)  # here, since Hydra would put a line of its own before the message
            raise
        if ours:  # not of another sweep that has the folder
            details = "".join(traceback.format_exception(error))
            record_failure(
                folder, str(error) or type(error).__name__, details, list(settings.overrides.task)
            )
        show(error)
        return None


def check_run_dir(plain: dict[str, Any], folder: Path) -> None:
    """Refuses a folder that is not the one that Hydra made: the run would be split over the two.

    Raises:
        ConfigError: says how the folder of a run is chosen.
    """
    given = plain["run_dir"]
    if Path(given).absolute() != folder.absolute():
        raise ConfigError(
            f"run_dir={given}: the folder of a run is chosen by hydra.run.dir={given}"
        )


@contextmanager
def arguments_for_followers(settings: Any, folder: Path, checkpoint: str | None) -> Iterator[None]:
    """Lightning starts the other processes of a run with our `sys.argv`: let it say this one job,
    in this folder.

    Without this, each of them would start the whole sweep again, or a run in a folder of its own. A
    launcher may have started this process by a program of its own, which they are not to start.
    """
    main = sys.modules["__main__"]
    given, module = list(sys.argv), main.__spec__
    source = next(
        (item.path for item in settings.runtime.config_sources if item.provider == "command-line"),
        None,
    )
    repeating = (
        ["--config-dir", source, "--config-name", settings.job.config_name] if source else []
    )
    repeating += [
        override for override in settings.overrides.hydra if "hydra.searchpath=" in override
    ]
    resuming = [f"++resume={quoted(checkpoint)}"] if checkpoint else []
    arguments = [*repeating, *settings.overrides.task, f"++run_dir={quoted(folder)}", *resuming]
    sys.argv[:], main.__spec__ = [str(CONFIGS.parent / "src" / "train.py"), *arguments], None
    try:
        with full_errors(WANTED):  # they inherit it
            yield
    finally:
        sys.argv[:], main.__spec__ = given, module


def follow(arguments: list[str]) -> None:
    """The part of a process that is not the first of its run, from its command line."""
    from polymodal.config.check import check_config
    from polymodal.config.compose import compose_config

    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="train")
    parser.add_argument("--multirun", "-m", action="store_true")
    options, overrides = parser.parse_known_args(arguments)
    if options.multirun:
        raise PolymodalError(
            "A sweep is started by plain `python src/train.py -m ...`; each job starts its "
            "processes."
        )
    if not any(override.startswith("++run_dir=") for override in overrides):
        # torchrun and Slurm start all processes alike, and only the first of them writes into the
        # folder
        given = [
            override
            for override in overrides
            if override.startswith(("++resume=", "hydra.run.dir="))
        ]
        folders = [override.partition("=")[2] for override in given]
        overrides.append(f"++run_dir={folders[-1] if folders else quoted(CONFIGS.parent / 'logs')}")
    take_part(check_config(compose_config(overrides, options.config_name, options.config_dir)))


def take_part(plain: dict[str, Any]) -> float | None:
    """The same training as in the first process of the run, from the same checkpoint; no folder, no
    files.
    """
    # after the checks, as in run_job
    from polymodal.training.checkpoints.files import newest_checkpoint
    from polymodal.training.run import train

    if plain["resume"] is None and goes_on(Path(plain["run_dir"])):
        plain["resume"] = plain["run_dir"]
    if plain["resume"] and Path(plain["resume"]).is_dir():
        plain["resume"] = str(newest_checkpoint(Path(plain["resume"])))
    try:
        return train(plain, plain)
    # the first process says so; Lightning takes another code for a failure, and kills it
    except Stopped as stop:
        sys.exit(0 if stop.agreed else stop.code)


@contextmanager
def full_errors(value: str | None) -> Iterator[None]:
    """Sets HYDRA_FULL_ERROR, or takes it away, for a while."""
    before = os.environ.pop("HYDRA_FULL_ERROR", None)
    os.environ |= {} if value is None else {"HYDRA_FULL_ERROR": value}
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR", None)
        os.environ |= {} if before is None else {"HYDRA_FULL_ERROR": before}
