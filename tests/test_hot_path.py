"""What a message costs, in what a slow machine does not change: calls of our functions, cycles, rows, timers."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import pytest
from twisted.internet.task import Clock

from bench.exchange import SCENARIOS, Exchange
from gortc import Call, LegFailed, service
from gortc.testing import Lab, Talk
from slp_plugins.default import default

FOLDERS = tuple(f"/gortc/{name}" for name in ("dispatch.py", "jsip/", "service/", "transport/"))

MOST = {"message": 71, "call": 181, "bridged": 367}
"""So many calls of our functions a unit, at the most. Fewer are better: set it down."""


def calls_of_ours(exchange: Exchange, scenario: str) -> Counter[str]:
    """The calls of our functions in one unit, by name."""
    calls: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and any(folder in code.co_filename for folder in FOLDERS):
            calls[code.co_name] += 1

    for peer, data in exchange.unit(scenario, 0):
        sys.setprofile(profile)
        try:
            peer.say(data)
        finally:
            sys.setprofile(None)
    return calls


@pytest.fixture
def exchange() -> Exchange:
    """One that has played each scenario before: what is made once is made."""
    made = Exchange()
    for scenario in SCENARIOS:
        made.play(scenario, 2)
    return made


@contextmanager
def no_cycle() -> Iterator[None]:
    """The collector finds nothing that was made meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.plain
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_calls_of_our_functions(exchange: Exchange, scenario: str) -> None:
    """One more a message is to be thought about, ten more are an accident."""
    calls = calls_of_ours(exchange, scenario)
    assert sum(calls.values()) <= MOST[scenario], calls.most_common()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_cycle_no_row_no_timer(exchange: Exchange, scenario: str) -> None:
    """What is over is gone at once: the collector finds nothing, whatever the number of calls."""
    exchange.alice.got.clear()
    with no_cycle():
        exchange.play(scenario, 100)
        exchange.alice.got.clear()
    assert not any(exchange.node.census().values())
    assert not exchange.node.journal.counts


def busy(call: Talk, leg: Talk) -> None:
    """The callee refuses."""
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)


def cancelled(call: Talk, leg: Talk) -> None:
    """The caller gives up."""
    call.cancel()
    call.expect(200)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    call.expect(487)


def lost(call: Talk, leg: Talk) -> None:
    """The caller hangs up before the answer."""
    call.bye()
    call.expect(200)
    call.expect(487)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")


def fail(lab: Lab, callee: str, end: Callable[[Talk, Talk], None]) -> None:
    """Calls to `callee`, of which Bob hears, and which end so; nothing is left of them."""
    alice, bob = lab.users("alice", "bob")

    def play(times: int) -> None:
        for _ in range(times):
            call = alice.call(callee, "an offer")
            end(call, bob.answering())
            call.ack()

    play(3)
    with no_cycle():
        play(20)
    lab.check_empty()


@pytest.mark.parametrize("end", [busy, cancelled, lost])
def test_no_cycle_where_a_call_fails(end: Callable[[Talk, Talk], None]) -> None:
    """Exceptions lead to their frames: what has failed is gone at once all the same."""
    fail(Lab(default), "bob", end)


@service("stubborn")
async def stubborn(call: Call) -> None:
    """Whatever it does has failed already when it waits for it."""
    caller, callee = call.caller, call.leg("bob@gortc.local")
    late = callee.invite(caller.offer)
    await callee.closed()
    caller.reject(486)
    for attempt in (
        lambda: late,
        callee.invite,
        partial(callee.send, "INFO"),
        partial(caller.answer, "an answer"),
        partial(call.leg("bob@gortc.local").invite, until=callee),
        call.leg("nobody at all").invite,
        partial(call.leg("nobody at all").send, "MESSAGE"),
    ):
        try:
            await attempt()
        except LegFailed:
            continue
        raise AssertionError(attempt)


def test_no_cycle_where_it_has_failed_already() -> None:
    """What a service awaits need not wait to fail."""
    fail(Lab(stubborn), "stubborn", busy)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_one_call_of_the_clock_a_time(scenario: str) -> None:
    """However many calls: a time has one queue, and a queue has one call of the clock."""
    exchange = Exchange()
    exchange.play(scenario, 1)
    assert isinstance(exchange.node.timers.clock, Clock)
    before = len(exchange.node.timers.clock.getDelayedCalls())
    exchange.play(scenario, 100)
    assert len(exchange.node.timers.clock.getDelayedCalls()) == before
