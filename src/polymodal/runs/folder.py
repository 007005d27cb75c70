"""The folder of a run: claimed by one run alone, with all that is needed to repeat it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from polymodal.config.places import CACHE, TRACKING
from polymodal.config.secrets import mask, mask_text
from polymodal.errors import ConfigError, PolymodalError
from polymodal.files import write_whole
from polymodal.runs.slurm import begun_here

PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "torchmetrics",
    "timm",
    "tokenizers",
)
CLAIM = {"config.yaml", "environment.json", "train.log", ".lock"}
"""What is in the folder of a run that has not begun."""

OWN = ("${run_dir}", "${hydra:runtime.output_dir}", CACHE, TRACKING)
"""Starts of values that are not resolved in a stored config: they mean what they mean where it is
used."""

DEFAULTS = [{"hydra": "repeat"}, "_self_"]
HEADER = """\
# The whole config of one run.
# To repeat it: python src/train.py repeat={folder}; to resume it: resume={folder}
defaults:
  - hydra: repeat
  - _self_

"""


def claim(
    folder: Path, config: DictConfig, plain: dict[str, Any], overrides: Sequence[str] = ()
) -> dict[str, Any]:
    """Writes config.yaml and environment.json into a folder that no run has used; gives the config
    for checkpoints.

    A Slurm job that is started again takes the folder that it had, where nothing was saved in it.

    Args:
        folder: of the run; made where it does not exist.
        config: as composed, with its references.
        plain: the same, resolved.
        overrides: what the command line changed.

    Raises:
        ConfigError: the folder belongs to another run, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not begun_here(folder):
            (folder / "config.yaml").open(
                "x"
            ).close()  # "x": of two runs that start at once, one gets it
        stored = store(folder, config, plain)
        write_environment(folder, overrides)
    except FileExistsError:
        raise ConfigError(
            f"The folder {folder} holds a run already. Choose another hydra.run.dir, or run_dir of "
            "eval.py."
        ) from None
    except OSError as error:
        raise ConfigError(f"The run folder {folder} cannot be written: {error}") from error
    return stored


def check_links(folder: Path) -> None:
    """Refuses a folder that holds links out of it: what a run writes there would be written
    elsewhere.

    A pipe is refused too: who opens one waits for ever.

    Raises:
        ConfigError: names the first one.
    """
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        for path in (Path(place, name) for name in (*folders, *files)):
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise ConfigError(
                    f"{path} is a link out of the folder {folder}. No run makes one: remove it to "
                    "go on."
                )
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise ConfigError(
                    f"{path} is neither a file nor a folder. No run makes one: remove it to go on."
                )


def give_back(folder: Path, claimed: bool) -> None:
    """A run that never began leaves no folder: neither its own nor those above it, up to `logs`.

    Args:
        folder: of the run.
        claimed: by this process, so that what `claim` wrote can go.
    """
    left = {file.name for file in folder.glob("*")}
    if claimed and left <= CLAIM:
        for name in left:
            (folder / name).unlink()
    for path in [folder, *(path for path in folder.parents[:3] if "logs" in path.parts)]:
        try:
            path.rmdir()
        except OSError:
            return


@contextmanager
def given_back(folder: Path) -> Iterator[None]:
    """Leaves no folder that was claimed in here where an error that is foreseen comes before
    anything is written.
    """
    was_there = (folder / "config.yaml").exists()
    try:
        yield
    except PolymodalError:
        if not was_there:
            give_back(folder, claimed=True)
        raise


def header(folder: Path) -> str:
    """The first lines of a config.yaml, up to its settings, whatever signs the folder has in its
    name.
    """
    return HEADER.format(
        folder="".join(sign if sign.isprintable() else "?" for sign in str(folder))
    )


def store(folder: Path, config: DictConfig, plain: dict[str, Any]) -> dict[str, Any]:
    """Writes config.yaml; gives the config for checkpoints."""
    stored = to_store(config, plain)
    write_config(folder, stored)
    return stored


def to_store(config: DictConfig, plain: dict[str, Any]) -> dict[str, Any]:
    """The config as a run keeps it: in its folder, in its checkpoints and in loggers."""
    return dict(
        mask(storable(OmegaConf.to_container(config, resolve=False), plain)) | {"resume": None}
    )


def write_config(folder: Path, stored: dict[str, Any]) -> None:
    """Writes config.yaml."""
    write_whole(
        folder / "config.yaml", header(folder) + OmegaConf.to_yaml(OmegaConf.create(stored))
    )


def storable(raw: Any, resolved: Any) -> Any:
    """Resolved values; what belongs to the run or to the user (its folder, a cache) stays a
    reference of ours.
    """
    if isinstance(raw, dict) and isinstance(resolved, dict):
        return {
            key: storable(raw[key], resolved[key]) if key in raw else resolved[key]
            for key in resolved
        }
    if isinstance(raw, list) and isinstance(resolved, list):
        return [storable(r, v) for r, v in zip(raw, resolved, strict=True)]
    return raw if isinstance(raw, str) and raw.startswith(OWN) else resolved


def write_environment(folder: Path, overrides: Sequence[str]) -> None:
    """environment.json: what `environment_of` says."""
    write_whole(folder / "environment.json", json.dumps(mask(environment_of(overrides)), indent=2))


def environment_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Versions, commit and what was not committed, command, and what the command changed."""
    commit = _git("rev-parse", "HEAD")
    return {
        "overrides": list(overrides),
        "command": [Path(sys.executable).name, *sys.argv],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": commit and commit.strip(),
        "uncommitted": _git("status", "--porcelain"),
        "diff": _git("diff", "HEAD"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout  # whole: without its last blank lines a diff cannot be applied


def record_failure(folder: Path, message: str, details: str, overrides: Sequence[str]) -> None:
    """Writes error.txt into a job's folder: the message, then all that is known."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "error.txt", mask_text(f"{message}\n\n{details}"))
    if not (folder / "environment.json").exists():
        write_environment(folder, overrides)
