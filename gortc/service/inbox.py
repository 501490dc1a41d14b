"""What waits until a service reads it, one by one: the legs that join a call, the requests of a leg."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from gortc.service.outcome import Outcome

Item = TypeVar("Item")


class Inbox(Generic[Item]):
    """A queue with one reader. `fresh(item)` tells whether an item is still worth reading when its turn comes."""

    def __init__(self, fresh: Callable[[Item], bool]) -> None:
        self._fresh = fresh
        self._items: deque[Item] = deque()
        self._reader: Outcome[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """One more. What is not worth reading any more goes: nobody may ever come for it."""
        while self._items and not self._fresh(self._items[0]):
            self._items.popleft()
        self._items.append(item)
        self.wake()

    def wake(self) -> None:
        """Let the reader look again: something has come, or nothing will any more."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.callback(None)

    async def read(self, over: Callable[[], bool]) -> AsyncIterator[Item]:
        """The items as they come, until it is `over`."""
        while True:
            while self._items:
                item: Item | None = self._items.popleft()
                if item is not None and self._fresh(item):
                    yield item
                item = None  # the reader has it, and nobody else need
            if over():
                return
            self._reader = Outcome()
            await self._reader
