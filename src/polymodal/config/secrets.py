"""Keeps the values of the environment's secrets out of files and off the terminal."""

from __future__ import annotations

import os
import re
from typing import Any

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)
SHORTEST = 6
"""Values shorter than this are no secrets: to replace them would garble the text."""


def mask(value: Any) -> Any:
    """The same containers and strings, each secret of the environment replaced by a reference to its variable."""
    if isinstance(value, dict):
        return {key: mask(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item) for item in value]
    if isinstance(value, str):
        for name, secret in os.environ.items():
            if len(secret) >= SHORTEST and SECRET_NAME.search(name) and secret in value:
                value = value.replace(secret, f"${{oc.env:{name}}}")
    return value
