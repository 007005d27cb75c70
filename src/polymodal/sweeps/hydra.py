"""What a sweep of Hydra's begins with and leaves: a folder of its own, a table of all its jobs, the
failed ones too.
"""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from polymodal.config.secrets import mask_text
from polymodal.errors import ConfigError
from polymodal.files import write_whole
from polymodal.runs.folder import write_environment
from polymodal.runs.slurm import begun_here

# our settings of launchers have the names of the plugins' own, whose types they are checked
# against: that is wanted
warnings.filterwarnings(
    "ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema"
)

EXTRAS = {"joblib": "sweep", "ray": "ray", "submitit": "slurm"}
"""Launcher -> the extra of this package that brings it."""


def claim_sweep(folder: Path, arguments: Sequence[str]) -> None:
    """Makes the folder of a sweep; says in its environment.json what was asked for.

    A Slurm job that is started again takes the folder that it had.

    Raises:
        ConfigError: the folder belongs to another sweep or to a run, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not begun_here(folder):
            (folder / "environment.json").open(
                "x"
            ).close()  # "x": of two sweeps that start at once, one gets it
            write_environment(folder, arguments)
    except FileExistsError:
        raise ConfigError(
            f"The folder {folder} is in use. To resume: python src/sweep.py resume={folder}"
        ) from None
    except OSError as error:
        raise ConfigError(f"The folder {folder} cannot be written: {error}") from error


def end_sweep(folder: Path, stopped: bool = False) -> int:
    """Writes what a sweep leaves, says how to resume it; gives the exit code, 1 if a job failed.

    Args:
        folder: of the sweep.
        stopped: there may be jobs that it has not begun.
    """
    # which draws, and is needed at the end only
    from polymodal.sweeps.report import end_sweep as end

    file = folder / "multirun.yaml"
    if file.exists():  # Hydra writes the command line into it
        write_whole(file, mask_text(file.read_text()))
    return end(folder, stopped)


class SweepFolder(Callback):
    """Takes the folder of a sweep, before Hydra writes into it."""

    at_work: ClassVar[Path | None] = None
    """The folder of the sweep that this process leads."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuses a launcher whose plugin is missing, and a folder that is in use; Hydra would pass
        an error over.
        """
        folder = Path(config.hydra.sweep.dir).absolute()
        launcher = str(config.hydra.launcher._target_)
        try:
            _check_installed(launcher)
            claim_sweep(folder, list(config.hydra.overrides.task))
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        SweepFolder.at_work = folder
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        if "hydra_submitit_launcher" in launcher:
            from polymodal.sweeps.submitit import wait_for_all

            wait_for_all(folder)


def _check_installed(launcher: str) -> None:
    package, plugin, *_ = launcher.split(".")
    if package == "hydra_plugins" and not (find_spec(package) and find_spec(f"{package}.{plugin}")):
        name = plugin.removeprefix("hydra_").removesuffix("_launcher")
        raise ConfigError(
            f"hydra/launcher={name} needs a plugin: pip install -e '.[{EXTRAS.get(name, name)}]'"
        )


@contextmanager
def table_at_the_end() -> Iterator[None]:
    """However a sweep of Hydra's ends, by its last job, a signal or an error of its launcher, there
    is its table.
    """
    ended: BaseException | None = None
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        ended = error
    failed = end_sweep(folder, ended is not None) if (folder := SweepFolder.at_work) else 0
    if isinstance(ended, KeyboardInterrupt):
        sys.exit(130)
    if ended:
        raise ended
    if failed:
        sys.exit(failed)
