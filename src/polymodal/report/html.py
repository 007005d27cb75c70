"""Pages in one file: styles and scripts are within, text is escaped, and nothing is loaded from a
network.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polymodal.formatting import duration, readable
from polymodal.report.style import COLOURS


def cell(value: float, digits: int = 4) -> str:
    """A number in a few digits; nothing for NaN."""
    return readable(value, digits) if math.isfinite(value) else ""


def render(template: str, **content: Any) -> str:
    """A page.

    Args:
        template: file of `templates/`.
        content: what it shows. Whatever it is, it is escaped: also within JSON, `'{{ x|tojson }}'`.
    """
    loader = PackageLoader("polymodal.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": cell, "duration": duration}

    def asset(name: str) -> Markup:
        """A file of ours as it is, without the line that names its home: a page has no address in
        it.
        """
        lines = loader.get_source(environment, name)[0].splitlines()
        return Markup("\n".join(line for line in lines if not line.startswith("/*!")))  # noqa: S704

    environment.globals |= {"asset": asset, "colours": COLOURS, "nonce": secrets.token_hex(16)}
    return environment.get_template(template).render(**content)
