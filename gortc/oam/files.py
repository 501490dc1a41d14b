"""Files that lines are added to: the log, the access log, traces. SIGUSR1 opens them again, by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any
from weakref import WeakSet

import orjson
from twisted.logger import Logger

from gortc.jsip.timers import Clock

_log = Logger(namespace="gortc.files")


class Lines:
    """Adds lines to the file at `path`, each whole and at once. Raises OSError where it can't be opened.

    `mode` is what a new file may be used for, by whom.
    """

    opened: WeakSet[Lines] = WeakSet()
    """All of the process."""

    def __init__(self, path: str, mode: int = 0o640) -> None:
        self.path = os.path.abspath(path)
        self._mode = mode
        self._file = self._open()
        Lines.opened.add(self)

    def write(self, line: str) -> None:
        """Add a line, its end included. Raises OSError where there is no room for it."""
        os.write(self._file, line.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing waits."""

    def reopen(self) -> None:
        """The file was moved away: go on in a new one. Where that can't be opened, the old one goes on."""
        try:
            old, self._file = self._file, self._open()
        except OSError as error:
            _log.error("{path} can't be opened again: {error}", path=self.path, error=error)
        else:
            os.close(old)

    def close(self) -> None:
        """No more lines."""
        Lines.opened.discard(self)
        file, self._file = self._file, -1  # so that nothing is written into what gets its number next
        os.close(file)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, self._mode)


def reopen_all() -> None:
    """All files of the process."""
    for lines in list(Lines.opened):
        lines.reopen()
    _log.info("log files are opened again")


class Ration:
    """So many lines a second, at most, and how many more there were."""

    def __init__(self, clock: Clock, per_second: Callable[[], int]) -> None:
        self._clock = clock
        self._per_second = per_second
        self._second = 0
        self._lines = 0
        self._silent = 0

    def take(self) -> int | None:
        """Whether there may be one now: None, or how many were left out before it."""
        second = int(self._clock.seconds())
        silent = 0
        if second != self._second:
            silent = self._silent
            self._second, self._lines, self._silent = second, 0, 0
        self._lines += 1
        if self._lines <= self._per_second():
            return silent
        self._silent += 1
        return None


class AccessLog:
    """A line of JSON a request to the management API, in the file at `path`; nowhere where that is empty.

    Raises ValueError where it can't be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            self._lines = Lines(path) if path else None
        except OSError as error:
            raise ValueError(f"access_log: {error}") from None

    def write(self, row: Mapping[str, Any]) -> None:
        """A request. What can't be written is told in the log."""
        if self._lines is None:
            return
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            self._lines.write(orjson.dumps({"time": time, **row}).decode() + "\n")
        except OSError as error:
            _log.error("{path} can't be written: {error}", path=self._lines.path, error=error)

    def close(self) -> None:
        """No more lines."""
        if self._lines is not None:
            self._lines.close()
