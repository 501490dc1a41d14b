"""Timers of the stack: docs/jsip.md section 5.

Nearly all times of the stack are constants, so they need no heap: items that wait equally long expire in the order in
which they were started. A `TimerQueue` is that order, one dict, and keeps one call of the clock for its first item.
Starting and stopping are a dict insert and a delete, and a stopped timer leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar


class Call(Protocol):
    """What a clock returns for a call to come."""

    def cancel(self) -> None:
        """Take the call back."""


class Clock(Protocol):
    """The part of Twisted's IReactorTime that the stack needs; `twisted.internet.task.Clock` has it too."""

    def seconds(self) -> float:
        """The time now, in seconds."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any) -> Call:  # noqa: N802
        """Call after `delay` seconds."""


Item = TypeVar("Item", bound=Hashable)

IDLE_MAX: Final = 8
"""So many empty queues of named times are kept."""


class TimerQueue(Generic[Item]):
    """Items that each wait `seconds` and are then given to `fire`. Made by `Timers.queue`."""

    __slots__ = ("_call", "_constant", "_due", "_now", "_timers", "fire", "seconds")

    def __init__(self, timers: Timers, seconds: float, fire: Callable[[Item], object], constant: bool) -> None:
        self.seconds = seconds
        self.fire = fire
        self._constant = constant
        self._timers = timers
        self._now = timers.clock.seconds
        self._due: dict[Item, float] = {}  # in the order of starting, which is the order of expiry
        self._call: Call | None = None

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, item: Item) -> bool:
        """Whether `item` waits."""
        return item in self._due

    def started(self, item: Item) -> float:
        """When `item` was started, on the clock. Raises KeyError where it does not wait."""
        return self._due[item] - self.seconds

    def start(self, item: Item) -> None:
        """Let `item` wait, from now on; where it waits already, from now on again."""
        due = self._due
        if item in due:
            del due[item]
        due[item] = self._now() + self.seconds
        if self._call is None:
            self._call = self._timers.clock.callLater(self.seconds, self._tick)

    def stop(self, item: Item) -> None:
        """`item` waits no longer; nothing happens where it did not."""
        due = self._due
        if item in due:
            del due[item]
            if not due and not self._constant:
                self._timers.idle(self)

    def rest(self) -> None:
        """An empty queue of a named time goes. A constant one keeps its call of the clock, which finds nothing and is
        then not renewed: most requests are answered at once, and must not pay for a call each."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._timers.forget(self)

    def _tick(self) -> None:
        self._call = None
        now = self._timers.clock.seconds()
        expired = []
        for item, due in self._due.items():
            if due > now:
                break
            expired.append(item)
        for item in expired:
            if self._due.pop(item, None) is None:  # stopped by one that fired before it in this very tick
                continue
            try:
                self.fire(item)
            except Exception:  # one item's failure must not stop the others' time
                self._timers.failed()
        if self._due:
            self._wait(next(iter(self._due.values())) - now)
        elif not self._constant:
            self.rest()

    def _wait(self, seconds: float) -> None:
        if self._call is not None:  # one that fired has started another, which waits behind those that are left
            self._call.cancel()
        self._call = self._timers.clock.callLater(max(0.0, seconds), self._tick)


class Timers:
    """All timer queues of a node: `queue` for the constants, `start` for times that a message names."""

    def __init__(self, clock: Clock, failed: Callable[[], None]) -> None:
        """`failed` is called in the handler of an exception that a `fire` raised; it logs."""
        self.clock = clock
        self.failed = failed
        self._constant: list[TimerQueue[Any]] = []
        self._named: dict[tuple[float, Callable[[Any], object]], TimerQueue[Any]] = {}
        self._idle: dict[TimerQueue[Any], None] = {}

    def __len__(self) -> int:
        """How many items wait."""
        return sum(map(len, self._constant)) + sum(map(len, self._named.values()))

    def queue(self, seconds: float, fire: Callable[[Item], object]) -> TimerQueue[Item]:
        """A queue for a constant time, kept for good."""
        made = TimerQueue(self, seconds, fire, constant=True)
        self._constant.append(made)
        return made

    def start(self, seconds: float, fire: Callable[[Item], object], item: Item) -> TimerQueue[Item]:
        """Let `item` wait `seconds` in a queue that goes when its last item has gone."""
        key = (seconds, fire)
        queue = self._named.get(key)
        if queue is None:
            queue = self._named[key] = TimerQueue(self, seconds, fire, constant=False)
        elif self._idle:
            self._idle.pop(queue, None)
        queue.start(item)
        return queue

    def idle(self, queue: TimerQueue[Any]) -> None:
        """A queue of a named time is empty. The last few stay until their call of the clock: a time that is named again
        and again, as most callers name the same `Expire`, must not pay for a queue and a call each."""
        self._idle[queue] = None
        if len(self._idle) > IDLE_MAX:
            next(iter(self._idle)).rest()

    def forget(self, queue: TimerQueue[Any]) -> None:
        """Drop an empty queue of a named time, so that peers who name many times leave nothing behind."""
        self._idle.pop(queue, None)
        key = (queue.seconds, queue.fire)
        if self._named.get(key) is queue:
            del self._named[key]
