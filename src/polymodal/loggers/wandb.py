"""Weights & Biases, with or without an account."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from inspect import signature
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from polymodal.errors import ConfigError, did_you_mean
from polymodal.files import write_whole
from polymodal.terminal import run_log
from polymodal.training.lightning_internals import drop_wandb_option

# from its import on, wandb notes what is written to sys.stdout, tables of rich included
with run_log.aside():
    import wandb

log = logging.getLogger(__name__)


def wandb_logger(
    save_dir: str, project: str = "polymodal", offline: bool | None = None, **options: Any
) -> WandbLogger:
    """Lightning's WandbLogger; without an API key it records offline and says so.

    A run that is resumed goes on under the id that is kept in its folder. Online, the best
    checkpoint becomes an artifact of the run; `log_model: false` leaves that out.

    Args:
        save_dir: the run's folder.
        project: name of the project.
        offline: True or False to decide it; None looks for a key.
        options: passed on to `WandbLogger` and `wandb.init`.

    Raises:
        ConfigError: neither of them takes an option; says the nearest one.
    """
    _check_options(options)
    if offline is None:
        offline = os.environ.get("WANDB_MODE") == "offline" or not _has_key()
        if offline:
            log.warning(
                "wandb: no API key, so this run is recorded offline; send it later with: wandb "
                "sync <folder>"
            )
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    if rank_zero_only.rank == 0:  # type: ignore[attr-defined]  # the one that logs
        options = {"id": _kept_id(Path(save_dir) / "wandb_id"), "resume": "allow", **options}
    options = {"log_model": not offline, **options}
    logger = WandbLogger(save_dir=save_dir, project=project, offline=offline, **options)
    # Lightning passes it on all the same, and wandb warns that it is of no use
    if "anonymous" not in options:
        drop_wandb_option(logger, "anonymous")
    return logger


def _check_options(options: Mapping[str, Any]) -> None:
    known = {*signature(WandbLogger).parameters, *signature(wandb.init).parameters}
    for name in options:
        if "key" in name and name not in known:
            raise ConfigError(
                f"logger.wandb.{name}: wandb takes its key from WANDB_API_KEY or `wandb login`."
            )
        if name not in known:
            raise ConfigError(
                f"logger.wandb.{name}: wandb has no such option.{did_you_mean(name, known)}"
            )


def _kept_id(file: Path) -> str:
    """The id of an earlier start, or a new one."""
    if not file.exists():
        write_whole(file, secrets.token_hex(4))
    return file.read_text()


def _has_key() -> bool:
    """Whether wandb would log in without asking: a key in the environment or in ~/.netrc."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc().authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
