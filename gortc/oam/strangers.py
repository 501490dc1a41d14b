"""Lines about those who ask the management API and show no good token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.logger import LogLevel

from gortc.admission.limits import Rate
from gortc.oam.requests import Requests

OPENED: Final = "API open"
"""What is open to everybody: whoever looks at it hides none that is refused."""


class Strangers(Requests):
    """`line` writes one. Who is polling, or guessing, has few lines of his own (`drop_log_of_one`)."""

    left_out = "{reason}: {count} more of strangers were left out"

    def line(self, row: Mapping[str, Any], more: Mapping[str, Any], source: str, is_open: bool) -> None:
        """A request, for the log; and what the access log says besides. `source` is where it comes from."""
        settings, kind = self._settings(), OPENED if is_open else f"API {row['status']}"
        self._budget.rate = Rate(settings.drop_log_per_second, max(int(settings.drop_log_per_second), 1))
        self._budget.each = settings.drop_log_of_one
        level = LogLevel.debug if is_open else LogLevel.info
        self._write(kind, source, row, more, "{reason}: a stranger at {address}: {method} {path}: {status}", level)

    def _is_worth_nothing(self, kind: str) -> bool:
        return kind == OPENED
