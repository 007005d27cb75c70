"""`key=value` arguments of the scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from polymodal.config.command_line import check_words, home
from polymodal.errors import ConfigError


def arguments(doc: str | None, defaults: Mapping[str, str]) -> dict[str, str]:
    """The settings of a command line; `--help` prints the script's docstring, an unknown key ends
    it.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(doc)
        sys.exit(0)
    given = key_values()
    if unknown := set(given) - set(defaults):
        sys.exit(f"error: {', '.join(sorted(unknown))}: the settings are {', '.join(defaults)}.")
    return {**defaults, **given}


def key_values() -> dict[str, str]:
    """Key -> value of a command line; a word that is no key=value, or a key with two values, ends
    the script.
    """
    words = sys.argv[1:]
    if options := [word for word in words if word.startswith("-")]:
        sys.exit(f"error: {options[0]}: arguments are key=value. --help lists them.")
    try:
        check_words(words)
    except ConfigError as error:
        sys.exit(f"error: {error}")
    return {key: home(value) for key, _, value in (word.partition("=") for word in words)}


def last_of_each(*words: str) -> list[str]:
    """`key=value` words, of each key the last: a command takes a key once."""
    return [f"{key}={value}" for key, value in dict(word.split("=", 1) for word in words).items()]
