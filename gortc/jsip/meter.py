"""Meters: how much may come in a time. A token bucket is one number here: the time at which it is full again (ITU-T
I.371's GCRA), so a bucket that is full needs no row."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from gortc.jsip.timers import Timers

SLACK: Final = 1e-9
"""What floats lose on the way, in seconds."""


class Meter:
    """A token bucket a key: `per_second` tokens come, up to `burst`."""

    def __init__(self, timers: Timers, per_second: float, burst: int) -> None:
        self._now = timers.clock.seconds
        self.set(per_second, burst)
        self._full_at: dict[Hashable, float] = {}
        self._sweeps = timers.queue(self._depth, sweep)

    def set(self, per_second: float, burst: int) -> None:
        """How much it lets through from now on."""
        self._step = 1.0 / per_second
        self._depth = burst * self._step

    def __len__(self) -> int:
        """How many buckets were not full, lately."""
        return len(self._full_at)

    def wait(self, key: Hashable) -> float:
        """In how many seconds there will be a token of `key`; 0.0 where there is one."""
        now = self._now()
        late = max(self._full_at.get(key, now), now) + self._step - now - self._depth
        return late if late > SLACK else 0.0

    def take(self, key: Hashable) -> float:
        """Take a token of `key`. Returns 0.0, or, where there is none, the seconds until there is one."""
        late = self.wait(key)
        if late == 0.0:
            now = self._now()
            if not self._full_at:
                self._sweeps.start(self)
            self._full_at[key] = max(self._full_at.get(key, now), now) + self._step
        return late

    def spend(self, key: Hashable, number: int) -> float:
        """Take `number` tokens of `key`, also where there are none: what has come has come, and is waited for. Returns
        the seconds until the debt is paid, 0.0 where there is none."""
        now = self._now()
        if not self._full_at:
            self._sweeps.start(self)
        full_at = self._full_at[key] = max(self._full_at.get(key, now), now) + number * self._step
        return max(0.0, full_at - now - self._depth)

    def give_back(self, key: Hashable) -> None:
        """Put back a token of `key` that was taken and is not needed. No more come than without it."""
        full_at = self._full_at.get(key)
        if full_at is not None:  # else the bucket is full again; what is more than full is lost
            self._full_at[key] = full_at - self._step

    def sweep(self) -> None:
        """Drop the rows of buckets that are full."""
        now = self._now()
        for key in [key for key, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[key]
        if self._full_at:
            self._sweeps.start(self)


def sweep(meter: Meter) -> None:
    """No bucket is older than the time it takes to fill."""
    meter.sweep()


def renewed(meter: Meter | None, timers: Timers, rate: Any) -> Meter | None:
    """`meter` with another `rate` (`gortc.admission.limits.Rate`, or None for no limit)."""
    if rate is None:
        return None
    if meter is None:
        return Meter(timers, rate.per_second, rate.burst)
    meter.set(rate.per_second, rate.burst)
    return meter
