"""A user agent over a real WebSocket: it says what its script says, and waits for what it expects."""

from __future__ import annotations

from typing import Any, Callable

import orjson
from twisted.internet.defer import Deferred

from gortc.client.dialogue import Dialogue, matches, opening
from gortc.client.wire import Wire, connect
from gortc.jsip.message import Headers

Watch = Callable[[str, bool, Headers], None]


class Unexpected(AssertionError):
    """Something else came than what was expected, or nothing did."""


class UserAgent:
    """One user. `watch(name, sent, message)`, where given, is called with each message sent or received."""

    def __init__(self, reactor: Any, name: str, watch: Watch | None = None) -> None:
        self.name = name
        self.inbox: list[Headers] = []
        self.reactor = reactor
        self._watch = watch
        self._wire: Wire | None = None
        self._arrival: Deferred[None] | None = None

    async def connect(self, url: str) -> UserAgent:
        """Connect to the server's `url`, such as ws://127.0.0.1:8080/rtc. Raises what connecting raises."""
        self._wire = await connect(self.reactor, url, self.name, lambda data: self.arrived(orjson.loads(data)))
        return self

    async def disconnect(self) -> None:
        """Close the connection."""
        if self._wire is not None:
            self._wire.close()
            await self._wire.is_closed

    def send(self, message: Headers) -> None:
        """Send a message as it is."""
        assert self._wire is not None, "not connected"
        if self._watch is not None:
            self._watch(self.name, True, message)
        self._wire.send(orjson.dumps(message))

    def open(self, method: str, to: str, body: Any = None, **headers: Any) -> AgentDialogue:
        """Send a first request."""
        request = opening(method, self.name, to, body, **headers)
        self.send(request)
        return AgentDialogue(self, request, ours=True)

    def call(self, to: str, offer: Any = None, **headers: Any) -> AgentDialogue:
        """Send an INVITE."""
        return self.open("INVITE", to, offer, **headers)

    async def answering(self, method: str = "INVITE", within: float = 10.0) -> AgentDialogue:
        """Wait for a first request: the dialogue that it opens."""
        return AgentDialogue(self, await self.expect(method, within=within), ours=False)

    async def expect(
        self, kind: str | int, dialogue_id: str | None = None, within: float = 10.0, **headers: Any
    ) -> Headers:
        """The next message (of that dialogue), which must be of type `kind` or a response with that code.

        Raises Unexpected where another one comes, or none `within` so many seconds.
        """
        while True:
            for message in self.inbox:
                if dialogue_id in (None, message.get("DialogueID")):
                    if not matches(message, kind, headers):
                        raise Unexpected(f"{self.name} expected {kind} {headers}, got {message}")
                    self.inbox.remove(message)
                    return message
            arrival: Deferred[None] = Deferred()
            self._arrival = arrival
            timeout = self.reactor.callLater(within, arrival.cancel)
            try:
                await arrival
            except Exception:
                raise Unexpected(f"{self.name} expected {kind}, nothing came in {within} s") from None
            finally:
                if timeout.active():
                    timeout.cancel()

    def arrived(self, message: Headers) -> None:
        """A message has arrived."""
        if self._watch is not None:
            self._watch(self.name, False, message)
        self.inbox.append(message)
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.callback(None)


class AgentDialogue(Dialogue):
    """A dialogue of a user agent."""

    def __init__(self, agent: UserAgent, request: Headers, ours: bool) -> None:
        super().__init__(agent.send, request, ours)
        self._agent = agent

    async def expect(self, kind: str | int, within: float = 10.0, **headers: Any) -> Headers:
        """The next message of this dialogue, as `UserAgent.expect`."""
        return await self._agent.expect(kind, self.id, within, **headers)
