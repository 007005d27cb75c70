"""Names with numbers and bars, as HTML that fits any width and both themes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

from polymodal.report.style import COLOURS

POSITIVE, NEGATIVE = COLOURS[0], COLOURS[2]

ROW = (
    '<div style="margin-bottom:0.7rem">'
    '<div style="display:flex;gap:1rem;justify-content:space-between">'
    '<span style="overflow-wrap:anywhere">{name}</span>'
    '<span style="white-space:nowrap;font-variant-numeric:tabular-nums">{number}</span></div>'
    '<div style="position:relative;height:0.5rem;border-radius:0.25rem;'
    'background:rgba(128,128,128,0.2)">'
    '<div style="position:absolute;height:100%;border-radius:0.25rem;'
    'left:{left:.2f}%;width:{width:.2f}%;background:{colour}"></div></div></div>'
)


def bars(values: Mapping[str, float], written: Callable[[float], str], full: float = 0.0) -> str:
    """A row a name, in this order: its name, its number, and a bar from zero to it.

    Args:
        values: name -> number; names are of the data, and are escaped.
        written: how a number is shown.
        full: the number of a whole bar; a larger value counts instead.
    """
    low, high = min(0.0, *values.values()), max(full, 0.0, *values.values())
    span = (high - low) or 1.0
    rows = [
        ROW.format(
            name=escape(name),
            number=escape(written(value)),
            left=100 * (min(0.0, value) - low) / span,
            width=100 * abs(value) / span,
            colour=POSITIVE if value >= 0 else NEGATIVE,
        )
        for name, value in values.items()
    ]
    return f'<div style="max-width:44rem">{"".join(rows)}</div>'


def percent(value: float) -> str:
    """0.7198 -> "72.0 %"."""
    return f"{100 * value:.1f} %"


def points(value: float) -> str:
    """0.0844 -> "+8.4": percentage points, with their sign."""
    return f"{100 * value:+.1f}"
