"""The reactor: Twisted's own for epoll, with a short way for what happens most, a socket that has something to read.

Twisted gives every event a log context of its own, which nobody reads here: our lines say themselves whom they are
about. That, and looks that a read does not need, are a third of what a read costs beside the kernel.
"""

from __future__ import annotations

import sys

from twisted.internet.main import installReactor
from twisted.python import log

if sys.platform == "linux":
    from select import EPOLLIN

    from twisted.internet.epollreactor import EPollReactor

    class Reactor(EPollReactor):
        """One turn is ours; all else is Twisted's."""

        def doPoll(self, timeout: float | None) -> None:  # noqa: N802
            """Wait for `timeout` seconds at most (None: for ever), and serve what is ready."""
            find = self._selectables.get
            for fd, event in self._poller.poll(timeout, len(self._selectables)):
                ready = find(fd)
                if ready is None:  # gone in this very turn
                    continue
                if event != EPOLLIN:
                    self._doReadOrWrite(ready, fd, event)
                    continue
                try:
                    why = ready.doRead()
                except BaseException as raised:
                    log.err()
                    why = raised
                if why:
                    self._disconnectSelectable(ready, why, True)

        doIteration = doPoll  # noqa: N815


def install() -> None:
    """Make it the process's reactor, unless there is one: `twistd --reactor` and a program of one's own choose.

    Where there is no epoll, Twisted's choice stays.
    """
    if sys.platform == "linux" and "twisted.internet.reactor" not in sys.modules:
        installReactor(Reactor())
