"""What systemd is told, where it has started us: sd_notify(3), and its watchdog."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from time import monotonic_ns
from typing import Any

from twisted.logger import Logger

_log = Logger(namespace="gortc.server")


class Systemd:
    """The other end of `NOTIFY_SOCKET` in `environ`; nobody, where there is none."""

    def __init__(self, reactor: Any, environ: Mapping[str, str] = os.environ) -> None:
        name = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + name[1:] if name.startswith("@") else name  # an abstract name
        self._reactor = reactor
        self._every = watchdog(environ) / 2 if name else 0.0
        self._call: Any = None

    def ready(self, status: str) -> None:
        """We serve. From now on its watchdog hears of us, as long as the reactor turns."""
        self._say("READY=1", f"STATUS={status}")
        if self._every and self._call is None:
            self._beat()

    def reloading(self) -> None:
        """The configuration is read again; `ready` says that it was."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """We will be gone. The watchdog is still served: it may take as long as calls do."""
        self._say("STOPPING=1", f"STATUS={status}")

    def gone(self) -> None:
        """No more of it."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _beat(self) -> None:
        self._call = self._reactor.callLater(self._every, self._beat)
        self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as said:
                said.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            _log.warn("systemd can't be told {line}: {error}", line=lines[0], error=error)


def watchdog(environ: Mapping[str, str]) -> float:
    """After how many seconds of silence its watchdog ends us; 0.0: never (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environ.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if re.fullmatch("[0-9]{1,20}", text) else 0.0  # 64 bits
