"""Signals, for every server of the process.

SIGTERM drains, a second one stops at once; SIGUSR2 takes it back. SIGHUP reads the configuration again, SIGUSR1 opens
log files again. Twisted's own handler of SIGTERM, which ends the process, comes last. SIGINT is Twisted's alone: it
stops at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from gortc.drain import GONE
from gortc.oam.files import reopen_all

if TYPE_CHECKING:
    from gortc.server import Server

_log = Logger(namespace="gortc.drain")


class Signals:
    """Those of one process. `servers` are its servers, in the order in which they came."""

    def __init__(self) -> None:
        self.servers: dict[Server, None] = {}
        self._stop: Callable[[int, Any], object] | None = None
        self._minding = False
        self._told = False

    def mind(self, server: Server, reactor: Any) -> None:
        """Let the signals mean this server, too. To be called when `reactor` runs and has set its own handlers.

        Where it has set none, whoever runs it minds the signals.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if not self._minding and callable(handler):
            self._minding = True
            self._stop = handler
            for number, action in self._actions().items():
                signal.signal(number, lambda *_, action=action: reactor.callFromThread(action))
        self.servers[server] = None
        server.drain.done.addCallback(self._gone)

    def _actions(self) -> dict[int, Callable[[], object]]:
        return {
            signal.SIGTERM: self.terminate,
            signal.SIGUSR2: self.take_back,
            signal.SIGHUP: self.hang_up,
            signal.SIGUSR1: reopen_all,
        }

    def forget(self, server: Server) -> None:
        """It has stopped."""
        self.servers.pop(server, None)

    def terminate(self) -> None:
        """SIGTERM. Somebody else may have begun to drain before; a server that does not drain stops at once."""
        if self._told:
            _log.warn("told to stop again: stopping at once")
        if self._told or not any(server.settings.times.drain for server in self.servers):
            self._end()
            return
        self._told = True
        for server in self.servers:
            server.drain.begin()

    def take_back(self) -> None:
        """SIGUSR2."""
        for server in self.servers:
            if server.drain.cancel():
                self._told = False

    def hang_up(self) -> None:
        """SIGHUP, which a process's terminal sends as it goes; daemons have none, and are told to read again."""
        for server in list(self.servers):
            server.hang_up_signal()

    def _gone(self, _: None) -> None:
        if all(server.drain.state == GONE for server in self.servers):
            self._end()

    def _end(self) -> None:
        """From now on SIGTERM is Twisted's."""
        if self._stop is not None:
            stop, self._stop = self._stop, None
            signal.signal(signal.SIGTERM, stop)
            stop(signal.SIGTERM, None)


signals = Signals()
"""The process's."""
