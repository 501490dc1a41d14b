"""Runs a command's coroutine in the reactor, to its exit status."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react


def run(command: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    """The exit status of `command(reactor)`. An interrupt ends it with 1."""
    statuses: list[int] = []

    async def whole(reactor: Any) -> None:
        statuses.append(await command(reactor))

    try:
        react(lambda reactor: ensureDeferred(whole(reactor)))
    except SystemExit as end:
        return statuses[0] if statuses else int(end.code or 1)
