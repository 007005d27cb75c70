"""A run that goes on: which one, from which checkpoint, and that nobody else has its folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from polymodal.config.run_folder import DEFAULTS, environment_of, store, write_whole
from polymodal.config.secrets import mask
from polymodal.config.trust import check_trust
from polymodal.errors import ConfigError

LIMITS = ("max_epochs", "max_steps", "max_time")
"""Arguments of the trainer that say when a run ends."""


def find_run(argument: str, experiment: str | None) -> Path:
    """The folder that `resume=<argument>` means.

    Args:
        argument: a run folder, or `last` for the one under logs/ that was at work last and is not finished.
        experiment: that was asked for beside it.

    Raises:
        ConfigError: there is no such run, it is of another experiment, or its config is none that a run of ours wrote.
    """
    if argument == "last":
        folder = _newest(experiment)
        print(f"resume=last: {folder}")
    else:
        folder = Path(argument)
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"resume={argument}: there is no config.yaml in this folder. Give the folder of a run.")
    config = _read(folder)
    if experiment not in (None, config.get("name")):
        raise ConfigError(
            f"experiment={experiment}: the run in {folder} is of experiment={config.get('name')}, and goes on as that."
        )
    return folder.absolute()


def _newest(experiment: str | None) -> Path:
    found: dict[Path, float] = {}
    for file in Path("logs").glob("**/checkpoints/*.ckpt"):
        folder = file.parents[1]
        if not (folder / "metrics.json").exists() and (folder / "config.yaml").is_file():
            found[folder] = max(found.get(folder, 0.0), file.stat().st_mtime)
    for folder in sorted(found, key=found.__getitem__, reverse=True):
        if experiment in (None, _read(folder).get("name")):
            return folder
    of = f" of experiment={experiment}" if experiment else ""
    raise ConfigError(f"resume=last: no run{of} under logs/ has a checkpoint and is not finished.")


def _read(folder: Path) -> dict[str, Any]:
    """config.yaml as plain data; nothing in it may name what is not to be trusted, nor settings of Hydra."""
    file = folder / "config.yaml"
    try:
        config = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except Exception as error:  # of yaml, of the encoding, of the file system
        raise ConfigError(f"{file} cannot be read: {str(error).splitlines()[0]}") from error
    if not isinstance(config, dict) or config.pop("defaults", None) != DEFAULTS or "hydra" in config:
        raise ConfigError(f"{file} is none that a run wrote.")
    plain = {str(key): value for key, value in config.items()}
    check_trust(plain)
    return plain


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a run's folder. The system ends the lock with the process, however that dies.

    It is a lock of the process (`lockf`), not one of the open file: loading processes would keep that for a while.

    Raises:
        ConfigError: another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / ".lock").open("a") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ConfigError(f"The run in {folder} is at work in another process.") from None
        except OSError:  # a file system without locks
            pass
        yield


def claim_again(
    folder: Path, config: DictConfig, plain: dict[str, Any], overrides: Sequence[str]
) -> dict[str, Any] | None:
    """Makes a run's folder ready to go on, and sets `resume` in `plain` to the checkpoint.

    Args:
        folder: of the run, locked.
        config: as composed from its config.yaml and the command line.
        plain: the same, resolved.
        overrides: what the command line changed.

    Returns:
        the config for checkpoints; None where the run is finished and is not to be longer.

    Raises:
        ConfigError: no checkpoint is whole.
    """
    from polymodal.checkpoint import newest_checkpoint  # torch is not needed to refuse

    before, finished = _read(folder)["trainer"], folder / "metrics.json"
    if finished.exists():
        if all(before.get(name) == plain["trainer"].get(name) for name in LIMITS):
            print(f"The run in {folder} is finished. To train longer: {how(folder)} trainer.max_epochs=...")
            return None
        finished.replace(folder / "metrics_before.json")
    plain["resume"] = str(newest_checkpoint(folder))
    stored = store(folder, config, plain)
    about = folder / "environment.json"
    environment = json.loads(about.read_text()) if about.exists() else {}
    again = environment_of(overrides) | {"checkpoint": Path(plain["resume"]).name}
    environment["resumed"] = [*environment.get("resumed", []), mask(again)]
    write_whole(about, json.dumps(environment, indent=2))
    (folder / "error.txt").unlink(missing_ok=True)
    return stored


def how(folder: Path) -> str:
    """The command that goes on with a run."""
    with suppress(ValueError):
        folder = folder.relative_to(Path.cwd())
    return f"python src/train.py {shlex.quote(f'resume={folder}')}"
