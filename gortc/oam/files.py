"""Files that lines are added to: the log, the access log, traces. SIGUSR1 opens them again, by name.

A folder may be shared: what somebody else has put in a file's place, to have us write into another one, is not used.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from weakref import WeakSet

import orjson
from twisted.logger import Logger

_log = Logger(namespace="gortc.files")


class Lines:
    """Adds lines to the file at `path`, each whole and at once. Raises OSError where it can't be opened.

    `mode` is what a new file may be used for, by whom; `new` says that there must be no file of that name yet.
    """

    opened: WeakSet[Lines] = WeakSet()
    """All of the process."""

    def __init__(self, path: str, mode: int = 0o640, new: bool = False) -> None:
        self.path = os.path.abspath(path)
        self._mode = mode
        self._file = self._open(os.O_EXCL if new else 0)
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

    def _open(self, more: int = 0) -> int:
        return open_ours(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | more, self._mode)


def open_ours(path: str, flags: int, mode: int) -> int:
    """Open a file that an operator has named. Raises OSError where it can't be, or is none of ours.

    A symbolic link is followed where root or we have made it, as an operator may have; a file that has a second name
    is not used, as only who may not write to it needs to give it one; and a pipe that nobody reads is not waited for.
    """
    flags |= os.O_CLOEXEC | os.O_NONBLOCK
    try:
        file = os.open(path, flags | os.O_NOFOLLOW, mode)
    except OSError as error:
        if error.errno != errno.ELOOP or not _is_ours(os.lstat(path)):
            raise
        file = os.open(path, flags, mode)
    found = os.fstat(file)
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        os.close(file)
        raise OSError(errno.EMLINK, "it has a second name, a hard link", path)
    os.set_blocking(file, True)
    return file


def make_folder(path: str, mode: int) -> None:
    """A folder for files of ours, made where there is none. Raises OSError where it can't be had, or is another's."""
    os.makedirs(path, mode, exist_ok=True)
    for found in (os.lstat(path), os.stat(path)):
        if not _is_ours(found):
            raise OSError(errno.EPERM, "it is somebody else's", path)


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())


def reopen_all() -> None:
    """All files of the process."""
    for lines in list(Lines.opened):
        lines.reopen()
    _log.info("log files are opened again")


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
