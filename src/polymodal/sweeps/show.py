"""The table of runs on a screen, as wide as that is: what they share is said once, few runs are
columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from polymodal.config.secrets import mask

Cells = Mapping[str, str]

FEW = 8
"""Runs that may be columns: with more of them a person compares down a column, not along a row."""

LONG = 16
"""Letters of a run's name from which on it has a number, and stands below the table."""


def show(title: str, rows: Sequence[Cells], details: Sequence[Cells] = ()) -> None:
    """Prints rows as a table that the screen has room for.

    Args:
        title: stands above it; brackets are no markup.
        rows: column -> text; the first column names a row.
        details: the same rows with more columns, for few runs, which are columns then.
    """
    console = Console()
    for parts in _layouts(title, rows, details):
        if _width(console, parts[0]) <= console.width:
            break
    for part in parts:
        console.print(part)


def _layouts(
    title: str, rows: Sequence[Cells], details: Sequence[Cells]
) -> Iterator[list[Table | Text]]:
    """The same, from the one that says most to the one that needs least room."""
    if details and len(details) <= FEW:
        yield _turned(title, details)
    yield _plain(title, rows, short=False)
    # metrics are the last columns, so that settings are left out first
    for count in range(max(1, len(apart(rows)[0]) - 1)):
        yield _plain(title, rows, short=True, without=count)


def _plain(title: str, rows: Sequence[Cells], short: bool, without: int = 0) -> list[Table | Text]:
    """A row a run, and below it what all have in common; `without` so many columns after the
    first.
    """
    columns, same = apart(rows)
    left_out, columns = columns[1 : 1 + without], [columns[0], *columns[1 + without :]]
    # Text: [csv] is a value here, and no style
    table = Table(title=Text(title), title_justify="left")
    names = short_names(columns) if short else columns
    for name in names:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*[_cell(row, column) for column in columns])
    missing = f"No room for {', '.join(left_out)}: widen the terminal, or see the sweep's page."
    return [table, *_said(same), *([Text(missing)] if left_out else [])]


def _turned(title: str, rows: Sequence[Cells]) -> list[Table | Text]:
    """A column a run, and below the table what all have in common, and the names that are too long
    for a column.
    """
    columns, same = apart(rows)
    head, *rest = columns
    names = [row.get(head, "") for row in rows]
    is_long = any(len(name) > LONG for name in names)
    shown = [str(number) for number in range(1, len(names) + 1)] if is_long else names
    table = Table(title=Text(title), title_justify="left")
    table.add_column(Text(head), overflow="fold")
    for name in shown:
        table.add_column(Text(name), justify="right", overflow="fold")
    for column in rest:
        table.add_row(Text(column), *[_cell(row, column) for row in rows])
    legend = (
        [Text(f"{number} is {name}") for number, name in zip(shown, names, strict=True)]
        if is_long
        else []
    )
    return [table, *_said(same), *legend]


def apart(rows: Sequence[Cells]) -> tuple[list[str], dict[str, str]]:
    """The columns in which rows differ, the first one always; and what is the same in all rows of
    several.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    values = {column: {row.get(column, "") for row in rows} for column in columns}
    same = [column for column in columns[1:] if len(rows) > 1 and len(values[column]) == 1]
    return [column for column in columns if column not in same], {
        column: rows[0][column] for column in same
    }


def short_names(columns: Sequence[str]) -> list[str]:
    """`encoder.text.width` -> `width`, `best val/recall@1` -> `best recall@1`, while they stay
    different.
    """
    shortened = []
    for column in columns:
        short = column.replace("best val/", "best ")
        shortened.append(short if "/" in short or "@" in short else short.rpartition(".")[2])
    return [
        short if shortened.count(short) == 1 else column
        for short, column in zip(shortened, columns, strict=True)
    ]


def _said(same: Cells) -> list[Text]:
    values = [f"{column} {value}".strip() for column, value in same.items() if value]
    return [Text(mask(f"In all of them: {', '.join(values)}"))] if values else []


def _cell(row: Cells, column: str) -> Text:
    return Text(mask(row.get(column, "")))


def _width(console: Console, part: Table | Text) -> int:
    """Columns that it would take with no cell folded."""
    options = console.options.update(width=10_000)
    return Measurement.get(console, options, part).maximum
