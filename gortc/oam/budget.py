"""How much is logged: who makes noise is told as a number, and hides nobody else. docs/operations.md, "How much"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from gortc.admission.limits import Rate
from gortc.jsip.meter import SLACK

Key = TypeVar("Key")

TOLD: Final = 1.0
"""So often, in seconds, is told what was left out."""


class Buckets(Generic[Key]):
    """A token bucket a key, kept as in `gortc.jsip.meter`, on a clock that is given: the log's own never stops."""

    def __init__(self) -> None:
        self._full_at: dict[Key, float] = {}

    def __len__(self) -> int:
        """How many were not full, lately."""
        return len(self._full_at)

    def has(self, key: Key, now: float, rate: Rate, size: int = 1) -> bool:
        """Whether it has `size` tokens."""
        return (
            max(self._full_at.get(key, now), now) + size / rate.per_second <= now + rate.burst / rate.per_second + SLACK
        )

    def take(self, key: Key, now: float, rate: Rate, size: int = 1) -> None:
        """Take them."""
        self._full_at[key] = max(self._full_at.get(key, now), now) + size / rate.per_second

    def sweep(self, now: float) -> None:
        """Drop the rows of those that are full."""
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]


class Budget:
    """Lines of a kind by its `rate`, and of each source within it (a channel, an address) by `each`, which is less.

    Only a line that is let through makes a row, so there are no more rows than lines while a source's bucket fills.
    `told(kind, number)` logs how many were left out. Times are on a clock of the caller's, in seconds.
    """

    def __init__(self, rate: Rate, each: Rate, told: Callable[[str, int], None]) -> None:
        self.rate = rate
        self.each = each
        self._told = told
        self._kinds: Buckets[str] = Buckets()
        self._sources: Buckets[tuple[str, str]] = Buckets()
        self._left_out: Counter[str] = Counter()
        self._tells_at = 0.0

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._kinds) + len(self._sources) + len(self._left_out)

    def admits(self, now: float, kind: str, source: str = "") -> bool:
        """Whether a line of this kind may be written; `source` is empty where it has none."""
        self.tell(now)
        row = (kind, source)
        if not self._kinds.has(kind, now, self.rate) or (source and not self._sources.has(row, now, self.each)):
            self.leave_out(now, kind)
            return False
        self._kinds.take(kind, now, self.rate)
        if source:
            self._sources.take(row, now, self.each)
        return True

    def leave_out(self, now: float, kind: str) -> None:
        """A line of `kind` is not written."""
        if not self._left_out:
            self._tells_at = now + TOLD
        self._left_out[kind] += 1

    def tell(self, now: float) -> None:
        """Say what was left out, once it is time to, and forget who is quiet."""
        if now < self._tells_at:
            return
        self._tells_at = now + TOLD
        self._kinds.sweep(now)
        self._sources.sweep(now)
        left_out, self._left_out = self._left_out, Counter()
        for kind, number in left_out.items():
            self._told(kind, number)
