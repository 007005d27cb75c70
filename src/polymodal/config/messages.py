"""Hydra's errors in our words: which key, and what would have been right."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from polymodal.config.environment import check_ranks, is_first_process, started_alike
from polymodal.config.secrets import mask_text
from polymodal.errors import ConfigError, FollowedError, PolymodalError, did_you_mean

FORESEEN = (PolymodalError, HydraException, OmegaConfBaseException)

WANTED = os.environ.get("HYDRA_FULL_ERROR")
"""Whether the user asks for stack traces of errors that are foreseen ("1")."""

STANDARD = sys.stdlib_module_names

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
"""The groups lie beside src/, in the repository that was cloned."""


def groups() -> dict[str, list[str]]:
    """Config group -> its options, read from the folders."""
    found: dict[str, list[str]] = {}
    for file in sorted(CONFIGS.rglob("*.yaml")):
        if (group := file.parent.relative_to(CONFIGS).as_posix()) != ".":
            found.setdefault(group, []).append(file.stem)
    return found


def is_group(key: str) -> bool:
    """Whether `key=...` on the command line chooses an option of a group, not a value."""
    return (CONFIGS / key.split("@")[0]).is_dir()


def explain(error: BaseException) -> str:
    """One short message for an error that Hydra raised while it composed."""
    text = str(error)
    cause = str(error.__cause__ or "")
    if isinstance(error, GrammarParseError) or isinstance(error.__cause__, GrammarParseError):
        found = re.match(r"Error merging override \+*(.+)", text)
        where = found[1] if found else "A value"
        return (
            f"{where}: ${{...}} is the value of another setting, as in ${{seed}}. As text it is "
            "\\${...}, in quotes."
        )
    if match := re.search(r"Could not (?:find|load) '([\w/]+)/([^'/]+)'", text):
        group, option = match.groups()
        return f"{group}={option}: there is no such option.{_options(group, option)}"
    if match := re.search(r"In '[^']+': Could not find '([\w/]+)'", text):
        return f"There is no config {match.group(1)!r}."
    # values are quoted where they have to be: it is the key
    if override := getattr(error, "override", None):
        return (
            f"{override}: its key is no name of a setting, such as data.batch_size (letters, "
            "digits, _ and dots)."
        )
    if match := re.search(r"Could not delete from config. '([\w/.@]+)' does not exist", text):
        return f"~{match.group(1)}: there is no value of it to take away."
    if match := re.search(r"Could not append to config. An item is already at '([\w/.@]+)'", text):
        return f"{match.group(1)} is in the config already: leave the + out."
    if match := re.search(
        r"Could not (?:override|append to config|delete from config)[^']*'([\w/.@]+)'", text
    ):
        key = match.group(1)
        return f"Unknown key {key!r}.{_nearest_key(key)}" + (
            f" ({cause.splitlines()[0]})" if cause else ""
        )
    return "\n".join(
        line for line in (*text.splitlines()[:2], *cause.splitlines()[:1]) if line.strip()
    )


def in_our_words(error: Exception) -> Exception:
    """What Python says of something that was given, as an error that is foreseen; any other error
    as it is.
    """
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"{str(error.filename)[:80]}...: a name too long for the file system.")
    # it makes the folder of a run
    if isinstance(error, OSError) and _is_in(error.__traceback__, "run_job", "hydra"):
        folder = f"The run folder {error.filename} cannot be written: {error.strerror}."
        return ConfigError(f"{folder} Choose another hydra.run.dir.")
    if isinstance(error, TypeError | ValueError | IndexError) and (
        override := _applied(error.__traceback__)
    ):
        return ConfigError(f"{override}: {error}. A list is given as a whole, as in key=[1,2].")
    return error


def _is_in(trace: TracebackType | None, function: str, package: str) -> bool:
    """Whether an error was raised by a function of a package itself, or by the standard library for
    it.
    """
    frames = [frame for frame, _ in traceback.walk_tb(trace)]
    others = [
        frame
        for frame in frames
        if frame.f_globals.get("__name__", "").partition(".")[0] not in STANDARD
    ]
    last = others[-1] if others else None
    in_package = (
        last is not None and last.f_globals.get("__name__", "").partition(".")[0] == package
    )
    return in_package and last is not None and last.f_code.co_name == function


def _applied(trace: TracebackType | None) -> str | None:
    """The override that Hydra was about to apply; None where the error comes from elsewhere."""
    for frame, _ in traceback.walk_tb(trace):
        if frame.f_code.co_name == "_apply_overrides_to_config":
            return str(frame.f_locals["override"].input_line)
    return None


def _options(group: str, option: str) -> str:
    return did_you_mean(option, groups().get(group, []))


def _nearest_key(key: str) -> str:
    return did_you_mean(key, groups()) if "." not in key else ""


@contextmanager
def readable_errors() -> Iterator[None]:
    """Errors that are meant for the user end the program with their message alone, others with
    their stack trace.
    """
    try:
        check_ranks()
        yield
    except Exception as raised:
        error = in_our_words(raised)
        if WANTED == "1" or not isinstance(error, FORESEEN):
            raise
        # all processes that torchrun or Slurm start check the same config
        if is_first_process() or not isinstance(error, ConfigError) or not started_alike():
            show(error)
        sys.exit(2)


def show(error: BaseException) -> None:
    """Prints an error: one message where it was foreseen, the stack trace where it was not; once in
    all processes.
    """
    if isinstance(error, FollowedError):
        return
    if isinstance(error, PolymodalError):
        # an error in a loading process comes with its stack trace as text, and its message at the
        # end
        message = str(error).rpartition(f"polymodal.errors.{type(error).__name__}: ")[2].strip()
        print(f"error: {mask_text(message)}", file=sys.stderr)
    elif isinstance(error, HydraException | OmegaConfBaseException):
        print(f"error: {mask_text(explain(error))}", file=sys.stderr)
    else:
        print(mask_text("".join(traceback.format_exception(error))), file=sys.stderr)
