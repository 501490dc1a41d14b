"""How long calls take to come up: a histogram, counted where it happens."""

from __future__ import annotations

from typing import Final

BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
"""Up to so many seconds each bucket counts; the last one, that is not here, counts the rest."""


class Delays:
    """`buckets` has how many fell into each, `total` the sum of all, in seconds."""

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        bucket = 0
        for bound in BOUNDS:
            if seconds <= bound:
                break
            bucket += 1
        self.buckets[bucket] += 1
        self.total += seconds
