"""Pages in one file: styles and scripts are within, text is escaped, and nothing is asked of a network."""

from __future__ import annotations

import math
import secrets
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.report.style import COLOURS


def number(value: float, places: int | None = None) -> str:
    """Four digits, or a whole number.

    Args:
        value: any number.
        places: behind the point, where the number has one digit before it.
    """
    if not math.isfinite(value):
        return ""
    if places is not None and abs(value) < 10:
        return f"{value:.{places}f}"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def render(template: str, **content: Any) -> str:
    """A page.

    Args:
        template: file of `templates/`.
        content: what it shows. Whatever it is, it is escaped: also within JSON, `'{{ x|tojson }}'`.
    """
    loader = PackageLoader("polymodal.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = number

    def asset(name: str) -> Markup:
        """A file of ours as it is, without the line that names its home: a page has no address in it."""
        lines = loader.get_source(environment, name)[0].splitlines()
        return Markup("\n".join(line for line in lines if not line.startswith("/*!")))  # noqa: S704

    environment.globals |= {"asset": asset, "colours": COLOURS, "nonce": secrets.token_hex(16)}
    return environment.get_template(template).render(**content)
