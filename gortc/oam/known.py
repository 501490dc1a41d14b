"""Lines about those who ask the management API and show a good token: who asks without end fills no log, and hides
neither what others have done nor what he has done himself.

As of strangers, one is written to the log and to the access log, or to neither, and what was left out is told in both.
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

LOOKED: Final = "has looked"
CHANGED: Final = "has changed something"
REFUSED: Final = "was refused"
GONE: Final = 499
"""The status that is noted where who has asked has not waited: what he wanted may be done."""

_log = Logger(namespace="gortc.api")


class Known:
    """`line` writes one. A name with its role has so many of each kind (`api_log_of_one`)."""

    def __init__(self, clock: Clock, settings: Callable[[], Settings], access_log: AccessLog) -> None:
        self._now = clock.seconds
        self._settings = settings
        self._access_log = access_log
        rate = Rate(1, 1)
        self._budget = Budget(rate, rate, self._told)

    def line(self, row: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """A request, for the log; and what the access log says besides."""
        kind = f"{row['who']} ({row['role']}) {done(row['method'], row['status'])}"
        self._budget.rate = self._settings().api_log_of_one
        if self._budget.admits(self._now(), kind):
            self._access_log.write({**row, **more})
            level = LogLevel.debug if row["method"] in ("GET", "HEAD") else LogLevel.info
            text = "{who} at {address}: {method} {path}: {status}"
            _log.emit(level, text, reason=kind, log_counted=True, **row)

    def tell(self) -> None:
        """Time goes by: say what was left out."""
        self._budget.tell(self._now())

    def stop(self) -> None:
        """Say what was left out, now."""
        self._budget.tell(inf)

    def _told(self, kind: str, number: int) -> None:
        self._access_log.write({"kind": kind, "left_out": number})
        level = LogLevel.debug if kind.endswith(LOOKED) else LogLevel.warn
        _log.emit(level, "{reason}: {count} more were left out", reason=kind, count=number, log_counted=True)


def done(method: str, status: int) -> str:
    """What has come of a request. What was begun may have changed something, however it ended."""
    if 400 <= status < GONE:
        return REFUSED
    return LOOKED if method in ("GET", "HEAD") else CHANGED
