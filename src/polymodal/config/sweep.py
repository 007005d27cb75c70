"""What a sweep of Hydra's leaves: a table of all its jobs, the failed ones too."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from polymodal.config.run_folder import write_environment
from polymodal.config.secrets import mask

# our settings of launchers have the names of the plugins' own, whose types they are checked against: that is wanted
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/\w+' is validated against ConfigStore schema")

EXTRAS = {"joblib": "sweep", "ray": "ray", "submitit": "slurm"}
"""Launcher -> the extra of this package that brings it."""


def record_failure(folder: Path, message: str, details: str, overrides: Sequence[str]) -> None:
    """Writes error.txt into a job's folder: the message, then all that is known."""
    (folder / "error.txt").write_text(mask(f"{message}\n\n{details}"))
    if not (folder / "environment.json").exists():
        write_environment(folder, overrides)


def end_sweep(folder: Path) -> int:
    """Writes what a sweep leaves; gives the exit code, 1 if a job failed."""
    from polymodal.sweeps.report import end_sweep as end  # which draws, and is needed at the end only

    file = folder / "multirun.yaml"
    if file.exists():  # Hydra writes the command line into it
        file.write_text(mask(file.read_text()))
    return end(folder)


class SweepTable(Callback):
    """Collects the jobs of a sweep into one table; the exit code is 1 if any of them failed."""

    at_work: ClassVar[Path | None] = None
    """The folder of the sweep that this process leads."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Says what to install where the launcher's plugin is missing."""
        SweepTable.at_work = Path(config.hydra.sweep.dir)
        package, plugin, *_ = str(config.hydra.launcher._target_).split(".")
        if package == "hydra_plugins" and not (find_spec(package) and find_spec(f"{package}.{plugin}")):
            name = plugin.removeprefix("hydra_").removesuffix("_launcher")
            extra = EXTRAS.get(name, name)
            print(f"error: hydra/launcher={name} needs a plugin: pip install -e '.[{extra}]'", file=sys.stderr)
            sys.exit(2)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Hydra calls this once, after the last job."""
        if code := end_sweep(Path(config.hydra.sweep.dir)):
            sys.exit(code)


@contextmanager
def table_after_interruption() -> Iterator[None]:
    """Ctrl-C while other processes run the jobs of a sweep: what there is goes into the table."""
    try:
        yield
    except KeyboardInterrupt:
        if folder := SweepTable.at_work:
            end_sweep(folder)
            print(f"Go on with: python src/sweep.py {shlex.quote(f'resume={folder}')}", file=sys.stderr)
        sys.exit(130)
