"""Users that many calls share: each call's messages find it among the others on the same connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, ensureDeferred, gatherResults

from gortc.client.venue import Arrived, Bell, Net, NetLine
from gortc.jsip.message import Headers

MARK = "X-Load"
"""The header that says which call a first request belongs to; a service that carries headers on carries it on."""
AT_ONCE = 50
"""So many connections are opened at a time."""


class Stations:
    """The users of a load, `cast`: party -> userids."""

    def __init__(self, net: Net, cast: dict[str, list[str]]) -> None:
        self.net = net
        self.strays = 0
        self._cast = cast
        self._stations = {user: Station(self, user) for users in cast.values() for user in users}

    @property
    def count(self) -> int:
        """How many users there are."""
        return len(self._stations)

    async def connect(self) -> None:
        """Connect them all. Raises what the first one that fails raises."""
        gate = DeferredSemaphore(AT_ONCE)
        waits = [gate.run(self._connect, station) for station in self.each()]
        try:
            await gatherResults(waits, consumeErrors=True)
        except Exception as failure:  # gatherResults wraps it
            raise getattr(getattr(failure, "subFailure", None), "value", failure) from None

    def _connect(self, station: Station) -> Deferred[None]:
        return ensureDeferred(station.connect(self.net))

    async def close(self) -> None:
        """Disconnect them all."""
        await gatherResults([ensureDeferred(station.line.close()) for station in self.each()])

    def each(self) -> list[Station]:
        """All of them."""
        return list(self._stations.values())

    def users(self, number: int) -> dict[str, str]:
        """Who plays the parties of call `number`: the users take turns."""
        return {party: users[number % len(users)] for party, users in self._cast.items()}

    def venue(self, number: int) -> Desk:
        """Where call `number` is played."""
        return Desk(self, number)

    def station(self, user: str) -> Station:
        """The station of `user`."""
        return self._stations[user]


class Station:
    """One user's connection, and the calls that it has a part in."""

    line: NetLine

    def __init__(self, stations: Stations, user: str) -> None:
        self.user = user
        self.marked: dict[str, Extension] = {}
        self.dialogues: dict[Any, Extension] = {}
        self._stations = stations

    async def connect(self, net: Net) -> None:
        """Connect."""
        self.line = await net.connect(self.user, self.arrived)

    def arrived(self, message: Any) -> None:
        """Give a message to the call whose dialogue it is, or that it is marked for; else to who has waited longest."""
        if not isinstance(message, dict):
            self._stations.strays += 1
            return
        dialogue_id = message.get("DialogueID")
        extension = self.dialogues.get(dialogue_id)
        if extension is None and message.get("Type") != "RESPONSE":
            extension = self.marked.get(str(message.get(MARK))) if MARK in message else self._longest_waiting()
        if extension is None:
            self._stations.strays += 1
        else:
            self.dialogues[dialogue_id] = extension
            extension.take(dialogue_id, message)

    def _longest_waiting(self) -> Extension | None:
        return next((extension for extension in self.marked.values() if extension.waits), None)


class Desk:
    """One call's view of the stations: a venue, where its parties have extensions instead of connections."""

    def __init__(self, stations: Stations, number: int) -> None:
        self._stations = stations
        self._mark = str(number)

    def now(self) -> float:
        """The time."""
        return self._stations.net.now()

    async def connect(self, user: str, arrived: Arrived) -> Extension:
        """The station is connected already."""
        return Extension(self._stations.net, self._stations.station(user), self._mark, arrived)

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await self._stations.net.pause(seconds)


class Extension:
    """One call's share of a station: a line."""

    def __init__(self, net: Net, station: Station, mark: str, arrived: Arrived) -> None:
        self._station = station
        self._mark = mark
        self._arrived = arrived
        self._dialogues: set[Any] = set()
        self._bell = Bell(net)
        station.marked[mark] = self

    @property
    def waits(self) -> bool:
        """Whether the call waits for something here."""
        return self._bell.awaited

    @property
    def closed(self) -> tuple[int, str] | None:
        """The station's."""
        return self._station.line.closed

    def send(self, message: Headers) -> None:
        """Send it, marked where it opens a dialogue."""
        dialogue_id = message.get("DialogueID")
        if dialogue_id not in self._station.dialogues:
            self._station.dialogues[dialogue_id] = self
            self._dialogues.add(dialogue_id)
            message = {MARK: self._mark, **message}
        self._station.line.send(message)

    def send_text(self, text: str) -> None:
        """Send it as it is."""
        self._station.line.send_text(text)

    def take(self, dialogue_id: Any, message: Headers) -> None:
        """A message of this call has arrived."""
        self._dialogues.add(dialogue_id)
        self._arrived(message)
        self._bell.ring()

    async def wait(self, seconds: float | None) -> bool:
        """Wait in real time."""
        return self.closed is None and await self._bell.wait(seconds)

    async def settle(self) -> None:
        """Under load nobody asks the server more than the scenario says."""

    async def close(self) -> None:
        """The call is over; the station stays."""
        self._station.marked.pop(self._mark, None)
        for dialogue_id in self._dialogues:
            self._station.dialogues.pop(dialogue_id, None)
