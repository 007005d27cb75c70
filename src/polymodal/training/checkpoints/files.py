"""Finds and reads checkpoints as plain data."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from polymodal.config.moved import as_today
from polymodal.config.trust import check_trust
from polymodal.errors import ConfigError
from polymodal.training.checkpoints.sharded import check_parts, not_finite, read_parts

FORM: dict[str, type] = {
    "state_dict": dict,
    "parts": dict,
    "callbacks": dict,
    "loops": dict,
    "resume": dict,
    "optimizer_states": list,
}
FORM |= {"lr_schedulers": list, "global_step": int}
"""Field of a checkpoint -> what it is."""

log = logging.getLogger(__name__)


def find_checkpoint(path: Path) -> Path:
    """The file itself, or the best checkpoint of a run folder, or else its last.

    Args:
        path: of a file or a folder; `last` is the newest run under logs/.

    Raises:
        ConfigError: there is none.
    """
    if path == Path("last") and not path.exists():
        files = sorted(
            Path("logs").glob("**/checkpoints/*.ckpt"), key=lambda file: file.stat().st_mtime
        )
        if not files:
            raise ConfigError(
                "checkpoint=last: no run under logs/ has a checkpoint. Train one: python "
                "src/train.py"
            )
        path = files[-1].parents[1]

    # a file is itself, a run folder its best checkpoint
    best, last = (path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    for candidate in (path, best):
        if candidate.is_file():
            return candidate

    # without a best one there is a choice, which is the user's
    others = sorted(file.name for file in last.parent.glob("*.ckpt") if file != last)
    if others:  # of a callback of the user's own: which of them is best, only its names tell
        names = ", ".join([*others, last.name])
        raise ConfigError(
            f"checkpoint={path} has no checkpoints/best.ckpt. Give one of its files: {names}."
        )
    if last.is_file():
        return last

    # what was given may be something else of ours
    if (path / "model.safetensors").is_file():
        raise ConfigError(
            f"checkpoint={path} is an exported model. Use it in Python: "
            f"polymodal.load({str(path)!r})."
        )
    raise ConfigError(
        f"checkpoint={path}: neither a checkpoint file nor a run folder with checkpoints/best.ckpt."
    )


def load_checkpoint(file: Path, parts: bool = True) -> dict[str, Any]:
    """A checkpoint as plain data; nothing of it is run.

    Args:
        file: of the checkpoint.
        parts: whether to read what processes have written apart from the file
            (`polymodal.training.checkpoints.sharded`), too.

    Raises:
        ConfigError: the file is damaged, holds more than data, its config builds what is not to be
            trusted, or its weights or running statistics are NaN or infinite.
    """
    try:
        _check_sums(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        config = checkpoint["config"]
    except (
        Exception
    ) as error:  # damaged files fail in many ways; a pickle bomb is an UnpicklingError
        if called := re.search(r"GLOBAL (\S+)", str(error)):
            raise ConfigError(
                f"checkpoint={file} is not one of ours: it holds more than data, and would call "
                f"{called[1]} when it is unpickled. Nothing of it was run. Do not use this file "
                "unless you know where it comes from."
            ) from None  # torch's own message says how to run it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"checkpoint={file} is damaged or not one of ours: {reason}") from error

    # the config is a stranger's until it was looked at
    check_trust(config)
    checkpoint["config"] = as_today(config)
    _check_form(checkpoint, file)
    if parts:
        check_parts(checkpoint, file)
        read_parts(checkpoint, file)

    # weights that are NaN give answers that look like answers
    if spoilt := not_finite(checkpoint.get("state_dict", {})):
        raise ConfigError(
            f"checkpoint={file} is spoilt: {spoilt[0]} holds NaN or infinity. Take an earlier one."
        )
    return checkpoint  # type: ignore[no-any-return]


class Origin(NamedTuple):
    """Which checkpoint a module has its weights from.

    Attributes:
        name: of the file.
        epoch: counted from 0.
        step: of the optimizer.
        validation: `val/...` metrics of these very weights; empty where they were not validated.
    """

    name: str
    epoch: int
    step: int
    validation: dict[str, float]


def origin_of(checkpoint: dict[str, Any], file: Path) -> Origin:
    """What a checkpoint says of itself: it keeps the metrics that were logged last when it was
    saved.

    A run saves its best checkpoint after a validation of the weights that are in it.
    """
    logged = checkpoint.get("resume", {}).get("figures", {})
    entries = logged.items() if isinstance(logged, dict) else ()
    numbers = {
        key: value
        for key, value in entries
        if isinstance(value, int | float) and math.isfinite(value)
    }
    validation = {
        key: float(value) for key, value in numbers.items() if str(key).startswith("val/")
    }
    return Origin(
        file.name,
        int(checkpoint.get("epoch", 0)),
        int(checkpoint.get("global_step", 0)),
        validation,
    )


def _check_form(checkpoint: dict[str, Any], file: Path) -> None:
    """Refuses a field that is not of the kind that is read."""
    for name, kind in FORM.items():
        field = checkpoint.get(name, kind())
        keys = field if isinstance(field, dict) else ()
        if not isinstance(field, kind) or not all(isinstance(key, str) for key in keys):
            raise ConfigError(
                f"checkpoint={file} is damaged or not one of ours: its {name} is of another kind."
            )


def _check_sums(file: Path) -> None:
    """Raises ValueError where a part of the file is not what was written: torch does not look."""
    with zipfile.ZipFile(file) as parts:
        if damaged := parts.testzip():
            raise ValueError(f"the sum of {damaged} is wrong")


def fingerprint(file: Path) -> str:
    """A number of what is in a checkpoint, made of the sums that it carries of its parts."""
    with zipfile.ZipFile(file) as parts:
        sums = sorted(f"{info.filename.partition('/')[2]} {info.CRC}" for info in parts.infolist())
    return hashlib.blake2b("\n".join(sums).encode(), digest_size=8).hexdigest()


def newest_checkpoint(folder: Path) -> Path:
    """The newest checkpoint of a run that is whole and can be resumed; says which
    ones are not.

    Raises:
        ConfigError: there is none.
    """
    files = (folder / "checkpoints").glob("*.ckpt")
    for file in sorted(
        files, key=lambda file: (file.name == "last.ckpt", file.stat().st_mtime), reverse=True
    ):
        try:
            checkpoint = load_checkpoint(file, parts=False)
            if (
                missing := {"resume", "loops", "optimizer_states", "callbacks", "global_step"}
                - checkpoint.keys()
            ):
                raise ConfigError(
                    f"{file} has no {', '.join(sorted(missing))}: training cannot resume from it."
                )
            check_parts(checkpoint, file)
            return file
        except ConfigError as error:
            log.warning("%s An earlier checkpoint is tried.", error)
    raise ConfigError(
        f"resume={folder}: no checkpoint is whole. checkpoints/ is written by "
        "callbacks=[checkpoint]."
    )


def load_encoder(encoder: nn.Module, name: str, path: Path) -> dict[str, Any]:
    """Gives an encoder the weights that the encoder of the same modality has in a checkpoint, which
    is returned.

    Raises:
        ConfigError: there is no such encoder in it, or it is built otherwise.
    """
    file = find_checkpoint(path)
    checkpoint = load_checkpoint(file)
    state = checkpoint["state_dict"]
    prefix = f"model.encoders.{name}."
    weights = {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }
    if not weights:
        raise ConfigError(
            f"tuning.{name}.weights={path}: the checkpoint has no encoder of the modality {name!r}."
        )
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ConfigError(f"tuning.{name}.weights={path} is of another encoder: {first}") from error
    return checkpoint


def position_of(checkpoint: dict[str, Any]) -> tuple[int, int]:
    """The epoch that training was in, and how many of its batches were done.

    Raises:
        ConfigError: the checkpoint does not say so.
    """
    try:
        loop = checkpoint["loops"]["fit_loop"]
        epoch, batch = loop["epoch_progress"]["current"], loop["epoch_loop.batch_progress"]
        started = int(epoch["started"])
        processed = int(epoch["processed"])
        is_last = batch["is_last_batch"]
        ready = int(batch["current"]["ready"])
    except (LookupError, TypeError, ValueError) as error:
        raise ConfigError(
            "The checkpoint does not say how far training was: no run of ours stores that."
        ) from error
    if started == processed:
        return processed, 0
    # Lightning makes one loader for what is left of this epoch, nothing, and for the next
    if is_last:
        return processed + 1, 0
    return processed, ready
