"""What gortcctl prints for people: rows as tables, the rest as names and values.

Peers choose much of what a server tells. It is printed as it is, but for what a terminal would obey, which is escaped
as in JSON; and it is no markup of Rich's, nor an emoji's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gortc.printable import printable, printable_lines


def show(answer: Any, console: Console) -> None:
    """Print an answer."""
    if isinstance(answer, str):
        console.out(printable_lines(answer), end="", highlight=False)
        return
    for part in parts(answer):
        console.print(part)
    if answer.get("more"):
        console.print("there are more: --offset, --limit")


def parts(answer: Mapping[str, Any]) -> Iterator[RenderableType]:
    """What an answer looks like."""
    plain = {name: value for name, value in answer.items() if name not in ("code", "msg")}
    tables = {name: value for name, value in plain.items() if is_rows(value)}
    values = {name: value for name, value in plain.items() if name not in tables and name != "more"}
    if values:
        grid = Table(show_header=False, box=None)
        for name, value in flat(values):
            grid.add_row(*cells(name, value))
        yield grid
    for name, rows in tables.items():
        table = titled(*rows[0], title=Text(printable(name)), title_justify="left")
        for row in rows:
            table.add_row(*cells(*(text(value, column) for column, value in row.items())))
        yield table


def titled(*columns: str, **more: Any) -> Table:
    """A table with these columns."""
    table = Table(box=None, header_style="bold", **more)
    for column in columns:
        table.add_column(Text(printable(column)))
    return table


def cells(*texts: str) -> list[Text]:
    """A row: Rich leaves a Text as it is."""
    return [Text(printable(text)) for text in texts]


def is_rows(value: Any) -> bool:
    """Whether it is a table."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Names and values, those inside of others with dots."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{before}{name}.")
        else:
            rows.append((f"{before}{name}", text(value, name)))
    return rows


def text(value: Any, name: str = "") -> str:
    """A value, as text."""
    if value is None:
        return "-"
    if name == "loaded_at" and isinstance(value, (int, float)):
        return datetime.fromtimestamp(value).isoformat(sep=" ", timespec="seconds")
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
