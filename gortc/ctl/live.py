"""What gortcctl shows as it happens: `top`, and `trace`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import count, islice
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live

from gortc.client.ladder import label
from gortc.ctl.client import Client
from gortc.ctl.show import cells, text, titled
from gortc.printable import printable, printable_lines

FIGURES = (
    "calls_a_minute", "sessions", "transactions", "tasks", "timers", "channels", "connected", "connections", "load",
    "lag", "overload",
)  # fmt: skip
"""Of the status, in this order."""


def top(client: Client, console: Console, seconds: float, rounds: int | None, as_json: bool) -> None:
    """The status, the services, and what was counted since the last look, every so many seconds."""
    before: dict[str, int] = {}
    looks = count() if rounds is None else range(rounds)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for number in looks:
            if number:
                time.sleep(seconds)
            status, services = client.ask("GET", "/runtime/v1/jstack"), client.ask("GET", "/slpm/v1/slps")["slps"]
            if as_json:
                live.console.out(printable_lines(json.dumps({"status": status, "services": services})), highlight=False)
                continue
            live.update(screen(status, services, before), refresh=True)
            before = status["counts"]


def screen(status: dict[str, Any], services: list[dict[str, Any]], before: dict[str, int]) -> RenderableType:
    """One look. `before` are the counts of the look before."""
    figures = titled(*FIGURES)
    figures.add_row(*cells(*(text(status.get(name)) for name in FIGURES)))
    rows = titled("service", "version", "instances", "total", "failures")
    for row in sorted(services, key=lambda row: -row["instances"]):
        name = f"{row['name']} (retired)" if row["retired"] else row["name"]
        told = (name, row["version"], row["instances"], row["total"], row["failures"])
        rows.add_row(*cells(*map(text, told)))
    counts = titled("event", "in all", "since")
    for reason, number in sorted(status["counts"].items()):
        since = number - before.get(reason, 0) if before else None
        counts.add_row(*cells(reason, text(number), text(since)))
    return Group(figures, "", rows, "", counts) if status["counts"] else Group(figures, "", rows)


def trace(client: Client, party: str, show: Callable[[dict[str, Any]], None], rounds: int | None) -> None:
    """Show what a user or number says and hears, from now on, until it is interrupted."""
    for message in islice(messages(client, party), rounds):
        show(message)


def messages(client: Client, party: str) -> Iterator[dict[str, Any]]:
    """One after the other, as they come."""
    after = client.ask("GET", "/runtime/v1/messages", limit=1, party=party)["next"]
    while True:
        answer = client.ask("GET", "/runtime/v1/messages", party=party, after=after, limit=1000)
        yield from answer["messages"]
        after = answer["next"]
        time.sleep(0.5)


def line(said: dict[str, Any]) -> str:
    """A message on one line."""
    message = said["message"]
    clock = time.strftime("%H:%M:%S", time.localtime(said["time"]))
    return printable(
        f"{clock}.{int(said['time'] * 1000) % 1000:03} {said['from']} -> {said['to']}: {label(message)}"
        f" {message.get('Request-URI', '')} {message.get('DialogueID', '')} {message.get('CSeq', '')}"
    )
