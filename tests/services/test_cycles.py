"""What has failed is gone at once: whatever a service makes of the failures that it hears of, the collector finds
nothing, and nothing stays counted."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from twisted.internet.defer import Deferred, FirstError, gatherResults

from gortc import Call, Context, LegFailed, service
from gortc.jsip.gate import Guest
from gortc.testing import Lab, Talk

Logic = Callable[[Call], Coroutine[Any, Any, Any]]

OFF, BUSY = "off@gortc.local", "bob@gortc.local"


async def plain(call: Call) -> None:
    """It is wrong at once."""
    raise KeyError("wrong")


async def later(call: Call) -> None:
    """It is wrong after a while."""
    await call.sleep(1)
    raise KeyError("wrong")


async def awaited(call: Call) -> None:
    """Something else has failed."""
    late: Deferred[None] = Deferred()
    call.timers.start(1.0, late.errback, KeyError("wrong"))
    await late


async def after_a_failure(call: Call) -> None:
    """A failure of a leg is none of its own."""
    with suppress(LegFailed):
        await call.leg(OFF).invite(call.caller.offer)
    raise KeyError("wrong")


async def in_a_failure(call: Call) -> None:
    """It is wrong as it handles one."""
    try:
        await call.leg(OFF).invite(call.caller.offer)
    except LegFailed:
        raise ValueError("wrong")  # noqa: B904


async def from_a_failure(call: Call) -> None:
    """It says what that comes of."""
    try:
        await call.leg(OFF).invite(call.caller.offer)
    except LegFailed as failure:
        raise ValueError("wrong") from failure


async def another(call: Call) -> None:
    """It makes a failure of its own of it."""
    try:
        await call.leg(OFF).invite(call.caller.offer)
    except LegFailed as failure:
        raise LegFailed(480, "nobody") from failure


async def last(call: Call) -> None:
    """It raises what it has kept."""
    kept = None
    for agent in (OFF, BUSY, "nobody at all"):
        try:
            await call.leg(agent).invite(call.caller.offer)
        except LegFailed as failure:
            kept = failure
    assert kept is not None
    raise kept


async def rejected(call: Call) -> None:
    """It refuses the caller with what it has kept."""
    kept = None
    for agent in ("nobody at all", OFF, BUSY):
        try:
            await call.leg(agent).invite(call.caller.offer)
        except LegFailed as failure:
            kept = failure
    await call.sleep(1)
    assert kept is not None
    call.caller.reject(kept)


async def kept(call: Call) -> LegFailed | None:
    """It returns what it has kept."""
    for agent in (OFF, BUSY, "nobody at all"):
        try:
            await call.leg(agent).invite(call.caller.offer)
        except LegFailed as failure:
            kept = failure
    return kept


async def hunt(call: Call) -> None:
    """Part of a service: rings one after the other."""
    last = None
    for agent in (OFF, BUSY):
        try:
            await call.leg(agent).invite(call.caller.offer)
        except LegFailed as failure:
            last = failure
    assert last is not None
    raise last


async def helped(call: Call) -> None:
    """What its part has kept it does not want."""
    try:
        await hunt(call)
    except LegFailed:
        call.caller.reject(480)


async def helped_and_kept(call: Call) -> None:
    """Both have kept it."""
    try:
        await hunt(call)
    except LegFailed as failure:
        kept = failure
    await call.sleep(1)
    raise ValueError("wrong") from kept


async def gathered(call: Call) -> None:
    """One of several failures is an error of the service's."""
    await gatherResults([call.leg(OFF).invite(call.caller.offer) for _ in range(3)], consumeErrors=True)


async def gathered_and_kept(call: Call) -> None:
    """It keeps what has come of several."""
    try:
        await gatherResults([call.leg(OFF).invite(call.caller.offer) for _ in range(3)], consumeErrors=True)
    except FirstError as failure:
        kept = failure
    found = kept.subFailure.value
    assert isinstance(found, LegFailed)
    call.caller.reject(found)


async def all_at_once(call: Call) -> None:
    """Whoever it rings has failed already."""
    try:
        await call.ring_all([call.leg("nobody at all"), call.leg("nobody either")], call.caller.offer)
    except LegFailed as failure:
        kept = failure
    raise kept


async def too_late(call: Call) -> None:
    """It has answered otherwise, and rings, links and watches all the same."""
    caller, callee = call.caller, call.leg(BUSY)
    caller.reject(480)
    await caller.closed()
    try:
        await callee.invite(caller.offer, ringing=caller.ring)
    except LegFailed as failure:
        kept = failure
    caller.ring()
    call.link(caller, callee)
    call.link(call.leg(OFF), caller)
    caller.watch_peer(lambda _: kept, lambda _: caller)
    try:
        await caller.answer("an answer")
    except LegFailed as failure:
        kept = failure


async def answered_late(call: Call) -> None:
    """The caller is over when who is called answers."""
    caller, callee = call.caller, call.leg("carol@gortc.local")
    caller.reject(480)
    await caller.closed()
    answer = await callee.invite(caller.offer, ringing=caller.ring)
    try:
        await caller.answer(answer)
    except LegFailed as failure:
        kept = failure
    callee.ack(answer)
    callee.hang_up()
    raise kept


SERVICES: tuple[Logic, ...] = (
    plain, later, awaited, after_a_failure, in_a_failure, from_a_failure, another, last, rejected, kept, helped,
    helped_and_kept, gathered, gathered_and_kept, all_at_once, too_late, answered_late,
)  # fmt: skip


@contextmanager
def no_collector() -> Iterator[None]:
    """What is over must go without it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def acknowledge(call: Talk) -> None:
    """Its failure, where it has come."""
    for message in list(call.user.inbox):
        if message.get("Code", 0) >= 300:
            call.user.inbox.remove(message)
            call.ack()


@pytest.mark.plain  # what is compiled does not look for what a test puts in its place
@pytest.mark.proves("D-26")
@pytest.mark.parametrize("logic", SERVICES)
def test_no_cycle(logic: Logic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "failed", lambda *_: None)  # a log that has not begun keeps what it is told
    lab = Lab(service("fails")(logic))
    alice, bob, carol = lab.users("alice", "bob", "carol")
    alice.channel.meet(Guest(alice.name, "192.0.2.1", asserted=alice.name, limited=True, told=False))
    account = alice.channel.account
    assert account is not None

    def play() -> None:
        call = alice.call("fails", "x" * 10_000)
        lab.advance(1)
        acknowledge(call)
        while any(message["Type"] == "INVITE" for message in bob.inbox):
            leg = bob.answering()
            leg.reply(180)
            leg.reply(486)
            lab.advance(1)
        if any(message["Type"] == "INVITE" for message in carol.inbox):
            leg = carol.answering()
            leg.reply(180)
            leg.reply(200)
            leg.expect("ACK")
            leg.reply(200, to=leg.expect("BYE"))
        lab.advance(2)
        acknowledge(call)
        lab.advance(60)
        for user in (alice, bob, carol):
            user.inbox.clear()
        lab.ladder = type(lab.ladder)()

    for _ in range(3):
        play()
    with no_collector():
        for _ in range(5):
            play()
        assert account.held == 0
        assert gc.collect() == 0
