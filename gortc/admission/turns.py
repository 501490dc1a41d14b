"""Turns: for what only few can have at a time. Addresses take turns, so that none waits for another's many."""

from __future__ import annotations

from collections import Counter, OrderedDict
from functools import partial
from typing import Final

from twisted.internet.defer import Deferred

from gortc.admission.interfaces import Refused

KNOWN_MAX: Final = 10_000
"""Of so many keys is known what came of their last turn."""

RIGHT: Final = 0
UNKNOWN: Final = 1
WRONG: Final = 2
"""Who comes first: whose last turn has shown that he is right, whom nobody knows, whose last turn was in vain."""


class Turns:
    """`most` at a time, `each` of one key at most; `waiting_max` wait in all.

    Whose key has the fewest turns at that time comes first; such keys are served in a circle, and each key's own in the
    order in which they came. Before that, what came of a key's last turn counts: who guesses, from however many
    addresses, keeps nobody waiting who has been right. Where more would wait, the last one goes of the key that is
    worst, and has most who wait.
    """

    def __init__(self, most: int, each: int, waiting_max: int) -> None:
        self._most = most
        self._each = each
        self._waiting_max = waiting_max
        self._running: Counter[str] = Counter()
        self._known: OrderedDict[str, int] = OrderedDict()  # the one that was heard of last is the last
        self._all = 0
        self._waiting: dict[str, dict[Deferred[None], None]] = {}  # the next key first
        self._length = 0
        self._serving = False

    def __len__(self) -> int:
        """How many wait."""
        return self._length

    def take(self, key: str) -> Deferred[None]:
        """Fires when it is its turn; `end` must follow. Cancelling it gives up the place. Fails with Refused where too
        many wait."""
        place: Deferred[None] = Deferred(partial(self._drop, key))
        if self._all < self._most and self._running[key] < self._each and key not in self._waiting:
            self._begin(key, place)
            return place
        places = self._waiting.setdefault(key, {})
        places[place] = None
        self._length += 1
        if self._length > self._waiting_max:
            most = max(self._waiting, key=self._burden)
            if self._burden(most) == self._burden(key):
                most = key
            last = next(reversed(self._waiting[most]))
            self._drop(most, last)
            last.errback(Refused(503, "nobody can tell who you are now", f"{self._length} others wait"))
        return place

    def end(self, key: str, right: bool | None = None) -> None:
        """Its turn is over; whether it has shown that it is right, None where nobody can tell."""
        if right is not None:
            self._known[key] = RIGHT if right else WRONG
            self._known.move_to_end(key)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        self._all -= 1
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        if self._serving:  # a turn was over at once; the loop below goes on
            return
        self._serving = True
        while self._all < self._most and (following := self._next()) is not None:
            place = next(iter(self._waiting[following]))
            self._drop(following, place)
            self._begin(following, place)
        self._serving = False

    def _burden(self, key: str) -> tuple[int, int]:
        return self._known.get(key, UNKNOWN), len(self._waiting[key])

    def _begin(self, key: str, place: Deferred[None]) -> None:
        self._all += 1
        self._running[key] += 1
        place.callback(None)

    def _next(self) -> str | None:
        """The next key that may have a turn: of the best, one that has the fewest now; it goes to the end of the
        circle."""
        following, least = None, (WRONG, self._each)
        for key in self._waiting:
            rank = (self._known.get(key, UNKNOWN), self._running[key])
            if rank[1] < self._each and rank < least:
                following, least = key, rank
            if least == (RIGHT, 0):
                break
        if following is not None:
            self._waiting[following] = self._waiting.pop(following)
        return following

    def _drop(self, key: str, place: Deferred[None]) -> None:
        """`place` waits no longer."""
        places = self._waiting[key]
        del places[place]
        self._length -= 1
        if not places:
            del self._waiting[key]
