"""All work of the management API, in one queue: calls go on meanwhile, and who asks for much keeps nobody waiting.

It is done bit by bit, for some time each turn of the reactor and no longer (`limits.turn`), however many ask; who has
asked takes turns with the others, by his token, or by his address as long as he has shown none. Of what one has asked
for, what takes long is done one after the other, the oldest first: so he has an answer early, and what is begun takes
no room a hundred times. What is new has every other turn, so what is short does not wait behind that. What clients say
until their requests are there, TLS included, is read in the same queue, where they come by TCP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from gortc.admission.addresses import household
from gortc.admission.door import Door
from gortc.settings import Settings

Item = TypeVar("Item")


class ApiDoor(Door):
    """The API's own door. No address is a proxy there, for nobody's word about others counts."""

    flood = "API flood"

    def configure(self, settings: Settings) -> None:
        """What holds for who comes from now on."""
        super().configure(settings)
        self.seconds = 2 * settings.api_request_seconds  # from its first word on a request has a time of its own
        self._room = settings.api_connections

    def _home(self, one: Any, address: str) -> Hashable:
        return household(address)


class Work:
    """What one has asked for: it waits for its turns, one for each bit of it."""

    begun = False

    def __init__(self, door: ApiDoor, asker: str) -> None:
        """`asker` is who takes turns with others."""
        self.address = asker
        self._door = door
        self._turn: Deferred[None] | None = None
        self._is_first = False

    async def begin(self) -> None:
        """Wait until it is its turn: at once, where nobody waits. What the coroutine does from now on is of this."""
        _work.set(self)
        await self.go_on()

    async def go_on(self) -> None:
        """A bit is done; wait until it is its turn again."""
        if not self._door.knock(self, ahead=self._is_first):
            self._turn = Deferred(self._leave)
            self._is_first = self.begun  # it has a place among what is begun, and stays there
            await self._turn
        self.begun = True

    def take_turn(self) -> None:
        """It has waited for it."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.callback(None)

    def give_up(self) -> None:
        """It will have none."""
        if self._turn is not None:
            self._turn.cancel()

    def _leave(self, turn: Deferred[None]) -> None:
        self._turn = None
        self._door.leave(self)


_work: ContextVar[Work] = ContextVar("work")


async def pause(reactor: Any) -> None:
    """A bit is done of what takes long: others may have their turn."""
    work = _work.get(None)
    if work is None:  # nobody has asked
        await deferLater(reactor, 0)
    else:
        await work.go_on()


async def in_turns(items: Iterable[Item], reactor: Any, at_once: int) -> AsyncIterator[Item]:
    """These, `at_once` a bit. Nothing that changes meanwhile may be behind them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % at_once == 0:
            await pause(reactor)
