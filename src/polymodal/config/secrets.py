"""Keeps secrets out of files and off the terminal: those of the environment, and those that a
command gives.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from polymodal.addresses import SECRET, shown

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)
"""Variables of the environment that hold one."""

KEY = (
    r"(?:[\w-]*[_-])?(?:api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key|account[_-]?key|secret(?:[_-]\w+)?"
    r"|passw(?:or)?d|passphrase|pwd|authorization|credentials?|cookies?|connection[_-]?string|jwt"
    r"|(?:access|api|auth|bearer|client|hf|hub|id|personal|refresh|sas|security|session)[_-]?token)|token|key|auth"
)
"""The last part of settings that hold one, such as `logger.wandb.api_key`."""

ARGUMENT = re.compile(rf"([+~]*(?:[\w/@-]+\.)*(?:{KEY})=)(.+)", re.IGNORECASE)
SECRET_KEY = re.compile(rf"(?:{KEY})", re.IGNORECASE)
ASSIGNED = re.compile(
    rf"(?<![\w-])((?:{KEY})\s*=\s*)(?!value\b)(\"[^\"]*\"|'[^']*'|[^\s\"',}}\]]+)", re.IGNORECASE
)
LISTED = re.compile(
    rf"([{{,]\s*[\"']?(?:{KEY})[\"']?\s*:\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',}}\]][^,}}\]]*)",
    re.IGNORECASE,
)
BEARER = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
SHORTEST = 6
"""Values shorter than this are no secrets: to replace them would garble the text."""

_given: set[str] = set()
"""Secrets that settings of this process hold: a message may say them without their name."""


def members(node: Any) -> Iterable[tuple[Any, Any]]:
    """Key or index, and value, of a dictionary or a list; nothing of anything else."""
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list | tuple) else ()


def remember(config: Any) -> None:
    """Takes note of the secrets in settings, so that `mask` knows them wherever they turn up.

    Args:
        config: nested dictionaries and lists.
    """
    for key, value in members(config):
        if isinstance(value, dict | list):
            remember(value)
        elif _is_secret(key, value) and len(str(value)) >= SHORTEST:
            _given.add(str(value))


def mask(value: Any) -> Any:
    """The same containers and strings without secrets.

    One of the environment becomes a reference to its variable; one that is given as it is, by a
    setting whose name says so (`data.options.headers.Authorization`) or in a URL (`?token=`,
    `user:password@`), is gone.
    """
    if isinstance(value, dict):
        return {key: SECRET if _is_secret(key, item) else mask(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    return _masked(value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """A text of several lines without secrets, each line as `mask` has it."""
    return "\n".join(_masked(line) for line in text.split("\n"))


@contextmanager
def masked_arguments() -> Iterator[None]:
    """The command line of this process without secrets, for a while: loggers keep it."""
    before = list(sys.argv)
    sys.argv[:] = mask(before)
    try:
        yield
    finally:
        sys.argv[:] = before


def _is_secret(key: Any, value: Any) -> bool:
    """Whether a setting is one by its name; a reference to the environment is none."""
    held = (
        isinstance(value, str | int | float)
        and not isinstance(value, bool)
        and str(value).strip() not in ("", SECRET)
    )
    return (
        held and "${" not in str(value) and bool(SECRET_KEY.fullmatch(str(key).rpartition(".")[2]))
    )


def _masked(text: str) -> str:
    for name, secret in os.environ.items():
        if len(secret) >= SHORTEST and SECRET_NAME.search(name) and secret in text:
            text = text.replace(secret, f"${{oc.env:{name}}}")
    for secret in _given:
        text = text.replace(secret, SECRET)
    text = ARGUMENT.sub(_hidden, text) if ARGUMENT.fullmatch(text) else text
    text = BEARER.sub(rf"\1 {SECRET}", shown(text))
    if "\n" in text:  # a text of code is not to be garbled
        return text
    return LISTED.sub(_hidden, ASSIGNED.sub(_hidden, text))


def _hidden(found: re.Match[str]) -> str:
    start, value = found.groups()
    return found[0] if value.startswith(("${", SECRET)) else f"{start}{SECRET}"
