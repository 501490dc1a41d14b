"""Lines about those who ask the management API and show a good token: who asks without end hides neither what others
have done nor what he has done himself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.logger import LogLevel

from gortc.oam.requests import Requests

LOOKED: Final = "has looked"
CHANGED: Final = "has changed something"
REFUSED: Final = "was refused"
LOOKS: Final = ("GET", "HEAD")
GONE: Final = 499
"""The status that is noted where who has asked has not waited: what he wanted may be done."""


class Known(Requests):
    """`line` writes one. A name with its role has so many of each kind (`api_log_of_one`)."""

    left_out = "{reason}: {count} more were left out"

    def line(self, row: Mapping[str, Any], more: Mapping[str, Any]) -> None:
        """A request, for the log; and what the access log says besides."""
        kind = f"{row['who']} ({row['role']}) {done(row['method'], row['status'])}"
        self._budget.rate = self._settings().api_log_of_one
        level = LogLevel.debug if row["method"] in LOOKS else LogLevel.info
        self._write(kind, "", row, more, "{who} at {address}: {method} {path}: {status}", level)

    def _is_worth_nothing(self, kind: str) -> bool:
        return kind.endswith(LOOKED)


def done(method: str, status: int) -> str:
    """What has come of a request. What was begun may have changed something, however it ended."""
    if 400 <= status < GONE:
        return REFUSED
    return LOOKED if method in LOOKS else CHANGED
