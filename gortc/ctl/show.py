"""What gortcctl prints for people: rows as tables, the rest as names and values; as they are, without any markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table


def show(answer: Any, console: Console) -> None:
    """Print an answer."""
    if isinstance(answer, str):
        console.print(answer, end="", markup=False, highlight=False)
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
            grid.add_row(name, value)
        yield grid
    for name, rows in tables.items():
        table = Table(*rows[0], title=name, box=None, title_justify="left", header_style="bold")
        for row in rows:
            table.add_row(*(text(value, column) for column, value in row.items()))
        yield table


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
    """A value in a table; no markup, whoever has chosen it."""
    if value is None:
        return "-"
    if name == "loaded_at" and isinstance(value, (int, float)):
        return datetime.fromtimestamp(value).isoformat(sep=" ", timespec="seconds")
    shown = (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else "?" for char in shown)
