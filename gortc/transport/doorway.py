"""Ports whose connections come in by the door (`gortc.admission.door`): accepted fast, and read when their turn comes.

Twisted's port makes everything for a connection as it is accepted: a protocol, and its TLS. Here that waits until the
connection has something to say, and it is not read, nor is its TLS, but in turn, until its handshake is over. From then
on its transport is Twisted's, as any other.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Port, Server, _accept, _reservedFD
from twisted.python.failure import Failure

from gortc.jsip.timers import TimerQueue

if TYPE_CHECKING:
    from gortc.admission.door import Door

ACCEPTS: Final = 300
"""So many connections are accepted at a time: turned away they take some milliseconds, and nobody waits for longer."""
SIP: Final = 2048
"""So many bytes are read at a time at the door: by TLS they may be a hundred records, each of which is read alone."""
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: no farewell is said, and nothing is remembered of it (RFC 9293 section 3.10.5, ABORT)."""


class Doorway:
    """`reactor`, whose TCP ports ask `door`."""

    def __init__(self, reactor: Any, door: Door) -> None:
        self._reactor = reactor
        self._door = door

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(  # noqa: N802
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """As IReactorTCP has it."""
        made = DoorPort(self._door, port, factory, backlog, interface, self._reactor)
        made.startListening()
        return made


class DoorPort(Port):
    """A port of TCP that lets in whom `door` admits."""

    def __init__(self, door: Door, *args: Any) -> None:
        super().__init__(*args)
        self._door = door

    def doRead(self) -> None:  # noqa: N802
        """Somebody connects: take all who do, and turn away who does too often."""
        told = Told()
        door = self._door
        try:
            for accepted, address in _accept(told, self._places(), self.socket, _reservedFD):
                self._meet(accepted, address)
        except Exception:  # as Twisted does: else the reactor would close the port
            self._logger.failure("a connection was not accepted")
        if told.failed:
            door.no_files(told.closed)

    def _places(self) -> Iterator[None]:
        """As long as another one may be accepted."""
        door = self._door
        for _ in range(ACCEPTS):
            if door.connections > door.files:  # whoever makes room for another closes his file in the next turn
                return
            if not door.has_room():
                self.stopReading()
                door.wait(self)
                return
            yield

    def reopen(self) -> None:
        """There may be room at the door."""
        if self.connected and not self.disconnecting:
            self.startReading()

    def _meet(self, accepted: socket.socket, address: tuple[Any, ...]) -> None:
        if self._door.admits(address[0]) and not self._door.lacks_files(address[0]):
            self.sessionno += 1
            Comer(self._door, accepted, address, self, self.reactor)
        else:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            accepted.close()


class Told:
    """What Twisted says of connections that can't be accepted, a line each, and which the door says once."""

    def __init__(self) -> None:
        self.failed = False
        self.closed = 0

    def info(self, text: str, address: object = None, **_: object) -> None:
        """Something has failed; with an `address`, its connection was closed."""
        self.failed = True
        self.closed += address is not None


class Comer(Server):
    """The transport of one connection. At the door it is read in turn; `let_in` ends that."""

    def __init__(
        self, door: Door, accepted: socket.socket, address: tuple[Any, ...], port: DoorPort, reactor: Any
    ) -> None:
        super().__init__(accepted, Protocol(), address, port, port.sessionno, reactor)
        self.address: str = address[0]
        self._door = door
        self._silent = self._at_door = True
        self.bufferSize = SIP
        self._whole = False
        self.owed = 0.0
        self._deadline: TimerQueue[Comer] = door.timers.start(door.seconds, too_slow, self)
        self.doRead = self._knock  # type: ignore[method-assign]
        door.connections += 1
        door.began(self, self.address, silent=True)

    def _knock(self) -> ConnectionLost | ConnectionDone | None:
        """It has something to say; or it has gone without a word, for which nobody need wait."""
        if self._silent:
            said = self._peek()
            if said is None:
                return None
            if not said:
                return CONNECTION_LOST
        if self._door.knock(self):
            return self._hear()
        self.stopReading()
        return None

    def _peek(self) -> bytes | None:
        """The first byte of what there is to be read, where there is any; b"" where it has gone."""
        try:
            return self.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def is_silent(self) -> bool:
        """Whether it has said nothing, though nobody may have read it yet."""
        return self._silent and not self._peek()

    @property
    def begun(self) -> bool:
        """Whether it has said something before."""
        return not self._silent

    def take_turn(self) -> None:
        """It has waited for it."""
        if self.disconnecting or not self._at_door:
            return
        self.resumeProducing()
        why = self._hear()
        if why is CONNECTION_DONE:
            self.readConnectionLost(Failure(ConnectionDone()))
        elif why is not None:
            self.connectionLost(Failure(why))

    def _hear(self) -> ConnectionLost | ConnectionDone | None:
        """Read what it says; with the first of it, all that a connection needs is made."""
        if self._silent:
            self._silent = False
            protocol: Any = self.server.factory.buildProtocol(self.getPeer())  # type: ignore[union-attr]
            self.protocol = protocol
            protocol.makeConnection(self)
            # It is read also where it was answered already: what nobody reads would reset it, and the answer be lost.
        why = Server.doRead(self) if self._at_door else None
        if self._at_door and not self._whole and not self.disconnecting:
            self._door.is_to_go_on(self)
        return why

    def whole(self) -> None:
        """It has said all that it has to: what its handshake takes from now on is ours."""
        self._whole = True
        self._deadline.stop(self)
        self._door.is_with_us(self)

    @property
    def comer(self) -> Comer:
        """Itself, also under TLS."""
        return self

    def let_in(self) -> None:
        """Its handshake is over: from now on it is read as any other."""
        if self._at_door:
            self._leave_door()
            self.resumeProducing()

    def give_up(self) -> None:
        """End it at once."""
        self.abortConnection()

    def abortConnection(self) -> None:  # noqa: N802
        """As ITCPTransport has it."""
        self._leave_door()
        super().abortConnection()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """It has gone."""
        self._door.connections -= 1
        self._leave_door()
        super().connectionLost(reason)

    def _leave_door(self) -> None:
        if self._at_door:
            self._at_door = False
            del self.doRead, self.bufferSize
            self._deadline.stop(self)
            self._door.done(self)
            self._door.leave(self)


def too_slow(comer: Comer) -> None:
    """`comer` has been at the door for as long as it may."""
    comer.give_up()
