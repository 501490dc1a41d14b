"""Files that are read anew when they have changed: certificates, keys."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.logger import Logger

Value = TypeVar("Value")
Stamp = tuple[str, int, int, int]

_log = Logger(namespace="gortc.files")


class Fresh(Generic[Value]):
    """What `read()` made of the files `paths()`; read again, once they have changed, by the next `value()`.

    What can't be read any more is logged, once a change, and what was read last stays. Raises what `read` does, the
    first time.
    """

    def __init__(self, paths: Callable[[], Sequence[str]], read: Callable[[], Value]) -> None:
        self._paths = paths
        self._read = read
        self._stamps = self._look()
        self._value = read()

    def value(self) -> Value:
        """The latest one that could be read."""
        stamps = self._look()
        if stamps != self._stamps:
            changed = ", ".join(sorted({path for path, *_ in set(stamps) ^ set(self._stamps)}))
            self._stamps = stamps
            try:
                self._value = self._read()
                _log.info("read again: {changed}", changed=changed)
            except Exception as error:
                _log.error(
                    "can't be read again, what was read before stays: {changed}: {error}", changed=changed, error=error
                )
        return self._value

    def _look(self) -> list[Stamp]:
        return [stamp for path in self._paths() for stamp in _stamps(path)]


def _stamps(path: str) -> list[Stamp]:
    """What changes with a file's contents; nothing where it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [(path, found.st_mtime_ns, found.st_size, found.st_ino)]
