"""`python src/sweep.py`: from the command line to a sweep in a folder of its own."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, InstantiationException
from hydra.utils import instantiate

from polymodal.cli.overrides import as_hydra_arguments
from polymodal.config.auto import fill_auto
from polymodal.config.auto_parts import AUTO
from polymodal.config.check import check_config, check_node
from polymodal.config.command_line import check_no_run_dir, check_words, home
from polymodal.config.compose import compose_config
from polymodal.config.environment import threads_each
from polymodal.config.messages import CONFIGS, readable_errors
from polymodal.errors import ConfigError, PolymodalError
from polymodal.sweeps.hydra import claim_sweep, end_sweep
from polymodal.sweeps.space import SweepSpec, corners, split
from polymodal.sweeps.stored import stored_arguments

HELP = """\
Runs many trainings, each in a process and a numbered folder of its own.

    python src/sweep.py sweep=<name> [experiment=... key=value ...] [sweep.key=value ...]

Values as for train.py, several of them, or ranges: fusion=sum,concat  seed=range(5)
'dim=int(interval(64, 256))'  'optimizer.lr=tag(log, interval(1e-4, 1e-2))'

    python src/sweep.py sweep=grid experiment=clip_small encoder/text=bow,transformer seed=0,1
    python src/sweep.py sweep=seeds experiment=clip_small
    python src/sweep.py sweep=optuna experiment=clip_small sweep.trials=20
    python src/sweep.py resume=<folder of a sweep> [retry_failed=true] [sweep.trials=40]

resume= resumes a sweep that was stopped or killed, one of `train.py -m` too; retry_failed=true runs
its failed jobs again. hydra.sweep.dir=<folder> is the folder of a new one. At the end it writes
sweep.csv, sweep.md and plots. sweep.jobs=2 runs two jobs at a time.

sweep= is one of: {names}
"""
OWN = ("sweep=", "sweep.", "+sweep", "~sweep")


def main() -> None:
    """`python src/sweep.py ...`; the exit code is 1 if a job failed."""
    arguments = ["retry_failed=true" if a == "--retry-failed" else a for a in sys.argv[1:]]
    if not arguments or {"-h", "--help"} & set(arguments):
        print(
            HELP.format(
                names=", ".join(sorted(file.stem for file in (CONFIGS / "sweep").glob("*.yaml")))
            )
        )
        sys.exit(0 if arguments else 2)
    with readable_errors():
        check_words(arguments)
        check_no_run_dir(arguments, "hydra.sweep.dir")
        sys.exit(sweep(arguments))


def sweep(arguments: Sequence[str]) -> int:
    """Starts a sweep, or resumes one; gives the exit code.

    Raises:
        ConfigError: arguments that cannot work.
    """
    # arguments of the sweep itself, and those of an earlier start
    retry = "retry_failed=true" in arguments
    resumed = [a.removeprefix("resume=") for a in arguments if a.startswith("resume=")]
    given = [
        a for a in arguments if not a.startswith(("retry_failed=", "resume=", "hydra.sweep.dir="))
    ]
    if resumed:
        folder = Path(home(resumed[-1])).absolute()
        given = [*stored_arguments(folder, given), *given]

    # how values are chosen, and what varies
    own = [a for a in given if a.startswith(OWN)]
    node = compose_config(as_hydra_arguments(own), "sweep").sweep
    check_node(node, "sweep")
    part = _make(node)
    fixed, swept = split(part.space, [a for a in given if a not in own])
    if not swept:
        raise ConfigError(
            "Nothing varies in this sweep. Give several values, such as seed=0,1,2 or "
            "fusion=sum,concat."
        )

    # jobs side by side share the cores
    jobs = getattr(part, "jobs", 1)
    if jobs > 1 and not any(a.lstrip("+").startswith("threads=") for a in [*fixed, *swept]):
        fixed.append(f"++threads={threads_each(jobs)}")
    base = compose_config([*fixed, "++run_dir=."])
    _check_fixed(fixed, swept)

    # a new sweep claims its folder only after all checks
    if not resumed:
        chosen = [
            a.removeprefix("hydra.sweep.dir=")
            for a in arguments
            if a.startswith("hydra.sweep.dir=")
        ]
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        folder = Path(
            home(chosen[-1]) if chosen else f"logs/{base.task}/{base.name}/{stamp}"
        ).absolute()
        claim_sweep(folder, given)
    # the data say what chooses a checkpoint, where the objective leaves it to them
    if AUTO in (base.monitor, base.monitor_mode):
        fill_auto(base)
    code = part.run(SweepSpec(folder, fixed, swept, base.monitor, base.monitor_mode, retry))
    failed = end_sweep(folder, stopped=code != 0)
    return code or failed


def _check_fixed(fixed: Sequence[str], swept: Mapping[str, Override]) -> None:
    """Says what is wrong with all jobs alike; what is wrong with some of them is said in their
    rows.

    Raises:
        ConfigError: two jobs that have no value in common have the same fault.
    """
    faults = []
    for values in corners(swept):
        try:
            check_config(compose_config([*fixed, *values, "++run_dir=."]), look=False)
            return
        except (PolymodalError, HydraException) as error:
            faults.append(error)
    if str(faults[0]) == str(faults[1]):
        raise faults[0]


def _make(node: Any) -> Any:
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if "No module named 'optuna" in str(error.__cause__):
            raise ConfigError("sweep=optuna needs Optuna: pip install -e '.[sweep]'") from error
        raise ConfigError(f"sweep: {error.__cause__ or error}") from error
