"""Life: when a connection is given up, and that it then ends. docs/jsip.md section 1, "Life"."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gortc.jsip.timers import TimerQueue, Timers
from gortc.jsip.times import Times

ABORT_AFTER = 1.0
"""A connection that is closed may write what is left for so long, in seconds."""
CONTROL = 8
"""RFC 6455 section 5.2: the opcodes of control frames begin here."""
CONTROL_MAX = 125
"""RFC 6455 section 5.5: so many bytes are in a control frame at most."""


def given_up(times: Times, now: float, heard: float, stalled_since: float | None) -> tuple[float, str, str]:
    """In how many seconds a connection is to be dropped, not above 0 where it is now; under which name, and why.

    `heard` is when the last byte arrived, for only what arrives proves life; `stalled_since`, where it is not None,
    since when nothing could be written.
    """
    dead = heard + times.dead - now
    stuck = dead if stalled_since is None else stalled_since + times.write - now
    if stuck < dead:
        return stuck, "slow reader", f"nothing could be written for {times.write:g} s"
    return dead, "dead peer", f"nothing arrived for {times.dead:g} s"


class Mortal(WebSocketProtocol):  # type: ignore[misc]
    """Mixed into Autobahn's protocols: what is to end does end.

    Autobahn takes a connection for gone once it has told the transport to close; but TCP waits for a peer that does not
    read, and TLS for one that does not say goodbye.
    """

    timers: Timers
    _abort: TimerQueue[Mortal] | None = None
    _gone: Deferred[None] | None = None

    def gone(self) -> Deferred[None]:
        """Fires when it has gone, a turn later: nothing of it is under way then, so the reactor may stop. (Autobahn's
        `is_closed` fires in the midst of the end.)"""
        if self._gone is None:
            self._gone = Deferred()
        return self._gone

    def dropConnection(self, abort: bool = False) -> None:  # noqa: N802
        """Close; at once, or in a moment at the latest."""
        super().dropConnection(abort)
        if abort:
            self.abort()
        else:
            self.end_soon()

    def end_soon(self) -> None:
        """Whatever the peer does, this connection is gone in a moment."""
        if self._abort is None:
            self._abort = self.timers.start(ABORT_AFTER, last_turn, self)

    def last_turn(self) -> None:
        """A process that was kept from running for all that time writes what it has before it ends the connection."""
        self._abort = self.timers.start(0.0, abort, self)

    def abort(self) -> None:
        """Now."""
        transport: Any = self.transport
        if hasattr(transport, "abortConnection"):
            transport.abortConnection()
        else:
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Of what comes after the end nothing is kept. It is read all the same: what nobody reads would reset the
        connection, and the answer would be lost."""
        if self.state != self.STATE_CLOSED:
            super().dataReceived(data)
        if self.state == self.STATE_CLOSED:
            self.data = b""

    def onFrameData(self, payload: bytes) -> bool | None:  # noqa: N802
        """Of a connection that has failed nothing is kept any more, and of a control frame that is too large never. Its
        end is looked for all the same, for the close that answers ours may be behind it."""
        frame = self.current_frame
        lost = frame.length > CONTROL_MAX if frame.opcode >= CONTROL else self.failedByMe
        return None if lost else super().onFrameData(payload)

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """It is gone. Nothing of it is left to the cyclic collector, which looks seldom."""
        if self._abort is not None:
            self._abort.stop(self)
            self._abort = None
        super().connectionLost(reason)
        if self._gone is not None:
            self.timers.start(0.0, tell_gone, self)
        for told in (self.is_open, self.is_closed):
            told.addBoth(_forget)


def last_turn(connection: Mortal) -> None:
    """`connection` has had its moment."""
    connection.last_turn()


def abort(connection: Mortal) -> None:
    """`connection` has had a turn of the reactor, too."""
    connection.abort()


def tell_gone(connection: Mortal) -> None:
    """`connection` has gone, and somebody waits for that."""
    told, connection._gone = connection._gone, None
    if told is not None:
        told.callback(None)


def _forget(_: object) -> None:
    """A Deferred's result, which is the connection that has the Deferred."""
