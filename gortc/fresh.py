"""Files that are read anew when they have changed: certificates, keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.logger import Logger

Value = TypeVar("Value")
Stamp = tuple[int, int, int]

_log = Logger(namespace="gortc.files")


class Fresh(Generic[Value]):
    """What `read()` made of `paths`; read again, once they have changed, by the next `value()`.

    What can't be read any more is logged, once a change, and what was read last stays. Raises what `read` does, the
    first time.
    """

    def __init__(self, paths: tuple[str, ...], read: Callable[[], Value]) -> None:
        self._paths = paths
        self._read = read
        self._stamps = self._look()
        self._value = read()

    def value(self) -> Value:
        """The latest one that could be read."""
        stamps = self._look()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._value = self._read()
                _log.info("read again: {paths}", paths=", ".join(self._paths))
            except Exception as error:
                _log.error(
                    "can't be read again, what was read before stays: {paths}: {error}",
                    paths=", ".join(self._paths),
                    error=error,
                )
        return self._value

    def _look(self) -> tuple[Stamp | None, ...]:
        return tuple(map(_stamp, self._paths))


def _stamp(path: str) -> Stamp | None:
    """What changes with a file's contents; None where it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
