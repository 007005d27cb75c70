"""The commands that a page gives."""

import re
from pathlib import Path

BLOCK = re.compile(r"```bash\n(.*?)```", flags=re.DOTALL)
INDENTED = re.compile(r"^ {4}(python \S+\.py.*)$", flags=re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def commands_of(page: Path) -> list[str]:
    """The lines of its bash blocks, without comments."""
    lines = (line for block in BLOCK.findall(page.read_text()) for line in block.splitlines())
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


def indented_commands_of(page: Path) -> list[str]:
    """Python commands that stand in blocks without a language."""
    return [line.split(" #")[0].strip() for line in INDENTED.findall(page.read_text())]


def tabled_commands_of(page: Path) -> list[str]:
    """What the last column of its tables gives to type: whole commands, or words for
    src/train.py."""
    rows = [line for line in page.read_text().splitlines() if line.startswith("|")]
    spans = [span for row in rows for span in CODE.findall(row.rstrip("| ").rpartition("|")[2])]
    starts = ("python ", "torchrun ")
    return [
        span if span.startswith(starts) else f"python src/train.py {span}"
        for span in spans
        if "=" in span
    ]
