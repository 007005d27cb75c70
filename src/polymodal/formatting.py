"""Numbers and times as a person reads them."""

from __future__ import annotations

import math

LARGEST = 1e15
"""Larger numbers have an exponent, as have those below 0.001."""

NOTHING = 1e-9
"""Smaller numbers are what is left of a rounding: 0."""


def readable(value: float, digits: int = 4) -> str:
    """A number in a few digits: 0.0341, 3.159, 104.2, 6,320, and 7e-05.

    Whole numbers have all of their digits, and no point. What is smaller than 1 has as many places
    as `digits`, so that a column of shares is even, or more where fewer than three digits would be
    left.

    Args:
        value: any number.
        digits: of a number that is larger than 1.
    """
    if not math.isfinite(value):
        return str(value)
    if abs(value) < NOTHING:
        return "0"
    # rounded first: 999.96 has the places of 1,000
    order = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if order < -3 or abs(value) >= LARGEST:
        return f"{value:.3g}"
    if value == int(value):
        return f"{value:,.0f}"
    places = digits - 1 - order if order >= 0 else max(digits, 2 - order)
    return f"{value:,.{max(0, places)}f}"


def signed(value: float) -> str:
    """A difference: +3.159, -6,320."""
    return f"{'+' if value > 0 else ''}{readable(value)}"


def duration(seconds: float) -> str:
    """A time: 2.5 s, 45 s, 1 min 46 s, 1 h 20 min."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def in_table(value: float) -> str:
    """A value of a table or a setting in six digits, which float32 holds of it; without zeros
    behind the point.
    """
    text = readable(float(f"{value:.6g}"), digits=6)
    if "." not in text or "e" in text:
        return text
    return text.rstrip("0").rstrip(".")
