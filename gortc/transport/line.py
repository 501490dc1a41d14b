"""A line: the short way between an open connection and its channel, for whole text frames.

Several frames of one read are taken one after the other; what is sent meanwhile, on whatever line, gathers and is
written at the end of the read, in one write a line. Everything else is the protocol's, which is Autobahn's.
This module can be compiled; the protocol's class, which is Autobahn's as well, can not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.tcp import Connection

from gortc.jsip.memory import effort
from gortc.transport.frames import PING, frame, is_pong, split
from gortc.transport.partial import Partial
from gortc.transport.stall import Stall

if TYPE_CHECKING:
    from gortc.transport.channels import Channels, PeerChannel

OPEN: Final = 3  # Autobahn's STATE_OPEN
BUFFER: Final = 8192
"""So many bytes may wait uncounted for a peer that does not read."""
SLICE: Final = 32
"""So many frames that came the long way are read at a time: a turn of the reactor must not be one peer's."""
ALL: Final = 1 << 62


class Reading:
    """What all lines of a factory share: the limits, the time, and the lines that wait for the end of a read."""

    def __init__(self, channels: Channels, now: Callable[[], float], frame_max: int) -> None:
        self.channels = channels
        self.now = now
        self.frame_max = frame_max
        self.lines: list[Line] | None = None
        """Those that have something to write; None where no read is going on."""


class Line:
    """The line of one `protocol`, to the `channel` that it is bound to. `heard` is when its peer last gave a sign of
    life, `count` how many frames this read has had. One that is `limited` is read no faster than its frames may come:
    what comes meanwhile is `held`, and after `most` frames of a read that come the long way there is `more` of it."""

    def __init__(self, protocol: Any, channel: PeerChannel, reading: Reading, limited: bool) -> None:
        transport = protocol.transport
        self.heard = reading.now()
        self._protocol: Any = protocol
        self._transport: Any = transport
        # A socket's own, no TLS in between.
        self._socket_send: Any = transport.socket.send if isinstance(transport, Connection) else None
        self._channel = channel
        self._reading = reading
        self._out: list[bytes] = []
        self._stall: Stall | None = None
        """That something waits for the peer to read it."""
        self.count = 0
        if limited:  # from so much on it counts what waits
            getattr(transport, "transport", transport).bufferSize = BUFFER
        self._limited = limited and reading.channels.frames is not None
        self.most = SLICE if self._limited else ALL
        self.more = False
        self.held: list[bytes] | None = None
        self._partial = Partial()

    def read(self, data: bytes) -> None:
        """Take what one read brought."""
        self.heard = self._reading.now()
        if not self._limited:
            self._take(data)
            return
        if self.held is not None:  # TLS may have some of its last read left, in ever so many records
            self.held.append(data)
            return
        self._pace(data, 0)

    def read_held(self) -> None:
        """Nothing is held any longer: read what has come meanwhile, and what the last read has left."""
        held, self.held = self.held, None
        if held or self.more:
            self._pace(b"".join(held or ()), len(held or ()))

    def _pace(self, data: bytes, pieces: int) -> None:
        """Take what came in so many pieces more than one read, and wait for as long as it costs: a read that brings no
        whole message costs as much as one. What takes the long way has the rest of the turn for itself: whatever comes
        behind it waits, and is one read then."""
        self.count = 0
        self.more = False
        short = self._take(data)
        wait = self._reading.channels.spend(self._channel, max(1, self.count) + pieces)
        if wait > 0.0 or not short:
            self._protocol.hush(wait)

    def _take(self, data: bytes) -> bool:
        """Whole text frames here, from the first other byte on the protocol; True where there was none."""
        protocol, reading = self._protocol, self._reading
        if protocol.data or protocol.current_frame is not None or protocol.inside_message:
            protocol.read_on(data)
            return False
        if is_pong(data):
            self.count += 1
            return True
        lines: list[Line] = []
        reading.lines = lines
        at = 0
        try:
            for payload, stop in split(data, reading.frame_max):
                if protocol.state != OPEN:
                    break
                reading.channels.receive(self._channel, protocol, payload)
                at = stop
                self.count += effort(payload) if self._limited else 1
        finally:
            reading.lines = None
        for line in lines:
            line.flush()
        if at == len(data):
            return True
        protocol.read_on(data[at:])
        return False

    def send(self, data: bytes) -> bool:
        """Write one text frame (RFC 6455 section 5.2: a server's frames are not masked); False where it is closing."""
        if self._protocol.state != OPEN:
            return False
        lines = self._reading.lines
        if lines is None:
            self._write(frame(data))
        else:
            if not self._out:
                lines.append(self)
            self._out.append(frame(data))
        return True

    def ping(self) -> None:
        """Ask whether anybody is there."""
        self._write(PING)

    def flush(self) -> None:
        """Write what has gathered."""
        out = self._out
        if out:
            self._out = []
            self._write(out[0] if len(out) == 1 else b"".join(out))

    def stall(self, stalled: bool) -> None:
        """The peer does not read, or reads again: from here on, what has been written to it counts, and all else waits
        in the channel. Twisted says so with each write."""
        if stalled == (self._stall is not None):
            return
        account = self._channel.account
        self._stall = Stall(self._transport, self._reading.now(), account) if stalled else None
        if self._channel.connection is self._protocol:
            self._channel.stall(stalled)
        if stalled and account is not None and account.is_over():
            self._protocol.drop_soon()

    def look(self) -> None:
        """Whoever has read anything since the last look is alive: nothing else is heard of him, for he is not read
        from."""
        now = self._reading.now()
        if self._stall is not None and self._stall.look(now):
            self.heard = now

    def hold_part(self, size: int, pieces: int) -> None:
        """So many bytes of a message that is not whole yet are there, or will be, in so many pieces."""
        if self._partial.is_too_much(self._channel.account, size, pieces):
            self._protocol.drop_greedy(size)

    @property
    def stalled_since(self) -> float | None:
        """Since when its peer has read nothing of what waits for it, as far as was looked; None where nothing does."""
        return None if self._stall is None else self._stall.since

    @property
    def unsent(self) -> int:
        """So many bytes wait: 0 as long as the peer reads."""
        if self._stall is None:
            return 0
        waiting = self._channel.waiting
        return self._stall.written + (0 if waiting is None else waiting.size)

    def _write(self, data: bytes) -> None:
        """Write at once where nothing waits: the reactor would take another turn, and two changes of what it polls."""
        transport = self._transport
        if (
            self._socket_send is not None
            and transport.connected
            and not transport.dataBuffer
            and not transport._tempDataBuffer
        ):
            try:
                sent: int = self._socket_send(data)
            except OSError:  # it takes no more, or the connection is lost, as the reactor will find
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)
