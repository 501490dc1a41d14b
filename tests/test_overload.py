"""Overload: when a part of new sessions is turned away, how large it is, and when that ends. In virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from gortc.jsip.timers import Timers
from gortc.node import Node
from gortc.overload import CALM, LOOK_EVERY, SHEDDING, Overload
from gortc.settings import Settings


def fail() -> None:
    """A timer has raised."""
    raise AssertionError


TURN = 0.01
"""The reactor's turn, in seconds, where there is little to do."""


class Machine:
    """A server that takes `cost` seconds of CPU a session, and `refusal` for one that is turned away."""

    def __init__(self, cost: float, refusal: float = 0.0, **settings: Any) -> None:
        self.clock = Clock()
        self.cost = cost
        self.refusal = refusal
        self.worked = 0.0
        made = Settings(**settings)
        node = Node(made, self.clock)
        self.gate, self.journal = node.gate, node.journal
        self.overload = Overload(self.gate, made, Timers(self.clock, fail), node.journal, lambda: self.worked)
        self.overload.start()

    def ask(self, rate: float, seconds: float) -> tuple[int, int]:
        """So many calls a second, for so long: how many were let in, and turned away. A turn of the reactor takes all
        that has come in the turn before it, so turns grow where there is more to do than can be done."""
        admitted = refused = 0
        turn, due, end = TURN, 0.0, self.clock.seconds() + seconds
        while self.clock.seconds() < end - TURN / 2:
            due += rate * turn
            spent = 0.0
            while due >= 0.5:
                due -= 1.0
                if self.gate.full():
                    refused += 1
                    self.gate.refused += 1
                    took = self.refusal
                else:
                    admitted += 1
                    self.gate.admitted += 1
                    took = self.cost
                spent += took
                self.clock.rightNow += took  # no timer is looked at meanwhile
            self.worked += spent
            turn = max(TURN, spent)
            self.clock.advance(turn - spent)
        return admitted, refused


def test_a_server_with_time_to_spare_turns_nobody_away() -> None:
    machine = Machine(0.001)
    assert machine.ask(800, 20) == (16000, 0)
    assert machine.overload.state == CALM


def test_a_moment_is_no_overload() -> None:
    machine = Machine(0.001)
    machine.ask(500, 5)
    assert machine.ask(2000, 0.1)[1] == 0
    assert machine.ask(500, 5)[1] == 0
    assert machine.overload.state == CALM


def test_all_that_can_be_done_is_no_overload() -> None:
    """Always at work, and nothing waits."""
    machine = Machine(0.001)
    assert machine.ask(1000, 20) == (20000, 0)
    assert machine.overload.load > 0.99
    assert machine.overload.state == CALM


@pytest.mark.proves("D-23")
@pytest.mark.parametrize("times", [1.5, 2, 5, 10])
def test_as_many_as_can_be_done(times: float) -> None:
    """After a while, whatever is asked: nearly as many as without the others."""
    machine = Machine(0.001, 0.00002)
    machine.ask(1000 * times, 10)
    assert machine.overload.state == SHEDDING
    admitted, refused = machine.ask(1000 * times, 30)
    assert 30_000 >= admitted >= 30_000 * (0.95 - 0.02 * times) * 0.95
    assert admitted + refused == pytest.approx(30_000 * times, rel=0.01)
    assert machine.overload.load == pytest.approx(0.95, abs=0.05)
    assert machine.journal.counts["overload began"] == 1


@pytest.mark.proves("D-23")
def test_all_are_taken_again() -> None:
    machine = Machine(0.001)
    machine.ask(3000, 10)
    machine.ask(500, 4)
    assert machine.overload.state == SHEDDING  # some of those who were turned away have not come back yet
    machine.ask(500, 2)
    assert machine.overload.state == CALM
    assert machine.ask(500, 10) == (5000, 0)


@pytest.mark.proves("D-23")
def test_what_is_late_counts_at_once() -> None:
    """A turn of the reactor that takes too long ends in refusals, before anything is measured."""
    machine = Machine(0.001, lag_high=0.25)
    machine.clock.rightNow += 0.34
    assert not machine.gate.full()
    machine.clock.rightNow += 0.02
    assert machine.gate.full()
    machine.clock.advance(0)
    assert not machine.gate.full()
    assert machine.overload.state == CALM  # once is no overload


def test_lag_alone_is_overload() -> None:
    """Somebody else has the processor."""
    machine = Machine(0.0)
    for _ in range(20):
        machine.clock.advance(0.6)
    assert machine.overload.state == SHEDDING
    assert machine.overload.load == 0.0
    for _ in range(60):
        machine.clock.advance(LOOK_EVERY)
    assert machine.overload.state == CALM


def test_never() -> None:
    """Marks out of reach."""
    machine = Machine(0.001, load_high=9.0, lag_high=1e9)
    assert machine.ask(3000, 5)[1] == 0


def test_stop() -> None:
    machine = Machine(0.001)
    machine.ask(3000, 5)
    machine.overload.stop()
    assert not machine.gate.full()
    machine.clock.advance(LOOK_EVERY)
    assert machine.clock.getDelayedCalls() == []
