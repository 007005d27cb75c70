"""Bars are as long as their numbers, and names are no HTML."""

import re

from polymodal.demo.bars import bars, percent, points


def lengths(html: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", html)]


def test_bars_are_parts_of_the_whole() -> None:
    html = bars({"a": 0.72, "b": 0.28}, percent, 1.0)
    assert lengths(html) == [(0, 72), (0, 28)]
    assert "72.0 %" in html
    assert "28.0 %" in html


def test_negative_bars_go_the_other_way() -> None:
    html = bars({"up": 0.3, "down": -0.1}, points)
    assert lengths(html) == [(25, 75), (0, 25)]
    assert "+30.0" in html
    assert "-10.0" in html
    assert lengths(bars({"nothing": 0.0}, percent)) == [(0, 0)]


def test_names_are_escaped() -> None:
    assert "&lt;script&gt;" in bars({"<script>": 1.0}, percent)
    assert "<script>" not in bars({"<script>": 1.0}, percent)
