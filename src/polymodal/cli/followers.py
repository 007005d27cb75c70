"""The other processes of a run: what they are started with, and what they do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from polymodal.cli.overrides import quoted
from polymodal.config.messages import CONFIGS, WANTED
from polymodal.errors import PolymodalError
from polymodal.runs.slurm import is_requeued
from polymodal.training.distributed.signals import Stopped


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

    if plain["resume"] is None and is_requeued(Path(plain["run_dir"])):
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
