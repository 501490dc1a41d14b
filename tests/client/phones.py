"""Phones without terminal and socket, joined in memory to a lab's server, in its virtual time."""

from __future__ import annotations

from collections.abc import Callable

from gortc.client.endpoint import Endpoint
from gortc.client.phone import Disconnected, Phone
from gortc.client.sdp import direction
from gortc.jsip.message import Headers
from gortc.testing import Lab
from gortc.transport.channels import Connection


class End:
    """One end of a connection: what is sent here arrives `at` the other, soon but not at once, in its order."""

    def __init__(self, lab: Lab, at: Callable[[bytes], None]) -> None:
        self.lab = lab
        self.at = at
        self.closed: int | None = None

    def send(self, data: bytes) -> bool:
        """It is on its way."""
        if self.closed is None:
            self.lab.clock.callLater(0, self.at, data)
        return self.closed is None

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """It closes."""
        self.closed = code


class Handset:
    """The phone of `name`, connected to the lab's server.

    `type` something and it is done; `heard` takes what the phone has told since the last time, `said` what went over
    the wire (`> INVITE` sent, `< 180` received).
    """

    def __init__(self, lab: Lab, name: str, to: str | None = None, pick_up: float | None = None) -> None:
        self.lab = lab
        self.name = f"{name}@gortc.local"
        self.phone = Phone(self.name, lambda line: self._told.append(line), to, pick_up)
        self.endpoint = Endpoint(self.name, self.phone.logic, lab.clock, self._trace)
        self.messages: list[Headers] = []
        self._told: list[str] = []
        self._said: list[str] = []
        self._looked = 0
        self._here: Connection = End(lab, lambda data: lab.node.channels.receive(self._channel, self._there, data))
        self._there: Connection = End(lab, lambda data: self.endpoint.receive(self._here, data))
        self._channel = lab.node.channels.connect(self.name, self._there)
        self.endpoint.connect(self._here)

    def _trace(self, direction: str, channel: str, message: Headers) -> None:
        self.messages.append(message)
        self._said.append(f"{direction} {message.get('Code') or message['Type']}")

    def type(self, *lines: str) -> None:
        """Type lines, and let come what comes of them."""
        for line in lines:
            self.phone.obey(line)
            self.lab.advance()

    def lose(self) -> None:
        """The connection breaks; the reason is `gone`."""
        self.lab.node.channels.lost(self._channel, self._there)
        self.endpoint.lost(self._here)
        self.phone.lost("gone")
        self.lab.advance()

    def heard(self, *lines: str) -> None:
        """The phone has told exactly this."""
        told, self._told[:] = list(self._told), []
        assert told == list(lines)

    @property
    def closed(self) -> int | None:
        """The code with which it has closed its connection."""
        assert isinstance(self._here, End)
        return self._here.closed

    def ways(self) -> list[str]:
        """Which way the media go in each description since the last time."""
        fresh, self._looked = self.messages[self._looked :], len(self.messages)
        return [direction(message["Body"]) for message in fresh if "Body" in message]

    def said(self, *lines: str) -> None:
        """Exactly this went over the wire."""
        said, self._said[:] = list(self._said), []
        assert said == list(lines)

    def counted(self, *reasons: str) -> None:
        """Its stack has dropped messages for these reasons, and for no other, since the last time."""
        counts = self.endpoint.journal.counts
        found = sorted(counts.elements())
        counts.clear()
        assert found == sorted(reasons)

    def forget(self) -> None:
        """What was told and said so far is another test's concern."""
        self._looked = len(self.messages)
        self._told.clear()
        self._said.clear()

    @property
    def gone(self) -> bool:
        """It has left by its own word."""
        return self.phone.gone.called

    def broke(self) -> str:
        """Why the connection has gone."""
        why: list[str] = []
        self.phone.gone.addErrback(lambda failure: why.append(str(failure.trap(Disconnected) and failure.value)))
        return why[0]

    def check_empty(self) -> None:
        """Nothing is left, here or at the server."""
        assert self.phone.state == "idle"
        census = self.endpoint.census()
        assert not any(census.values()), census
        self.counted()
        self.lab.check_empty()
