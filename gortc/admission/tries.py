"""Tries: how often an address may fail to say who it is.

A failure is counted before anybody is asked, and taken back where it was none: who tries many at once gets no further
than who tries one after the other. Who comes when all are taken waits for those of its address that are being asked
about, for they may be right: many may be behind one address. They wait in their opening handshake, whose limits hold.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred

from gortc.admission.interfaces import Refused
from gortc.jsip.meter import Meter, renewed
from gortc.jsip.timers import Timers

AT_ONCE: Final = 16
"""So many are served in one turn of the reactor: each costs an HTTP answer, and others wait for the reactor."""


class TooMany(Refused):
    """429 (RFC 6585 section 4), and after how many seconds another try may be made."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(429, reason)
        self.wait = wait


class _Home:
    """Those of one address: how many are being asked about, and who waits, the oldest first."""

    __slots__ = ("asked", "served", "waiting")

    def __init__(self) -> None:
        self.asked = 0
        self.served = False
        self.waiting: dict[Deferred[None], None] = {}

    def leave(self, place: Deferred[None]) -> None:
        """It has gone."""
        self.waiting.pop(place, None)


class Tries:
    """Of all addresses; one that nobody tries at has no row."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._failures: Meter | None = None
        self._homes: dict[str, _Home] = {}

    def configure(self, rate: Any) -> None:
        """How many failures an address may have: a `gortc.admission.limits.Rate`, None for no limit."""
        self._failures = renewed(self._failures, self._timers, rate)

    def __len__(self) -> int:
        """How many addresses somebody tries at."""
        return len(self._homes)

    async def begin(self, home: str) -> None:
        """One more try of `home`, at its turn; `end` must follow. Raises TooMany."""
        row = self._homes.get(home)
        if row is None:
            row = self._homes[home] = _Home()
        place: Deferred[None] = Deferred(row.leave)
        row.waiting[place] = None
        self._serve(home, row)
        await place

    def end(self, home: str, failed: bool) -> None:
        """It is known what came of it."""
        row = self._homes[home]
        row.asked -= 1
        if not failed and self._failures is not None:
            self._failures.give_back(home)
        self._serve(home, row)

    def _serve(self, home: str, row: _Home) -> None:
        if row.served:  # whoever was served has ended at once, or it goes on in the next turn
            return
        row.served = True
        served = 0
        while row.waiting:
            if served == AT_ONCE:
                self._timers.clock.callLater(0, self._go_on, home, row)
                return
            wait = 0.0 if self._failures is None else self._failures.take(home)
            if wait > 0.0 and row.asked:
                break
            place = next(iter(row.waiting))
            del row.waiting[place]
            served += 1
            if wait > 0.0:
                place.errback(TooMany("too many failures from your address", wait))
            else:
                row.asked += 1
                place.callback(None)
        row.served = False
        if not row.asked:
            del self._homes[home]

    def _go_on(self, home: str, row: _Home) -> None:
        row.served = False
        self._serve(home, row)
