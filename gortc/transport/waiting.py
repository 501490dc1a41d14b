"""What waits for a peer that is away, or does not read. docs/jsip.md section 1, "While the peer is away"."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gortc.jsip.layers import Channel
    from gortc.jsip.message import Request

Entry = tuple[bytes, "Request | None", "Channel | None", bool]
"""Its text; what it is where it is a request, for all that is needed of a response is in its text; who has asked for
it; and whether it has been sent before, on a connection that was lost."""


class Waiting:
    """The messages, in their order. `size` is what they take, in bytes; of the `fresh` ones, which have not been sent
    before, `fresh_size`. In a share each counts `least` bytes at the least."""

    __slots__ = ("_entries", "_least", "_shares", "fresh", "fresh_size", "size")

    def __init__(self, least: int) -> None:
        self.size = self.fresh_size = self.fresh = 0
        self._entries: deque[Entry] = deque()
        self._least = least
        self._shares: dict[Channel, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def share(self, asker: Channel) -> int:
        """So much of it `asker` has asked for."""
        return self._shares.get(asker, 0)

    def add(self, data: bytes, request: Request | None, asker: Channel | None) -> None:
        """One more, behind all others."""
        entry = (data, request, asker, False)
        self._entries.append(entry)
        self._count(entry, 1)

    def add_before(self, missed: list[bytes]) -> None:
        """The peer has missed these, which come before all others."""
        for data in reversed(missed):
            entry = (data, None, None, True)
            self._entries.appendleft(entry)
            self._count(entry, 1)

    def first(self) -> Entry:
        """The next to be sent."""
        return self._entries[0]

    def take(self) -> Entry:
        """The same, and it waits no longer."""
        entry = self._entries.popleft()
        self._count(entry, -1)
        return entry

    def remove(self, entry: Entry) -> None:
        """It is not to be sent."""
        self._entries.remove(entry)
        self._count(entry, -1)

    def of(self, request: Request) -> Entry | None:
        """Where `request` waits."""
        for entry in self._entries:
            if entry[1] is request:
                return entry
        return None

    def _count(self, entry: Entry, sign: int) -> None:
        data, _, asker, again = entry
        size = len(data)
        self.size += sign * size
        if not again:
            self.fresh += sign
            self.fresh_size += sign * size
        if asker is None:
            return
        share = self._shares.get(asker, 0) + sign * max(size, self._least)
        if share:
            self._shares[asker] = share
        else:
            self._shares.pop(asker, None)
