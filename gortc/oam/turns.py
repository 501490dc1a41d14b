"""Long work of the management API, a bit of it a turn of the reactor: calls go on meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

from twisted.internet.task import deferLater

Item = TypeVar("Item")


async def in_turns(items: Iterable[Item], reactor: Any, at_once: int) -> AsyncIterator[Item]:
    """These, `at_once` a turn. Nothing that changes meanwhile may be behind them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % at_once == 0:
            await deferLater(reactor, 0)
