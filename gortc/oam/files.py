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
        self._is_torn = not _ends_a_line(self._file, self.path)
        Lines.opened.add(self)

    def write(self, line: str) -> None:
        """Add a line, its end included. Raises OSError where there is no room for it, or for all of it; what comes
        after a part of one begins a line of its own. Of a pipe whose reader is slow that is so, too: nobody waits."""
        data = encoded(f"\n{line}" if self._is_torn else line)
        written = os.write(self._file, data)
        if written:
            self._is_torn = not data[:written].endswith(b"\n")
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)

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
            self._is_torn = not _ends_a_line(self._file, self.path)

    def close(self) -> None:
        """No more lines."""
        Lines.opened.discard(self)
        file, self._file = self._file, -1  # so that nothing is written into what gets its number next
        os.close(file)

    def _open(self, more: int = 0) -> int:
        return open_ours(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | more, self._mode)


def encoded(line: str) -> bytes:
    """A line as it is written: what half an emoji is can't be."""
    return line.encode("utf-8", "replace")


def _ends_a_line(file: int, path: str) -> bool:
    """Whether a line that is added to `file` is one of its own; whoever wrote the last one may have had no room.
    `file` itself can't be read from."""
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return True
    try:
        again = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:  # we may write only
        return True
    try:
        return not os.path.samestat(found, os.fstat(again)) or os.pread(again, 1, found.st_size - 1) in (b"\n", b"")
    finally:
        os.close(again)


def open_ours(path: str, flags: int, mode: int) -> int:
    """Open a file that an operator has named. Raises OSError where it can't be, or is none of ours.

    A symbolic link is followed where root or we have made it, as an operator may have; a file that has a second name
    is not used, as only who may not write to it needs to give it one; and a pipe is not waited for: neither for a
    reader nor for one that is slow.
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
    return file


def followed(path: str) -> str:
    """Where `path` leads, if it is a symbolic link that root or we have made; else `path`."""
    return os.path.realpath(path) if os.path.islink(path) and _is_ours(os.lstat(path)) else path


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
