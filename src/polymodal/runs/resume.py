"""Resuming a run: which one, from which checkpoint, and that nobody else has its folder."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from polymodal.config.moved import as_today
from polymodal.config.secrets import mask
from polymodal.config.stored import load_yaml
from polymodal.config.trust import check_trust
from polymodal.errors import ConfigError
from polymodal.files import read_json, write_whole
from polymodal.runs.folder import (
    DEFAULTS,
    check_links,
    environment_of,
    storable,
    to_store,
    write_config,
)

LIMITS = ("max_epochs", "max_steps", "max_time")
"""Arguments of the trainer that say when a run ends."""

FIXED = ("encoder", "fusion", "missing", "head", "objective", "dim", "data", "seed")
"""What a run keeps: with others its weights do not fit, or the samples come in another order than
those it has had."""

FREE = ("data.num_workers", "data.cache_dir", "data.image_cache", "data.image_cache_gb")
"""How data are read, which changes nothing of what is read."""


def find_run(argument: str, experiment: str | None) -> Path:
    """The folder that `resume=<argument>` means.

    Args:
        argument: a run folder, or `last` for the one under logs/ that ran last and is not
            finished.
        experiment: that was asked for beside it.

    Raises:
        ConfigError: there is no such run, it is of another experiment, or its config is none that a
            run of ours wrote.
    """
    if argument == "last":
        folder = _newest(experiment)
        print(f"resume=last: {folder}")
    else:
        folder = Path(argument)
    if not (folder / "config.yaml").is_file():
        raise ConfigError(
            f"resume={argument}: there is no config.yaml in this folder. Give the folder of a run."
        )
    check_links(folder)
    config = stored_config(folder)
    if experiment not in (None, config.get("name")):
        raise ConfigError(
            f"experiment={experiment}: the run in {folder} is of experiment={config.get('name')}, "
            "and is resumed as that."
        )
    return folder.absolute()


def _newest(experiment: str | None) -> Path:
    found: dict[Path, float] = {}
    for file in Path("logs").glob("**/checkpoints/*.ckpt"):
        folder = file.parents[1]
        if not (folder / "metrics.json").exists() and (folder / "config.yaml").is_file():
            found[folder] = max(found.get(folder, 0.0), file.stat().st_mtime)
    for folder in sorted(found, key=found.__getitem__, reverse=True):
        if experiment in (None, stored_config(folder).get("name")):
            return folder
    of = f" of experiment={experiment}" if experiment else ""
    raise ConfigError(f"resume=last: no run{of} under logs/ has a checkpoint and is not finished.")


def stored_config(folder: Path) -> dict[str, Any]:
    """A run's config.yaml as plain data.

    Raises:
        ConfigError: it cannot be read, names what is not to be trusted, or holds settings of Hydra.
    """
    file = folder / "config.yaml"
    config = load_yaml(file)
    if (
        not isinstance(config, dict)
        or config.pop("defaults", None) != DEFAULTS
        or "hydra" in config
    ):
        raise ConfigError(f"{file} is none that a run wrote.")
    plain = {str(key): value for key, value in config.items()}
    check_trust(plain)
    return as_today(plain)  # type: ignore[no-any-return]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of a run's folder. The system ends the lock with the process,
    however that dies.

    It is a lock of the process (`lockf`), not one of the open file: loading processes would keep
    that for a while.

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
            raise ConfigError(f"The run in {folder} is running in another process.") from None
        except OSError:  # a file system without locks
            pass
        yield


def claim_again(
    folder: Path, config: DictConfig, plain: dict[str, Any], overrides: Sequence[str]
) -> tuple[dict[str, Any], Callable[[], None]] | None:
    """Finds the checkpoint from which a run resumes, and sets `resume` in `plain` to it. Nothing is
    written yet.

    Args:
        folder: of the run, locked.
        config: as composed from its config.yaml and the command line.
        plain: the same, resolved.
        overrides: what the command line changed.

    Returns:
        the config for checkpoints, and what writes into the folder that the run goes on: to be
        called when training really begins, so that a command which is refused leaves the folder as
        it was. None where the run is finished and is not to be longer.

    Raises:
        ConfigError: no checkpoint is whole, it is of another model or of other data, the run has
            trained as long as it is to, or it is finished and its other processes, which were
            started with this one, would train.
    """
    # torch is not needed to refuse
    from polymodal.training.checkpoints.files import load_checkpoint, newest_checkpoint

    before, finished = stored_config(folder)["trainer"], folder / "metrics.json"
    is_longer = any(before.get(name) != plain["trainer"].get(name) for name in LIMITS)
    if finished.exists() and not is_longer:
        message = (
            f"The run in {folder} is finished. To train longer: {how(folder)} "
            "trainer.max_epochs=..."
        )
        if int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_NTASKS") or 1) > 1:
            raise ConfigError(message)
        print(message)
        return None
    file = newest_checkpoint(folder)
    checkpoint = load_checkpoint(file, parts=False)
    requested = mask(storable(OmegaConf.to_container(config, resolve=False), plain))
    _check_unchanged(checkpoint["config"], requested)
    if is_longer:
        _check_longer(checkpoint, plain["trainer"], folder)
    stored = to_store(config, plain)
    plain["resume"] = str(file)
    return stored, partial(_begin_again, folder, stored, overrides, file)


def _begin_again(
    folder: Path, stored: dict[str, Any], overrides: Sequence[str], file: Path
) -> None:
    """Writes into the folder of a run that it is resumed."""
    finished, about = folder / "metrics.json", folder / "environment.json"
    if finished.exists():
        finished.replace(folder / "metrics_before.json")
    write_config(folder, stored)
    environment = read_json(about)
    again = environment_of(overrides) | {"checkpoint": file.name}
    environment["resumed"] = [*environment.get("resumed", []), mask(again)]
    write_whole(about, json.dumps(environment, indent=2))
    (folder / "error.txt").unlink(missing_ok=True)


def _check_longer(checkpoint: dict[str, Any], trainer: dict[str, Any], folder: Path) -> None:
    """Refuses limits that the run has reached already: it would train nothing, and be tested
    again.
    """
    from lightning.pytorch.callbacks import Timer

    from polymodal.training.checkpoints.files import position_of

    epochs, steps = position_of(checkpoint)[0], checkpoint["global_step"]
    timers = [state for name, state in checkpoint["callbacks"].items() if name.startswith("Timer")]
    seconds = max((timer["time_elapsed"]["train"] for timer in timers), default=0.0)
    max_epochs, max_steps, max_time = (trainer.get(name) for name in LIMITS)
    reached = []
    if max_epochs not in (None, -1) and max_epochs <= epochs:
        reached.append(f"trainer.max_epochs={max_epochs}: it has trained {epochs} epochs")
    if max_steps not in (None, -1) and max_steps <= steps:
        reached.append(f"trainer.max_steps={max_steps}: it has trained {steps} steps")
    if max_time is not None and Timer(max_time)._duration <= seconds:  # type: ignore[operator]
        reached.append(f"trainer.max_time={max_time}: it has trained {seconds:.0f} seconds")
    if reached:
        raise ConfigError(
            f"The run in {folder} would not be trained any longer with {'; '.join(reached)}. Give "
            "more.\n"
            f"To evaluate what there is: python src/eval.py {shlex.quote(f'checkpoint={folder}')}"
        )


def _check_unchanged(before: dict[str, Any], requested: dict[str, Any]) -> None:
    """Refuses other values of what a run keeps."""
    old, new = (
        {key: v for key, v in _flat(config) if key not in FREE} for config in (before, requested)
    )
    changed = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    # which is given anew
    changed = [key for key in changed if "${oc.env:" not in str(old.get(key))]
    if changed := [key for key in changed if key.partition(".")[0] in FIXED]:
        values = ", ".join(f"{key}={new.get(key)} (it was {old.get(key)})" for key in changed)
        raise ConfigError(
            "A resumed run keeps its model, its data and their order; here it would have "
            f"{values}.\n"
            f"Leave that out, or start a new run. Of the data {', '.join(FREE)} can be changed."
        )


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Values of nested dictionaries, each with its dotted name."""
    if not isinstance(node, dict) or not node:
        yield path, node
        return
    for key, value in node.items():
        yield from _flat(value, f"{path}.{key}" if path else str(key))


def how(folder: Path) -> str:
    """The command that resumes a run."""
    with suppress(ValueError):
        folder = folder.relative_to(Path.cwd())
    return f"python src/train.py {shlex.quote(f'resume={folder}')}"
