"""Where a scenario is played: what a player asks of the world, and the real one, WebSockets and the time of day."""

from __future__ import annotations

from typing import Any, Callable, Protocol
from uuid import uuid4

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import deferLater

from gortc.client import wire
from gortc.jsip.message import Headers

Arrived = Callable[[Any], None]
"""Is called with each message that arrives; with a text where a frame is no JSON."""

PATIENCE = 10.0
"""How long a message may take where a scenario doesn't say, in seconds."""


class Line(Protocol):
    """A party's connection."""

    @property
    def closed(self) -> tuple[int, str] | None:
        """The code and the reason, once it is closed."""

    def send(self, message: Headers) -> None:
        """Send a message."""

    def send_text(self, text: str) -> None:
        """Send a frame as it is."""

    async def wait(self, seconds: float | None) -> bool:
        """Wait until something arrives, or the connection closes; False where nothing did in `seconds`.

        None: as long as a message may take that is on its way.
        """

    async def settle(self) -> None:
        """What was sent has been dealt with, and what came of it for this party has arrived."""

    async def close(self) -> None:
        """Close the connection."""


class Venue(Protocol):
    """Gives parties their connections, and time."""

    def now(self) -> float:
        """The time, in seconds."""

    async def connect(self, user: str, arrived: Arrived) -> Line:
        """Connect `user`. Raises what connecting raises."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""


class Net:
    """Connections to the server at `url`, such as ws://127.0.0.1:8080/rtc, in real time."""

    def __init__(self, reactor: Any, url: str, patience: float = PATIENCE) -> None:
        self.reactor = reactor
        self.url = url
        self.patience = patience

    def now(self) -> float:
        """The reactor's time."""
        return float(self.reactor.seconds())

    async def connect(self, user: str, arrived: Arrived) -> NetLine:
        """Connect by WebSocket. Raises ConnectionClosed where the server refuses, or what TCP and TLS raise."""
        line = NetLine(self, arrived)
        line.wire = await wire.connect(self.reactor, self.url, user, line.hear, self.patience)
        line.wire.closed.addCallback(line.hear_closed)
        return line

    async def pause(self, seconds: float) -> None:
        """Wait."""
        done: Deferred[None] = deferLater(self.reactor, seconds, lambda: None)
        await done


class Bell:
    """Wakes who waits for something to arrive, in real time."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._waiting: Deferred[bool] | None = None

    @property
    def awaited(self) -> bool:
        """Whether somebody waits."""
        return self._waiting is not None

    def ring(self) -> None:
        """Something has arrived."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(True)

    async def wait(self, seconds: float | None) -> bool:
        """Wait until it rings; False where it does not in `seconds`, or, with None, in the net's patience."""
        waiting = self._waiting = Deferred()
        net = self._net
        timeout = net.reactor.callLater(net.patience if seconds is None else seconds, waiting.cancel)
        try:
            return await waiting
        except CancelledError:
            return False
        finally:
            self._waiting = None
            if timeout.active():
                timeout.cancel()


class NetLine:
    """A connection over a socket."""

    wire: wire.Wire

    def __init__(self, net: Net, arrived: Arrived) -> None:
        self.closed: tuple[int, str] | None = None
        self._net = net
        self._arrived = arrived
        self._bell = Bell(net)
        self._fences: dict[str, Deferred[None]] = {}

    def send(self, message: Headers) -> None:
        """Write it."""
        self.wire.send(orjson.dumps(message))

    def send_text(self, text: str) -> None:
        """Write it."""
        self.wire.send(text.encode())

    async def wait(self, seconds: float | None) -> bool:
        """Wait in real time."""
        return self.closed is None and await self._bell.wait(seconds)

    async def settle(self) -> None:
        """Ask what has one answer, 481, whoever the server is: a BYE in a dialogue that there is not.

        Raises ConnectionClosed where no answer comes.
        """
        fence = f"fence-{uuid4().hex}"
        nobody = "fence@invalid"
        question = {"Type": "BYE", "Request-URI": nobody, "From": nobody, "To": nobody, "DialogueID": fence, "CSeq": 1}
        if self.closed is not None or not self.wire.send(orjson.dumps(question)):
            return
        answered = self._fences[fence] = Deferred()
        timeout = self._net.reactor.callLater(self._net.patience, answered.cancel)
        try:
            await answered
        except CancelledError:
            raise ConnectionClosed(f"the server has not answered a BYE in {self._net.patience:g} s") from None
        finally:
            if timeout.active():
                timeout.cancel()

    async def close(self) -> None:
        """Close, and wait until it is."""
        self.wire.close()
        await self.wire.closed

    # from the wire

    def hear(self, data: bytes) -> None:
        """A frame has arrived."""
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            message = data.decode(errors="replace")
        fence = self._fences.pop(str(message.get("DialogueID")), None) if isinstance(message, dict) else None
        if fence is not None:
            fence.callback(None)
        else:
            self._arrived(message)
            self._bell.ring()

    def hear_closed(self, closed: tuple[int, str]) -> tuple[int, str]:
        """The connection is closed, with this code and reason."""
        self.closed = closed
        self._bell.ring()
        fences, self._fences = self._fences, {}
        for fence in fences.values():
            fence.callback(None)
        return closed
