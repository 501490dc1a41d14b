"""Calls over two nodes, in virtual time: what one node can't get done ends nothing at the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import pytest
import txaio.tx

from gortc import Call, LegFailed, service
from gortc.jsip.times import Times
from gortc.testing import Talk
from tests.transport.network import Network


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


def called(*names: str, **settings: Any) -> tuple[Network, Talk, Talk]:
    """Alice at the first node talks to bob at the last one."""
    net = Network(*names, **settings)
    clock: Any = net.reactor
    txaio.tx.config.loop = clock
    alice, bob = net.labs[names[0]].user("alice"), net.labs[names[-1]].user("bob")
    net.settle()
    call = alice.call(f"bob@{names[-1]}.test", "an offer")
    net.settle()
    leg = bob.answering()
    leg.reply(200, "an answer")
    net.settle()
    call.expect(200)
    call.ack()
    net.settle()
    leg.expect("ACK")
    return net, call, leg


def over(net: Network, call: Talk, leg: Talk) -> None:
    """The call is up, both ways; then it ends."""
    for one, other in ((call, leg), (leg, call)):
        one.send("INFO", "still there?")
        net.settle()
        other.reply(200, to=other.expect("INFO"))
        net.settle()
        one.expect(200)
    call.bye()
    net.settle()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    net.settle()
    call.expect_nothing()
    leg.expect_nothing()
    net.check_empty()


@pytest.mark.proves("S-62")
@pytest.mark.parametrize("side", ["caller", "callee"])
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE", "NOTIFY", "OPTIONS"])
def test_a_request_that_is_not_answered_ends_nothing(method: str, side: str) -> None:
    net, call, leg = called("a", "b")
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send(method, "a question")
    net.settle()
    asked = other.expect(method)
    net.advance(6)
    one.expect(504)
    one.expect_nothing()
    other.expect_nothing()
    other.reply(200, to=asked)  # too late
    net.settle()
    one.expect_nothing()
    over(net, call, leg)


@pytest.mark.proves("S-62")
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_re_invite_that_is_not_answered_ends_nothing(side: str) -> None:
    net, call, leg = called("a", "b")
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send("INVITE", "a second offer")
    net.settle()
    asked = other.expect("INVITE")
    net.advance(61, step=0.5)
    one.expect(504)
    one.ack()
    other.reply(200, to=other.expect("CANCEL"))
    other.reply(487, to=asked)
    net.settle()
    other.expect("ACK")
    over(net, call, leg)


@pytest.mark.proves("S-62")
@pytest.mark.parametrize("seed", range(100))
def test_whoever_is_slower(seed: int) -> None:
    """In 100 of 100 tries, whatever the two nodes' times are, and at whatever moment each of them looks."""
    chance = Random(seed)
    net, call, leg = called("a", "b", times=Times(transaction=5.0))
    net.labs["b"].node.transactions.unanswered.seconds = 5.0 + chance.uniform(-0.2, 0.2)
    for number in range(3):
        one, other = (call, leg) if (number + seed) % 2 else (leg, call)
        one.send("INFO" if chance.random() < 0.5 else "UPDATE", "a question")
        net.advance(chance.uniform(0, 0.2), step=0.01)
        other.user.inbox.clear()
        net.advance(6, step=chance.uniform(0.01, 0.3))
        one.expect(504)
        one.expect_nothing()
        other.expect_nothing()
    over(net, call, leg)


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_who_says_itself_that_the_call_is_over_is_told_so(side: str, code: int) -> None:
    net, call, leg = called("a", "b")
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send("INFO", "a digit")
    net.settle()
    other.reply(code, to=other.expect("INFO"))
    net.settle()
    one.expect(code)
    one.reply(200, to=one.expect("BYE"))
    other.reply(200, to=other.expect("BYE"))
    net.settle()
    net.check_empty()


@pytest.mark.proves("S-65")
def test_a_service_that_gives_its_agents_no_time() -> None:
    """The node that its caller comes from waits as long as the service does: it hears something meanwhile."""

    @service("patient")
    async def patient(call: Call) -> None:
        for name in ("agent1", "agent2", "agent3"):
            with suppress(LegFailed):
                leg = call.leg(f"{name}@b.test")
                await call.caller.answer(await leg.invite(call.caller.offer, ringing=call.caller.ring))
                await call.bridge(call.caller, leg)
                return

    net = Network("a", "b", each={"b": {"config": {"default": {"numbers": {"100@b.test": "patient"}}}}})
    clock: Any = net.reactor
    txaio.tx.config.loop = clock
    net.labs["b"].node.services.load(patient, "patient", {})
    alice, agents = net.labs["a"].user("alice"), net.labs["b"].users("agent1", "agent2", "agent3")
    net.settle()
    call = alice.call("100@b.test", "an offer")
    net.settle()
    for agent in agents[:-1]:
        leg = agent.answering()
        net.advance(60.2, step=0.2)
        leg.reply(200, to=leg.expect("CANCEL"))
        leg.reply(487)
        net.settle()
        leg.expect("ACK")
    leg = agents[-1].answering()
    net.advance(50, step=0.2)
    assert {message["Code"] for message in alice.inbox} == {183}
    alice.inbox.clear()
    leg.reply(200, "an answer")
    net.settle()
    call.expect(200)
    call.ack()
    net.settle()
    leg.expect("ACK")
    over(net, call, leg)
