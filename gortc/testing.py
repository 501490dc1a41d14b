"""The test kit for service authors: scripted users and virtual time, no socket, no phone.

    lab = Lab(hunt400)
    alice, agent1, agent2 = lab.users("alice", "agent1", "agent2")
    call = alice.call("400@gortc.local", "an offer")
    agent1.answering().reply(486)
    leg = agent2.answering()
    lab.advance(15)                  # 15 s of ringing in no time
    leg.expect("CANCEL")
    lab.check_empty()

Users speak raw JSIP through the real stack: what they send is what a phone would send.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

import orjson
from twisted.internet.task import Clock

from gortc.client.dialogue import Dialogue, matches, opening
from gortc.client.ladder import SERVER, Ladder
from gortc.client.player import Outcome, Player
from gortc.client.scenario import Scenario
from gortc.client.venue import Arrived
from gortc.jsip.message import Headers
from gortc.jsip.times import Times
from gortc.node import Node
from gortc.service.interfaces import IServiceLogic
from gortc.settings import Settings, SettingsError
from gortc.transport.names import channel_name


class Lab:
    """A node in virtual time with the `services` under test.

    `config` is the services' configuration, name -> dict, as in the settings; further keyword arguments are settings
    (`realm` is gortc.local by default). One service alone also serves as `default`. Several nodes may share a `clock`.
    """

    def __init__(
        self,
        *services: IServiceLogic,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.settings = Settings(services=config or {}, **settings)
        self.node = Node(self.settings, self.clock)
        self.ladder = Ladder()
        found = {service.name: service for service in services}
        self.node.load(found)
        if len(services) == 1 and "default" not in found:
            only = services[0]
            wanted = self.settings.services.get(only.name, {})
            self.node.services.load(only, "default", wanted)

    def user(self, name: str) -> User:
        """Connect a user; `name` gets the realm where it has no `@`."""
        return User(self, name if "@" in name else f"{name}@{self.settings.realm}")

    def users(self, *names: str) -> list[User]:
        """Connect several."""
        return [self.user(name) for name in names]

    def advance(self, seconds: float = 0.0) -> None:
        """Let `seconds` pass, one timer after the other."""
        end = self.clock.seconds() + seconds
        while calls := self.clock.getDelayedCalls():
            due = min(call.getTime() for call in calls)
            if due > end:
                break
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(end - self.clock.seconds())

    def start(self, service: str, **details: Any) -> None:
        """Start an instance without an incoming session, as `context.start` does."""
        context = self.node.services.get(service)
        assert context is not None, f"no service is loaded as {service}"
        context.start(**details)
        self.advance()

    def run(self, scenario: Scenario) -> Outcome:
        """Play a scenario in virtual time; a wrong step is an AssertionError, with the ladder so far."""
        outcome = self.perform(scenario)
        assert outcome.wrong is None, f"{scenario.title}: {outcome.wrong}\n{outcome.ladder.draw()}"
        return outcome

    def perform(self, scenario: Scenario, **how: Any) -> Outcome:
        """The same, whatever comes of it; `how` is given to the `Player`."""
        player = Player(scenario, LabVenue(self), self.settings.realm, **how)
        self.ladder = player.outcome.ladder
        outcome: Outcome = _at_once(player.play())
        return outcome

    def check_empty(self) -> None:
        """Nothing is left: no session, transaction, task or timer; and time passes without anything happening."""
        census = self.node.census()
        assert not any(census.values()), f"{census}\n{self.ladder.draw()}"
        said = len(self.ladder)
        while calls := self.clock.getDelayedCalls():  # each queue's last wake-up, which finds nothing to do
            self.advance(max(call.getTime() for call in calls) - self.clock.seconds())
        assert len(self.ladder) == said, self.ladder.draw()
        dispatch = self.node.dispatch
        assert not dispatch.minted, dispatch.minted
        assert not dispatch.chosen, dispatch.chosen


def lab_for(scenario: Scenario, services: Mapping[str, IServiceLogic]) -> Lab:
    """A lab with these services, and with the configuration and the settings that a scenario asks for.

    Raises SettingsError and ServiceError where it asks for what can't be.
    """
    settings = dict(scenario.settings)
    try:
        if "times" in settings:
            settings["times"] = Times(**settings["times"])
        return Lab(*services.values(), config=scenario.services, **settings)
    except TypeError as unknown:
        raise SettingsError(f"{scenario.title}: settings: {unknown}") from None


class User:
    """A scripted user. `inbox` has what has arrived and was not expected yet."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = channel_name(name)
        self.inbox: list[Headers] = []
        self.closed: int | None = None
        self.channel = lab.node.channels.connect(self.name, _Wire(self))

    # sending

    def send(self, message: Headers | bytes) -> None:
        """Send a message as it is; bytes as they are."""
        assert self.closed is None, f"{self.name} is not connected"
        wire = self.channel.connection
        assert wire is not None
        if isinstance(message, bytes):
            data = message
        else:
            data = orjson.dumps(message)
            self.lab.ladder.add(self.lab.clock.seconds(), self.name, SERVER, message)
        self.lab.node.channels.receive(self.channel, wire, data)
        self.lab.advance()

    def open(self, method: str, to: str, body: Any = None, **headers: Any) -> Talk:
        """Send a first request to `to`, which gets the realm where it has no `@`."""
        to = to if "@" in to else f"{to}@{self.lab.settings.realm}"
        request = opening(method, self.name, to, body, **headers)
        self.send(request)
        return Talk(self, request, ours=True)

    def call(self, to: str, offer: Any = None, **headers: Any) -> Talk:
        """Send an INVITE to `to`."""
        return self.open("INVITE", to, offer, **headers)

    def leave(self) -> None:
        """Lose the connection, as when a socket breaks."""
        wire = self.channel.connection
        if wire is not None:
            self.lab.node.channels.lost(self.channel, wire)
        self.closed = 1006
        self.lab.advance()

    def close(self) -> None:
        """Close the connection, as a page does that is left."""
        wire = self.channel.connection
        if wire is not None:
            self.channel.closed_by_peer(wire, 1000)
        self.leave()

    # what arrives

    def arrived(self, message: Headers) -> None:
        """A message of the server's has arrived."""
        self.lab.ladder.add(self.lab.clock.seconds(), SERVER, self.name, message)
        self.inbox.append(message)

    def expect(self, kind: str | int, dialogue_id: str | None = None, **headers: Any) -> Headers:
        """The next message (of that dialogue) is of type `kind` (or a response with that code), with these headers."""
        message = next((m for m in self.inbox if dialogue_id in (None, m["DialogueID"])), None)
        ladder = self.lab.ladder.draw
        assert message is not None, f"{self.name} expected {kind}, nothing came\n{ladder()}"
        assert matches(message, kind, headers), f"{self.name} expected {kind} {headers}, got {message}\n{ladder()}"
        self.inbox.remove(message)
        return message

    def answering(self, method: str = "INVITE", **headers: Any) -> Talk:
        """The next message is a first request: the dialogue that it opens."""
        return Talk(self, self.expect(method, **headers), ours=False)

    def expect_nothing(self) -> None:
        """Nothing else has arrived."""
        assert not self.inbox, f"{self.name} got {self.inbox}\n{self.lab.ladder.draw()}"


class Talk(Dialogue):
    """A dialogue of a scripted user."""

    def __init__(self, user: User, request: Headers, ours: bool) -> None:
        super().__init__(user.send, request, ours)
        self.user = user

    def expect(self, kind: str | int, **headers: Any) -> Headers:
        """The next message of this dialogue."""
        return self.user.expect(kind, self.id, **headers)

    def expect_nothing(self) -> None:
        """Nothing else has arrived in this dialogue."""
        left = [message for message in self.user.inbox if message["DialogueID"] == self.id]
        assert not left, f"{self.user.name} got {left}\n{self.user.lab.ladder.draw()}"


class _Wire:
    """A connection without a socket."""

    def __init__(self, user: User) -> None:
        self._user = user

    def send(self, data: bytes) -> bool:
        """What the server writes arrives at once."""
        self._user.arrived(orjson.loads(data))
        return True

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """The server closes the connection."""
        self._user.closed = code
        self._user.lab.node.channels.lost(self._user.channel, self)


class LabVenue:
    """Where a scenario is played in virtual time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def now(self) -> float:
        """Virtual time."""
        return self.lab.clock.seconds()

    async def connect(self, user: str, arrived: Arrived) -> LabLine:
        """Connect without a socket. Raises BadName."""
        return LabLine(self.lab, user, arrived)

    async def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.lab.advance(seconds)


class LabLine:
    """A connection without a socket, for a scenario's party."""

    def __init__(self, lab: Lab, user: str, arrived: Arrived) -> None:
        self.closed: tuple[int, str] | None = None
        self._lab = lab
        self._arrived = arrived
        self._heard = 0
        self._wire = _LineWire(self)
        self._channel = lab.node.channels.connect(channel_name(user), self._wire)

    def send(self, message: Headers) -> None:
        """The server has it at once, and what it does at once has happened."""
        self._receive(orjson.dumps(message))

    def send_text(self, text: str) -> None:
        """The same with a frame as it is."""
        self._receive(text.encode())

    def _receive(self, data: bytes) -> None:
        self._lab.node.channels.receive(self._channel, self._wire, data)
        self._lab.advance()

    async def wait(self, seconds: float | None) -> bool:
        """Let time pass until something arrives; what is on its way has arrived already."""
        clock, heard = self._lab.clock, self._heard
        end = clock.seconds() + (seconds or 0.0)
        while self._heard == heard:
            due = min((call.getTime() for call in clock.getDelayedCalls()), default=end)
            self._lab.advance(max(0.0, min(due, end) - clock.seconds()))
            if due >= end:
                break
        return self._heard != heard

    async def settle(self) -> None:
        """Everything happens at once here."""

    async def close(self) -> None:
        """As when the peer closes."""
        if self.closed is None:
            self.closed = (1000, "")
            self._channel.closed_by_peer(self._wire, 1000)
            self._lab.node.channels.lost(self._channel, self._wire)
            self._lab.advance()

    def heard(self, data: bytes) -> None:
        """The server has sent a message."""
        self._heard += 1
        self._arrived(orjson.loads(data))

    def was_closed(self, code: int, reason: str) -> None:
        """The server has closed the connection."""
        self._heard += 1
        self.closed = (code, reason)
        self._lab.node.channels.lost(self._channel, self._wire)


class _LineWire:
    """The server's end of a line."""

    def __init__(self, line: LabLine) -> None:
        self._line = line

    def send(self, data: bytes) -> bool:
        """Arrives at once."""
        self._line.heard(data)
        return True

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """The server closes the connection."""
        self._line.was_closed(code, reason)


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that awaits nothing that is not there."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the scenario waits for what virtual time can't bring")
