"""A server and its management API in memory: HTTP as it is, no socket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection

from gortc.server import Server
from gortc.service.registry import discover
from gortc.settings import Settings


class Phone:
    """A user's connection."""

    def __init__(self, desk: Desk, name: str) -> None:
        self.said: list[Any] = []
        self.closed = 0
        self.name = name
        self._channels = desk.server.node.channels
        self._channel = self._channels.connect(name, self)

    def call(self, dialogue: str) -> None:
        """Call the echo."""
        invite = {"Type": "INVITE", "Request-URI": "echo", "From": self.name, "To": "echo", "CSeq": 1}
        made = {**invite, "DialogueID": dialogue, "Router": "gortc.local;type=echo", "Body": "v=0"}
        self._channels.receive(self._channel, self, json.dumps(made).encode())

    def say(self, method: str, dialogue: str, cseq: int, to: str, **headers: Any) -> None:
        """Send a request."""
        made = {"Type": method, "Request-URI": to, "From": self.name, "To": to, "DialogueID": dialogue, "CSeq": cseq}
        self._channels.receive(self._channel, self, json.dumps({**made, **headers}).encode())

    def answer(self, code: int, **headers: Any) -> None:
        """Answer the last request but ACK that it has heard."""
        request = [message for message in self.said if message["Type"] not in ("RESPONSE", "ACK")][-1]
        made = {name: request[name] for name in ("From", "To", "DialogueID", "CSeq")}
        self._channels.receive(
            self._channel, self, json.dumps({"Type": "RESPONSE", "Code": code, **made, **headers}).encode()
        )

    def send(self, data: bytes) -> bool:
        """It hears."""
        self.said.append(json.loads(data))
        return True

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""
        self.closed = code


class Desk:
    """A server, and its API."""

    def __init__(self, folder: Path, start: bool = False, **settings: Any) -> None:
        """`start`: with API plugins, and with what its state file says."""
        self.file = folder / "tokens"
        self.reactor = MemoryReactorClock()
        files: dict[str, Any] = {"api_token_file": str(self.file), "state_file": str(folder / "state")}
        self.server = Server(Settings(api="tcp:2539:interface=127.0.0.1", **files, **settings), self.reactor)
        self.server.privilegedStartService()
        if start:
            self.server.management.services.start()
            self.server.management.apis.start()
        else:
            self.server.node.load(discover())
        self.worked: Callable[[], float] = lambda: 0.0
        self.server.management.door._worked = lambda: self.worked()
        self.token = self.file.read_text().split()[1]
        self.site: Any = self.reactor.tcpServers[-1][1]

    def work_takes_long(self) -> None:
        """A bit of what is asked for takes all of the time that the API has in a turn of the reactor; by default it
        takes none."""
        self.worked = count().__next__

    def send(self, head: str, body: bytes = b"") -> bytes:
        """What is answered to bytes."""
        waiting = Waiting(self.site, head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        waiting.leave()
        return waiting.said()

    def connect(self, data: bytes = b"", transport: Any = None) -> Waiting:
        """A connection, and what is sent first."""
        return Waiting(self.site, data, transport)

    @property
    def connections(self) -> int:
        """How many there are to the API."""
        return len(self.site.open)

    def begin(self, path: str, method: str = "GET", token: str = "", body: bytes = b"", **headers: str) -> Waiting:
        """Ask, and wait."""
        lines = {"Host": "127.0.0.1:2539", "Authorization": f"Bearer {token or self.token}", **headers}
        if body:
            lines["Content-Length"] = str(len(body))
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in lines.items())]
        return Waiting(self.site, "\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def ask(
        self, path: str, method: str = "GET", token: str = "", body: bytes = b"", **headers: str
    ) -> tuple[int, Any]:
        """Status and answer, which is there at once."""
        waiting = self.begin(path, method, token, body, **headers)
        answer = waiting.answer()
        waiting.leave()
        return answer

    def add(self, role: str, token: str) -> None:
        """One more token."""
        with self.file.open("a") as file:
            file.write(f"{role} {token}\n")


class Waiting:
    """A request on its connection."""

    def __init__(self, site: Any, data: bytes, transport: Any = None) -> None:
        protocol = site.buildProtocol(None)
        self._transport = transport or StringTransportWithDisconnection()
        self._transport.protocol = protocol
        protocol.makeConnection(self._transport)
        if data:
            protocol.dataReceived(data)

    def say(self, data: bytes) -> None:
        """Some more."""
        self._transport.protocol.dataReceived(data)

    @property
    def is_open(self) -> bool:
        """Whether the server has not hung up."""
        return bool(self._transport.connected)

    def said(self) -> bytes:
        """What has been answered so far."""
        said: bytes = self._transport.value()
        return said

    def leave(self) -> None:
        """The client goes."""
        if self._transport.connected:
            self._transport.loseConnection()

    def answer(self) -> tuple[int, Any]:
        """Status and answer."""
        head, _, body = self.said().partition(b"\r\n\r\n")
        kind = re.search(rb"Content-Type: ([^\r;]*)", head)
        assert kind is not None
        return int(head.split()[1]), json.loads(body) if kind[1] == b"application/json" else body.decode()
