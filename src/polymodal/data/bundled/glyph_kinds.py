"""The kind of a character (script or sort of symbol), read off its Unicode name: classes for
zero-shot.
"""

from __future__ import annotations

import re
import unicodedata

KINDS: dict[str, str] = {
    "box drawing": r"BOX DRAWINGS ",
    "braille pattern": r"BRAILLE PATTERN ",
    "canadian syllabics": r"CANADIAN SYLLABICS ",
    "combining mark": r"COMBINING ",
    "domino tile": r"DOMINO TILE ",
    "playing card": r"PLAYING CARD ",
    "hexagram": r"HEXAGRAM ",
    "tetragram": r"TETRAGRAM ",
    "chess piece": r"(WHITE|BLACK) CHESS ",
    "mathematical alphanumeric": (
        r"MATHEMATICAL .*(SMALL|CAPITAL|DIGIT|NABLA|SYMBOL)|DOUBLE-STRUCK |SCRIPT "
    ),
    "arrow": r".*\b(ARROW|ARROWS|ARROWHEAD|HARPOON|HARPOONS)\b",
    "modifier letter": r"MODIFIER LETTER ",
    "arabic letter": r"ARABIC LETTER ",
    "armenian letter": r"ARMENIAN (SMALL|CAPITAL) ",
    "cyrillic letter": r"CYRILLIC (SMALL |CAPITAL )?(LETTER|LIGATURE) ",
    "georgian letter": r"GEORGIAN (SMALL |CAPITAL )?LETTER ",
    "greek letter": r"GREEK (SMALL |CAPITAL )?LETTER ",
    "hebrew letter": r"HEBREW LETTER ",
    "latin letter": r"LATIN (SMALL |CAPITAL )?(LETTER|LIGATURE) ",
    "lisu letter": r"LISU LETTER ",
    "tifinagh letter": r"TIFINAGH LETTER ",
    "circled character": r"(NEGATIVE |DOUBLE |DINGBAT )?(NEGATIVE )?CIRCLED ",
    "face": r".*\bFACE\b",
}
"""Kind -> pattern at the start of the name; the first that fits counts."""

OPERATOR = "mathematical operator"
"""The kind of what no pattern names but Unicode files under "symbol, mathematical" (Sm)."""

KIND_NAMES: list[str] = [*KINDS, OPERATOR]

SCRIPT_NAMES: list[str] = [
    "canadian syllabics",
    *(
        kind.removesuffix(" letter")
        for kind in KINDS
        if kind.endswith(" letter") and kind != "modifier letter"
    ),
]
"""The kinds that are scripts."""


def kind_of(character: str) -> int:
    """Index into `KIND_NAMES`, or -1 for a character of no listed kind.

    >>> KIND_NAMES[kind_of("é")]
    'latin letter'
    """
    name = unicodedata.name(character)
    for index, pattern in enumerate(KINDS.values()):
        if re.match(pattern, name):
            return index
    return len(KINDS) if unicodedata.category(character) == "Sm" else -1


def script_of(kind: int) -> int:
    """Index of a kind -> index into `SCRIPT_NAMES`, or -1 for what is no script."""
    name = KIND_NAMES[kind].removesuffix(" letter") if kind >= 0 else ""
    return SCRIPT_NAMES.index(name) if name in SCRIPT_NAMES else -1
