"""Lines about those who ask the management API and show no good token: they fill no log, and hide nobody.

One is written to the log and to the access log, or to neither; what was left out is told in both. So the rows of the
access log, and the numbers in them, add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Final

from twisted.logger import Logger, LogLevel

from gortc.admission.limits import Rate
from gortc.jsip.timers import Clock
from gortc.oam.budget import Budget
from gortc.oam.files import AccessLog
from gortc.settings import Settings

OPENED: Final = "API open"
"""What is open to everybody: whoever looks at it hides none that is refused."""

_log = Logger(namespace="gortc.api")


class Strangers:
    """`line` writes one. Who is polling, or guessing, has few lines of his own (`drop_log_of_one`)."""

    def __init__(self, clock: Clock, settings: Callable[[], Settings], access_log: AccessLog) -> None:
        self._now = clock.seconds
        self._settings = settings
        self._access_log = access_log
        rate = Rate(1, 1)
        self._budget = Budget(rate, rate, self._told)

    def line(self, row: Mapping[str, Any], more: Mapping[str, Any], source: str, is_open: bool) -> None:
        """A request, for the log; and what the access log says besides. `source` is where it comes from."""
        settings, kind = self._settings(), OPENED if is_open else f"API {row['status']}"
        self._budget.rate = Rate(settings.drop_log_per_second, max(int(settings.drop_log_per_second), 1))
        self._budget.each = settings.drop_log_of_one
        if self._budget.admits(self._now(), kind, source):
            self._access_log.write({**row, **more})
            text = "{reason}: a stranger at {address}: {method} {path}: {status}"
            _log.emit(_level(kind, LogLevel.info), text, reason=kind, log_counted=True, **row)

    def tell(self) -> None:
        """Time goes by: say what was left out."""
        self._budget.tell(self._now())

    def stop(self) -> None:
        """Say what was left out, now."""
        self._budget.tell(inf)

    def _told(self, kind: str, number: int) -> None:
        self._access_log.write({"kind": kind, "left_out": number})
        text = "{reason}: {count} more of strangers were left out"
        _log.emit(_level(kind, LogLevel.warn), text, reason=kind, count=number, log_counted=True)


def _level(kind: str, level: Any) -> Any:
    """Who looks at what is open is worth no line."""
    return LogLevel.debug if kind == OPENED else level
