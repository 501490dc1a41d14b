"""Overload: what is done when there is more to do than can be done. docs/jsip.md section 6, "Turned away".

    calm --load above its high mark for a while, and things come late; or they come too late--> shedding
    shedding --nobody turned away for a while, both below their low marks--> calm

While it sheds, so many new sessions are let in as keep the load at its high mark, whatever is asked; the rest get 503.
(What Hilt and Widjaja call occupancy control, in "Controlling overload in networks of SIP servers", 2008.) Running
calls are not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

from gortc.jsip.gate import UNLIMITED, Gate
from gortc.jsip.layers import Journal
from gortc.jsip.timers import Timers

if TYPE_CHECKING:
    from gortc.settings import Settings

LOOK_EVERY: Final = 0.1
"""Between two looks, in seconds."""
WEIGHT: Final = 0.3
"""Of the latest look in the averages: a moment's work is no overload."""
BUSY: Final = 0.3
"""So many seconds at work without a break begin it, where there is a queue as well: without one there is just as much
to do as can be done. Who waits for longer has a crowd to turn away at once, and again when that crowd comes back."""
STEPS: Final = (0.7, 1.2)
"""By no more than this changes what is let in, from one look to the next."""

CALM = "calm"
SHEDDING = "shedding"

_log = Logger(namespace="gortc.overload")


class Overload:
    """Of one server. `load` is the part of its time that the reactor's thread has worked, `lag` by how many seconds
    what was due came late: averages. `state` is one of the above."""

    def __init__(
        self,
        gate: Gate,
        settings: Settings,
        timers: Timers,
        journal: Journal,
        worked: Callable[[], float] = thread_time,
    ) -> None:
        """`worked()` is the CPU time of this thread, in seconds."""
        self.state = CALM
        self.load = 0.0
        self.lag = 0.0
        self._gate = gate
        self.settings = settings
        self._timers = timers
        self._journal = journal
        self._worked = worked
        self._looks = timers.queue(LOOK_EVERY, look)
        self._now = self._worked_before = 0.0
        self._busy = 0.0
        self._quiet = 0
        self._share = 0.0
        """How many sessions a look are let in while it sheds."""

    def start(self) -> None:
        """From now on."""
        self._now, self._worked_before = self._timers.clock.seconds(), self._worked()
        self._open(UNLIMITED)

    def stop(self) -> None:
        """No longer."""
        self._looks.stop(self)
        self._gate.open()

    def look(self) -> None:
        """Measure, and act."""
        now, worked = self._timers.clock.seconds(), self._worked()
        passed = max(now - self._now, LOOK_EVERY)
        load, lag, admitted = (worked - self._worked_before) / passed, passed - LOOK_EVERY, self._gate.admitted
        self.load += WEIGHT * (load - self.load)
        self.lag += WEIGHT * (lag - self.lag)
        self._now, self._worked_before = now, worked
        settings = self.settings
        self._busy = self._busy + passed if load >= settings.load_high else 0.0
        if self.state == CALM and ((self._busy >= BUSY and lag >= settings.lag_low) or self.lag >= settings.lag_high):
            self._begin(admitted)
        # How much of it would have taken just as much time as there is.
        fits = settings.load_high * LOOK_EVERY / (max(load, 0.01) * passed)
        self._open(self._limit(fits) if self.state == SHEDDING else UNLIMITED)

    def _begin(self, admitted: int) -> None:
        self.state = SHEDDING
        self._quiet = 0
        self._share = float(admitted)
        self._journal.counts["overload began"] += 1
        text = "overload: load {load:.0%}, lag {lag:.2f} s; a part of new sessions gets 503"
        _log.warn(text, load=self.load, lag=self.lag)

    def _limit(self, fits: float) -> int:
        """How many may be let in until the next look."""
        settings = self.settings
        self._quiet = 0 if self._gate.refused else self._quiet + 1
        # Who was turned away comes back: it is over when all have, and nobody had to be turned away again.
        quiet_looks = round((2 * settings.retry_after + 1) / LOOK_EVERY)
        if self._quiet >= quiet_looks and self.load < settings.load_low and self.lag < settings.lag_low:
            self.state = CALM
            _log.info("overload is over: all new sessions are taken")
            return UNLIMITED
        if fits < 1.0 or self._gate.refused:  # what nobody has reached need not be more
            least, most = STEPS
            self._share = max(1.0, self._share * max(least, min(most, fits)))
        return round(self._share)

    def _open(self, limit: int) -> None:
        """The next look; where that is late, the gate need not wait for it."""
        self._gate.open(limit, self._now + LOOK_EVERY + self.settings.lag_high)
        self._looks.start(self)


def look(overload: Overload) -> None:
    """It is time to look."""
    overload.look()
