"""Lines about those who ask the management API: they fill no log, and hide nobody.

One is written to the log and to the access log, or to neither; what was left out is told in both. So the rows of the
access log, and the numbers in them, add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from twisted.logger import Logger, LogLevel

from gortc.admission.limits import Rate
from gortc.jsip.timers import Clock
from gortc.oam.budget import Budget
from gortc.oam.files import AccessLog
from gortc.settings import Settings

_log = Logger(namespace="gortc.api")


class Requests:
    """Those of one sort of askers. How many lines they have says the `_budget`, whose rates are set with each."""

    left_out = ""
    """The text that tells of those that were."""

    def __init__(self, clock: Clock, settings: Callable[[], Settings], access_log: AccessLog) -> None:
        self._now = clock.seconds
        self._settings = settings
        self._access_log = access_log
        rate = Rate(1, 1)
        self._budget = Budget(rate, rate, self._told)

    def tell(self) -> None:
        """Time goes by: say what was left out."""
        self._budget.tell(self._now())

    def stop(self) -> None:
        """Say what was left out, now."""
        self._budget.tell(inf)

    def _write(
        self, kind: str, source: str, row: Mapping[str, Any], more: Mapping[str, Any], text: str, level: Any
    ) -> None:
        """A request, for the log; and what the access log says besides."""
        if self._budget.admits(self._now(), kind, source):
            self._access_log.write({**row, **more})
            _log.emit(level, text, reason=kind, log_counted=True, **row)

    def _is_worth_nothing(self, kind: str) -> bool:
        """Whether who looks into the log need not know of it."""
        raise NotImplementedError

    def _told(self, kind: str, number: int) -> None:
        self._access_log.write({"kind": kind, "left_out": number})
        level = LogLevel.debug if self._is_worth_nothing(kind) else LogLevel.warn
        _log.emit(level, self.left_out, reason=kind, count=number, log_counted=True)
