"""Draining: a server leaves without hanging up on anybody. docs/jsip.md section 1, "Draining".

    serving --begin--> draining --no call is left, or the time is up--> leaving --all connections are closed--> gone
       ^------cancel------'

Management and SIGTERM (`gortc.signals`) begin it; until calls are hung up it can be taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice
from math import ceil
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gortc.jsip.timers import Timers
from gortc.node import Node

# States.
SERVING = "serving"
DRAINING = "draining"
LEAVING = "leaving"
GONE = "gone"

# Events.
BEGIN = "begin"
CANCEL = "cancel"
EMPTY = "no call is left"
LATE = "the time is up"
CLOSED = "all connections are closed"

SERVICE_RESTART = 1012
"""The close code (IANA's registry of WebSocket close codes) that lets clients connect again after a time of chance."""
REASON = "the server is stopping"

LOOK_EVERY = 0.25
"""Between two looks at what is left, in seconds."""
CLOSE_EVERY = 0.1
"""Between two handfuls of connections that are closed, in seconds."""
SAY_EVERY = 5.0
"""Between two lines of the log, in seconds."""

_log = Logger(namespace="gortc.drain")


class Drain:
    """The draining of one server. `state` is one of the above; `done` fires once it is gone."""

    def __init__(
        self, node: Node, timers: Timers, connections: Collection[Any], stop_listening: Callable[[], object]
    ) -> None:
        """`connections` are those of the server at any time (`gortc.transport.websocket.RtcProtocol`)."""
        self.state = SERVING
        self.done: Deferred[None] = Deferred()
        self._node = node
        self._timers = timers
        self._connections = connections
        self._stop_listening = stop_listening
        self._until = 0.0
        self._say_at = 0.0

    # what may be asked of it

    def begin(self) -> bool:
        """Take no new sessions; leave when the last one is over, or `times.drain` is. False where it does already."""
        return self._step(BEGIN)

    def cancel(self) -> bool:
        """Take it back. False where there is nothing to take back, or calls have been hung up."""
        return self._step(CANCEL)

    @property
    def left(self) -> int:
        """How many sessions are not over."""
        return self._node.sessions.count

    @property
    def seconds(self) -> float:
        """How long they have still got; 0 where it does not drain."""
        return max(0.0, self._until - self._timers.clock.seconds()) if self.state == DRAINING else 0.0

    # the machine

    def _step(self, event: str) -> bool:
        move = TABLE[self.state].get(event)
        if move is None:
            return False
        self.state, action = move
        action(self)
        return True

    def _refuse(self) -> None:
        """New sessions get 503 from now on; `Retry-After` is when the last call will be over, whatever it does."""
        now = self._timers.clock.seconds()
        self._until = now + self._node.settings.times.drain
        self._say_at = now
        self._node.dispatch.retry_after = max(1, ceil(self.seconds))  # also where it leaves at once
        self.look()

    def look(self) -> None:
        """See what is left, and for how long."""
        if self.state != DRAINING:
            return
        now = self._timers.clock.seconds()
        if not self.left:
            self._step(EMPTY)
        elif now >= self._until:
            self._step(LATE)
        else:
            self._node.dispatch.retry_after = ceil(self.seconds)
            if now >= self._say_at:
                self._say_at = now + SAY_EVERY
                _log.info("draining: {left} sessions, {seconds:.0f} s at most", left=self.left, seconds=self.seconds)
            self._timers.start(min(LOOK_EVERY, self.seconds), look, self)

    def _reopen(self) -> None:
        """As if nothing had been."""
        self._node.dispatch.retry_after = 0
        _log.info("not draining any more: new sessions are taken")

    def _hang_up(self) -> None:
        """Those that are left get BYE, CANCEL or 503, each with its reason."""
        _log.warn("drained: the time is up for {left} sessions", left=self.left)
        self._leave()

    def _leave_empty(self) -> None:
        _log.info("drained: no session is left")
        self._leave()

    def _leave(self) -> None:
        """Nobody comes in; and who is here leaves, a handful at a time, so that they do not all come back at once."""
        self._stop_listening()
        self._node.stop()
        self.close_some()

    def close_some(self) -> None:
        """Close another handful."""
        open_ = (one for one in list(self._connections) if one.state in (one.STATE_CONNECTING, one.STATE_OPEN))
        handful = max(1, round(self._node.settings.closes_per_second * CLOSE_EVERY))
        for connection in islice(open_, handful):
            if connection.channel is None:  # its handshake is not done
                connection.dropConnection(abort=True)
            else:
                connection.close(SERVICE_RESTART, REASON)
        if self._connections:
            self._timers.start(CLOSE_EVERY, close_some, self)
        else:
            self._step(CLOSED)

    def _tell(self) -> None:
        self.done.callback(None)


def look(drain: Drain) -> None:
    """It is time to look."""
    drain.look()


def close_some(drain: Drain) -> None:
    """It is time to close some more."""
    drain.close_some()


TABLE: dict[str, dict[str, tuple[str, Callable[[Drain], None]]]] = {
    SERVING: {BEGIN: (DRAINING, Drain._refuse)},
    DRAINING: {
        CANCEL: (SERVING, Drain._reopen),
        EMPTY: (LEAVING, Drain._leave_empty),
        LATE: (LEAVING, Drain._hang_up),
    },
    LEAVING: {CLOSED: (GONE, Drain._tell)},
    GONE: {},
}
