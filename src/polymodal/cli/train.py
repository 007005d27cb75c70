"""From the command line to a checked config, a claimed run folder and the training function."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from polymodal.cli.followers import arguments_for_followers, follow, full_errors, take_part
from polymodal.cli.overrides import SWEEP, WITH_VALUE, as_hydra_arguments
from polymodal.config import run_name  # noqa: F401  (the configs ask it for the folder)
from polymodal.config.command_line import check_no_run_dir, check_options, check_words, in_order
from polymodal.config.environment import is_first_process  # its resolvers go to sweeps
from polymodal.config.messages import CONFIGS, FORESEEN, in_our_words, readable_errors, show
from polymodal.errors import ConfigError
from polymodal.runs.folder import claim, give_back, record_failure
from polymodal.runs.resume import claim_again, how, locked
from polymodal.runs.slurm import is_requeued, run_again
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

    # nothing is written before all checks are passed
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    ours, claimed = not (folder / "config.yaml").exists(), False
    try:
        plain = check_config(config)
        check_run_dir(plain, folder)
        overrides = list(settings.overrides.task)
        again = plain["resume"] is not None or is_requeued(folder)
        stored, begin = ({}, None) if again else (claim(folder, config, plain, overrides), None)
        claimed = not again

        # one process at a time has the folder
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
        # a run that was stopped says how it is resumed; Slurm may start it again
        saved = any((folder / "checkpoints").glob("*.ckpt"))
        if saved and run_again(stop):
            sys.exit(stop.code)
        message = f"{stop} " + (
            f"Resume with: {how(folder)}" if saved else "There was no checkpoint yet."
        )
        print(message, file=sys.stderr)
        if "SUBMITIT_EXECUTOR" in os.environ:
            return (
                None  # the other jobs go on; the process that submitted them all writes the table
            )
        sys.exit(stop.code)
    except Exception as raised:
        # what was refused leaves no folder; in a sweep the error stays with its job
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
