"""`key=value` arguments of the scripts."""

from __future__ import annotations

import sys
from collections.abc import Mapping


def arguments(doc: str | None, defaults: Mapping[str, str]) -> dict[str, str]:
    """The settings of a command line; `--help` prints the script's docstring, an unknown key ends it."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(doc)
        sys.exit(0)
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if unknown := set(given) - set(defaults):
        sys.exit(f"error: {', '.join(sorted(unknown))}: the settings are {', '.join(defaults)}.")
    return {**defaults, **given}
