"""Timer queues: docs/jsip.md section 5."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import fields
from twisted.internet.task import Clock

from gortc.jsip.timers import IDLE_MAX, Timers
from gortc.jsip.times import Times


class Bench:
    """Timers whose items tell when they fire."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.failed = 0
        self.timers = Timers(self.clock, self._failed)
        self.fired: list[tuple[float, str]] = []

    def _failed(self) -> None:
        self.failed += 1

    def fire(self, item: str) -> None:
        self.fired.append((self.clock.seconds(), item))
        if item.startswith("bad"):
            raise ValueError(item)

    def pass_by(self, *seconds: float) -> None:
        for step in seconds:
            self.clock.advance(step)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_items_fire_in_the_order_of_starting(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    queue.start("one")
    bench.pass_by(1)
    queue.start("two")
    queue.start("three")
    assert len(bench.timers) == len(queue) == 3
    bench.pass_by(3.9)
    assert bench.fired == []
    bench.pass_by(0.1)
    assert bench.fired == [(5, "one")]
    bench.pass_by(1)
    assert bench.fired == [(5, "one"), (6, "two"), (6, "three")]
    assert len(bench.timers) == 0


def test_starting_again_waits_again(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    queue.start("one")
    queue.start("two")
    bench.pass_by(3)
    queue.start("one")
    bench.pass_by(2, 3)
    assert bench.fired == [(5, "two"), (8, "one")]


def test_a_stopped_item_does_not_fire(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    queue.start("one")
    queue.start("two")
    queue.stop("one")
    queue.stop("never started")
    bench.pass_by(5)
    assert bench.fired == [(5, "two")]
    queue.stop("two")


def test_an_item_stopped_by_one_that_fires_with_it(bench: Bench) -> None:
    fired: list[str] = []

    def fire(item: str) -> None:
        fired.append(item)
        queue.stop("two")

    queue = bench.timers.queue(5, fire)
    for item in ("one", "two", "three"):
        queue.start(item)
    bench.pass_by(5)
    assert fired == ["one", "three"]
    assert len(queue) == 0


def test_an_item_started_while_it_fires(bench: Bench) -> None:
    def fire(item: str) -> None:
        bench.fire(item)
        queue.start(item)

    queue = bench.timers.queue(5, fire)
    queue.start("one")
    bench.pass_by(5, 5, 4)
    assert bench.fired == [(5, "one"), (10, "one")]
    queue.stop("one")


def test_one_that_starts_another_makes_nobody_late(bench: Bench) -> None:
    """The other waits behind those that were there before it, and are due sooner."""

    def fire(item: str) -> None:
        bench.fire(item)
        if item == "one":
            queue.start("three")

    queue = bench.timers.queue(10, fire)
    queue.start("one")
    bench.pass_by(1)
    queue.start("two")
    bench.pass_by(*[1] * 20)
    assert bench.fired == [(10, "one"), (11, "two"), (20, "three")]
    assert len(bench.clock.getDelayedCalls()) <= 1


def test_the_next_one_is_due_when_it_is_due(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    queue.start("one")
    bench.pass_by(0.25)
    queue.start("two")
    bench.pass_by(*[0.25] * 24)
    assert bench.fired == [(5, "one"), (5.25, "two")]


def test_one_that_raises_stops_no_other(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    for item in ("bad one", "two", "bad three", "four"):
        queue.start(item)
    bench.pass_by(5)
    assert [item for _, item in bench.fired] == ["bad one", "two", "bad three", "four"]
    assert bench.failed == 2
    assert len(bench.timers) == 0


def test_a_late_clock_fires_all_that_is_due(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    queue.start("one")
    bench.pass_by(3)
    queue.start("two")
    bench.pass_by(100)
    assert [item for _, item in bench.fired] == ["one", "two"]


def test_a_queue_of_no_time_fires_when_the_caller_has_returned(bench: Bench) -> None:
    queue = bench.timers.queue(0, bench.fire)
    queue.start("one")
    assert bench.fired == []
    bench.pass_by(0)
    assert bench.fired == [(0, "one")]


def test_one_call_of_the_clock_a_queue_however_many_items(bench: Bench) -> None:
    queue = bench.timers.queue(5, bench.fire)
    for number in range(1000):
        queue.start(str(number))
    assert len(bench.clock.getDelayedCalls()) == 1
    for number in range(1000):
        queue.stop(str(number))
    bench.pass_by(5)
    assert not bench.fired
    assert not bench.clock.getDelayedCalls()


def test_named_times_leave_nothing_behind(bench: Bench) -> None:
    """But the last few, empty, until their time."""
    for number in range(1, 1000):
        queue = bench.timers.start(number, bench.fire, "one")
        assert len(bench.timers) == 1
        queue.stop("one")
        assert len(bench.timers._named) == len(bench.timers._idle) == min(number, IDLE_MAX)
    assert len(bench.clock.getDelayedCalls()) == IDLE_MAX
    bench.timers.start(3, bench.fire, "one")
    bench.pass_by(3)
    assert bench.fired == [(3, "one")]
    assert len(bench.timers._named) == IDLE_MAX
    bench.pass_by(1000)
    assert not bench.timers._named
    assert not bench.timers._idle
    assert not bench.clock.getDelayedCalls()


def test_a_time_named_again_and_again_is_one_queue_and_one_call_of_the_clock(bench: Bench) -> None:
    queue = bench.timers.start(100, bench.fire, "first")
    (call,) = bench.clock.getDelayedCalls()
    for number in range(10):
        queue.stop("first" if number == 0 else str(number - 1))
        bench.pass_by(9)
        assert bench.timers.start(100, bench.fire, str(number)) is queue
        assert not bench.timers._idle
        assert bench.clock.getDelayedCalls() == [call]
    bench.pass_by(100)
    assert bench.fired == [(190, "9")]


def test_items_of_one_named_time_share_a_queue(bench: Bench) -> None:
    first = bench.timers.start(3, bench.fire, "one")
    assert bench.timers.start(3, bench.fire, "two") is first
    assert bench.timers.start(4, bench.fire, "three") is not first
    first.stop("one")
    bench.pass_by(4)
    assert [item for _, item in bench.fired] == ["two", "three"]


def test_a_queue_that_was_forgotten_may_be_started_again(bench: Bench) -> None:
    old = bench.timers.start(3, bench.fire, "one")
    old.stop("one")
    bench.pass_by(3)
    new = bench.timers.start(3, bench.fire, "two")
    assert new is not old
    old.start("one")
    old.stop("one")  # forgets itself, and not the one that has taken its place
    assert len(bench.timers) == 1
    bench.pass_by(3)
    assert bench.fired == [(6, "two")]


def test_the_defaults() -> None:
    times = Times()
    assert (
        times.transaction, times.provisional, times.invite, times.invite_max, times.cancel, times.ack, times.error_ack,
        times.session, times.session_min, times.session_max, times.session_margin, times.ping, times.dead,
    ) == (5, 60, 60, 600, 32, 32, 5, 600, 10, 86_400, 5, 15, 40)  # fmt: skip


TIMES: dict[str, Any] = {time.name: 1 if isinstance(time.default, int) else 0.5 for time in fields(Times)}
"""Each of them, and a short one."""


@pytest.mark.parametrize("name", TIMES)
def test_the_shortest_times(name: str) -> None:
    assert getattr(Times(**{name: TIMES[name]}), name) == TIMES[name]
    none: dict[str, Any] = {name: -0.5 if name in ("session_margin", "drain", "absent") else 0}
    with pytest.raises(ValueError, match=name):
        Times(**none)


def test_a_session_may_have_no_margin() -> None:
    assert Times(session_margin=0).session_margin == 0
