"""How long calls take to come up: counted where it happens, at the price of one addition."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

BOUNDS: Final[tuple[float, ...]] = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
"""The buckets of the histogram: up to so many seconds each."""
PER_SECOND: Final = 200.0
"""So many ticks has a second: each of the bounds is a whole number of them."""
MOST: Final = 24000
"""So many ticks are counted one by one; what takes longer is one more."""


class Delays:
    """`total` is the sum of all, in seconds."""

    def __init__(self) -> None:
        self.total = 0.0
        self._ticks = [0] * (MOST + 2)

    def add(self, seconds: float) -> None:
        """One more."""
        self.total += seconds
        ticks = seconds * PER_SECOND
        tick = int(ticks)
        if tick < ticks:  # up to and including
            tick += 1
        self._ticks[tick if tick <= MOST else MOST + 1] += 1

    def buckets(self) -> list[int]:
        """How many fell into each bucket, and how many beyond the last."""
        edges = [0, *(round(bound * PER_SECOND) + 1 for bound in BOUNDS), MOST + 2]
        return [sum(self._ticks[begin:end]) for begin, end in pairwise(edges)]
