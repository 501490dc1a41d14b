"""The pulse: how many calls come a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from gortc.jsip.timers import Timers

BEAT: Final = 1.0
"""Between two looks, in seconds."""
BEATS: Final = 60


class Pulse:
    """Looks at the counter `calls()` and keeps what it was in the last minute."""

    def __init__(self, calls: Callable[[], int], timers: Timers) -> None:
        """`timers` are not those of calls."""
        self._calls = calls
        self._counts: deque[int] = deque([calls()], maxlen=BEATS + 1)
        self._beats = timers.queue(BEAT, beat)

    def start(self) -> None:
        """From now on."""
        self._beats.start(self)

    def stop(self) -> None:
        """No longer."""
        self._beats.stop(self)

    def beat(self) -> None:
        """Look."""
        self._counts.append(self._calls())
        self._beats.start(self)

    @property
    def a_minute(self) -> int:
        """How many in the last minute, or since it was started."""
        return self._calls() - self._counts[0]


def beat(pulse: Pulse) -> None:
    """It is time to look."""
    pulse.beat()
