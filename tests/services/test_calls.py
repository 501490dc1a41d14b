"""A call: the coroutine's life, its legs, and what it may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gortc import Call, Context, Leg, LegFailed, service
from gortc.testing import Lab
from slp_plugins.echo import echo
from tests.services.kit import answered, connect, hang_up, outcome

# how a coroutine ends


@service("busy")
async def busy(call: Call) -> None:
    """Refuse."""
    call.caller.reject(486)


@pytest.mark.proves("D-15", "D-17")
def test_service_that_does_nothing() -> None:
    @service("nothing")
    async def nothing(call: Call) -> None:
        pass

    lab = Lab(nothing)
    alice = lab.user("alice")
    call = alice.call("service")
    call.expect(500, Reason="the service ended without an answer")
    call.ack()
    alice.open("MESSAGE", "service").expect(500)
    lab.check_empty()


@pytest.mark.proves("D-15", "D-17")
def test_legs_that_live_are_ended_with_the_coroutine() -> None:
    @service("leave")
    async def leave(call: Call) -> None:
        talking, ringing = call.leg("bob@gortc.local"), call.leg("carol@gortc.local")
        answer = await talking.invite()
        talking.ack(answer)
        ringing.invite().addErrback(lambda failure: failure.trap(LegFailed, CancelledError))
        await call.caller.answer()

    lab = Lab(leave)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("service")
    talking = bob.answering()
    talking.reply(200)
    talking.expect("ACK")
    ringing = carol.answering()
    call.expect(200)
    call.ack()
    for leg in (call, talking):
        assert "Reason" not in leg.user.inbox[0]
        leg.reply(200, to=leg.expect("BYE"))
    ringing.reply(200, to=ringing.expect("CANCEL"))
    ringing.reply(487)
    ringing.expect("ACK")
    lab.check_empty()


@pytest.mark.proves("D-13", "D-14")
@pytest.mark.parametrize("when", ["at once", "later"])
def test_service_that_raises(when: str, tracebacks: list[Failure]) -> None:
    @service("bad")
    async def bad(call: Call) -> None:
        leg = call.leg("bob@gortc.local")
        leg.invite().addErrback(lambda failure: failure.trap(LegFailed, CancelledError))
        if when == "later":
            await call.sleep(1)
        raise ZeroDivisionError("a defect")

    lab = Lab(bad, echo)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    other = carol.call("echo", Router="gortc.local;type=echo")
    other.expect(180)
    other.expect(200)
    other.ack()
    call = alice.call("service", Router="gortc.local;type=bad")
    leg = bob.answering()
    lab.advance(1)
    call.expect(500)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]  # once
    tracebacks.clear()
    context = lab.node.services.get("bad")
    assert context is not None
    assert (context.failures, context.total) == (1, 1)
    hang_up(lab, other)  # nobody else has noticed


def test_uncaught_leg_failed_is_the_callers_answer() -> None:
    @service("connect")
    async def through(call: Call) -> None:
        await connect(call)

    lab = Lab(through)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob")
    leg = bob.answering()
    leg.reply(606)
    leg.expect("ACK")
    call.expect(606)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("D-15", "D-17")
@pytest.mark.parametrize("when", ["at once", "later", "in a call"])
def test_finish(when: str) -> None:
    after: list[str] = []

    @service("finish")
    async def finish(call: Call) -> None:
        if when == "later":
            await call.sleep(1)
        if when == "in a call":
            await call.caller.answer()
        call.task.finish(603, "that is it")
        after.append("the coroutine goes on to its end")

    lab = Lab(finish)
    call = lab.user("alice").call("service")
    if when == "in a call":
        call.expect(200)
        call.ack()
        call.reply(200, to=call.expect("BYE"))
    else:
        lab.advance(1)
        call.expect(603, Reason="that is it")
        call.ack()
    assert len(after) == 1
    lab.check_empty()


def test_finish_of_another_call() -> None:
    """An operator's service may end a call of another one."""
    ended: list[BaseException] = []

    @service("hold")
    async def hold(call: Call) -> None:
        try:
            await call.sleep(100)
        except CancelledError as cancelled:
            ended.append(cancelled)
            raise

    lab = Lab(hold)
    call = lab.user("alice").call("service")
    context = lab.node.services.get("default")
    assert context is not None
    (task,) = context.tasks
    task.finish(480)
    call.expect(480)
    call.ack()
    assert len(ended) == 1
    lab.check_empty()


def test_cancel_cancels_the_coroutine() -> None:
    cancelled: list[float] = []

    @service("wait")
    async def wait(call: Call) -> None:
        try:
            await call.sleep(100)
        except CancelledError:
            cancelled.append(call.timers.clock.seconds())
            raise

    lab = Lab(wait)
    call = lab.user("alice").call("service")
    lab.advance(3)
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    assert cancelled == [3]
    lab.check_empty()


def test_no_answer_in_60_s_cancels_the_coroutine() -> None:
    @service("wait")
    async def wait(call: Call) -> None:
        await call.sleep(100)

    lab = Lab(wait)
    call = lab.user("alice").call("service")
    lab.advance(60)
    call.expect(408)
    call.ack()
    lab.check_empty()


def test_bye_in_the_call_does_not_cancel_the_coroutine() -> None:
    after: list[float] = []

    @service("tidy")
    async def tidy(call: Call) -> None:
        await call.caller.answer()
        await call.caller.closed()
        await call.sleep(2)
        after.append(call.timers.clock.seconds())

    lab = Lab(tidy)
    call = answered(lab)
    lab.advance(1)
    call.bye()
    call.expect(200)
    lab.advance(2)
    assert after == [3]
    lab.check_empty()


def test_sleep() -> None:
    woken: list[float] = []

    @service("sleep")
    async def sleep(call: Call) -> None:
        for seconds in (0, 0.5, 3600):
            await call.sleep(seconds)
            woken.append(call.timers.clock.seconds())

    lab = Lab(sleep)
    lab.start("sleep")
    lab.advance(10)
    assert woken == [0, 0.5]
    lab.advance(3600)
    assert woken == [0, 0.5, 3600.5]
    lab.check_empty()


# what a call has


def test_config_context_and_log() -> None:
    seen: list[Any] = []

    def load(context: Context) -> None:
        context.config = {"greeting": "hello", **context.config}
        context.shared["calls"] = 0

    @service("look", load)
    async def look(call: Call) -> None:
        """What it is for."""
        call.context.shared["calls"] += 1
        seen.append((call.config["greeting"], call.context.shared["calls"], call.context.realm, call.context.name))
        seen.append((call.log.namespace, call.times.invite, call.carried, call.onward))
        call.caller.reject(486)

    assert look.__doc__ == "What it is for."
    lab = Lab(look, config={"look": {"greeting": "good day"}}, realm="example.org")
    alice = lab.user("alice")
    for _ in range(2):
        call = alice.call("service", "an offer", Router="example.org;type=look, next.example.org", X_Note="n")
        call.expect(486)
        call.ack()
    assert seen[0] == ("good day", 1, "example.org", "look")
    assert seen[2] == ("good day", 2, "example.org", "look")
    assert seen[1] == ("slp.look", 60, {"X-Note": "n"}, {"X-Note": "n", "Router": "next.example.org"})
    lab.check_empty()


def test_service_that_refuses_to_be_loaded(tracebacks: list[Failure]) -> None:
    def load(context: Context) -> None:
        raise ValueError("no agents")

    lab = Lab(service("bad", load)(connect), echo)
    assert [failure.type for failure in tracebacks] == [ValueError]
    tracebacks.clear()
    alice = lab.user("alice")
    call = alice.call("service", Router="gortc.local;type=bad")
    call.expect(404)
    call.ack()
    alice.open("MESSAGE", "echo", 1, Router="gortc.local;type=echo").expect(200, Body=1)  # the others are
    lab.check_empty()


# without a caller


def test_start() -> None:
    seen: list[Any] = []

    @service("remind")
    async def remind(call: Call) -> None:
        seen.append((call.details, call.first, call.carried, call.onward))
        with pytest.raises(AttributeError):
            call.caller  # noqa: B018
        leg = call.leg(call.details["who"])
        leg.ack(await leg.invite({"say": call.details["text"]}))
        await leg.closed()

    lab = Lab(remind)
    bob = lab.user("bob")
    lab.start("remind", who="bob@gortc.local", text="it is time")
    assert seen == [({"who": "bob@gortc.local", "text": "it is time"}, None, {}, {})]
    leg = bob.answering(Body={"say": "it is time"})
    leg.reply(200)
    leg.expect("ACK")
    hang_up(lab, leg)


def test_start_from_a_service() -> None:
    @service("remind")
    async def remind(call: Call) -> None:
        if call.details:
            await call.sleep(60)
            await call.leg(call.details["who"]).send("MESSAGE", "it is time")
        else:
            call.context.start(who=call.caller.caller)
            call.caller.reply(call.caller.request, 202)

    lab = Lab(remind)
    alice = lab.user("alice")
    alice.open("MESSAGE", "remind", "in a minute").expect(202)
    lab.advance(60)
    alice.answering("MESSAGE", Body="it is time").reply(200)
    lab.check_empty()


def test_started_service_that_raises(tracebacks: list[Failure]) -> None:
    @service("bad")
    async def bad(call: Call) -> None:
        raise ZeroDivisionError

    lab = Lab(bad)
    lab.start("bad")
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]
    tracebacks.clear()
    lab.check_empty()


def test_click_to_call() -> None:
    """Two legs, neither of which called: RFC 3725 flow I."""

    @service("click")
    async def click(call: Call) -> None:
        one, other = call.leg(call.details["one"]), call.leg(call.details["other"])
        offer = await one.invite()
        answer = await other.invite(offer.body)
        other.ack(answer)
        one.ack(offer, answer.body)
        await call.bridge(one, other)

    lab = Lab(click)
    alice, bob = lab.users("alice", "bob")
    lab.start("click", one="alice@gortc.local", other="bob@gortc.local")
    one = alice.answering()
    one.reply(200, "alice's offer")
    other = bob.answering(Body="alice's offer")
    other.reply(200, "bob's answer")
    other.expect("ACK")
    one.expect("ACK", Body="bob's answer")
    one.send("INFO", "hello")
    other.reply(200, to=other.expect("INFO", Body="hello"))
    one.expect(200)
    other.bye()
    other.expect(200)
    one.reply(200, to=one.expect("BYE"))
    lab.check_empty()


# become


def test_become() -> None:
    @service("default")
    async def door(call: Call) -> None:
        call.become("echo")

    lab = Lab(door, echo)
    call = lab.user("alice").call("service", "an offer")
    call.expect(180)
    call.expect(200, Body="an offer")
    call.ack()
    contexts = [lab.node.services.get(name) for name in ("default", "echo")]
    assert [len(context.tasks) for context in contexts if context is not None] == [0, 1]
    hang_up(lab, call)


def test_become_after_a_while() -> None:
    @service("default")
    async def door(call: Call) -> None:
        call.caller.ring(code=182)
        await call.sleep(5)
        call.become("echo")

    lab = Lab(door, echo)
    call = lab.user("alice").call("service", "an offer")
    call.expect(182)
    lab.advance(5)
    call.expect(180)
    call.expect(200)
    call.ack()
    hang_up(lab, call)


def test_become_after_the_caller_has_gone() -> None:
    @service("default")
    async def door(call: Call) -> None:
        try:
            await call.sleep(5)
        except CancelledError:
            call.become("busy")

    lab = Lab(door, busy)
    call = lab.user("alice").call("service", "an offer")
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    lab.check_empty()


def test_become_what_is_not_loaded() -> None:
    errors: list[str] = []

    @service("default")
    async def door(call: Call) -> None:
        try:
            call.become("nothing")
        except LookupError as error:
            errors.append(str(error))
        call.caller.reject(486)

    lab = Lab(door)
    call = lab.user("alice").call("service")
    call.expect(486)
    call.ack()
    assert "nothing" in errors[0]
    lab.check_empty()


def test_become_a_service_that_raises(tracebacks: list[Failure]) -> None:
    class Broken:
        name = "broken"

        def load(self, context: Context) -> None:
            pass

        def unload(self) -> None:
            pass

        def create(self, task: Any) -> Any:
            raise ZeroDivisionError

    @service("default")
    async def door(call: Call) -> None:
        call.become("broken")

    broken: Any = Broken()
    lab = Lab(door, broken)
    call = lab.user("alice").call("service")
    call.expect(500)
    call.ack()
    assert [failure.type for failure in tracebacks] == [ZeroDivisionError]
    tracebacks.clear()
    lab.check_empty()


# legs that come by relid


@service("room")
async def room(call: Call) -> None:
    """Tell the caller its relid; each who comes with it is answered by the name of the service."""
    joined = call.joined
    relid = call.task.relid()
    await call.caller.answer(relid)
    async for leg in joined:
        if leg.method == "INVITE":
            await leg.answer(f"{leg.caller} is in")
        else:
            leg.reply(leg.request, 200, f"{leg.caller} is heard")


def test_joined_legs() -> None:
    lab = Lab(room)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("room")
    relid = call.expect(200)["Body"]
    assert relid.startswith("rel_gortc.local_")
    call.ack()
    router = f"gortc.local;relid={relid}"
    second = bob.call("room", Router=router)
    second.expect(200, Body="bob@gortc.local is in")
    second.ack()
    carol.open("MESSAGE", "room", "hi", Router=router).expect(200, Body="carol@gortc.local is heard")
    third = carol.call("room", Router=f"gortc.local;type=other;relid={relid}")  # whatever the type
    third.expect(200, Body="carol@gortc.local is in")
    third.ack()
    for talk in (second, call):
        talk.bye()
        talk.expect(200)
    third.bye()
    third.expect(200)
    context = lab.node.services.get("default")
    assert context is not None
    for task in list(context.tasks):  # it still waits for others to join
        task.finish()
    late = bob.call("room", Router=router)
    late.expect(404)
    late.ack()
    lab.check_empty()


def test_joined_legs_wait_to_be_read() -> None:
    @service("slow")
    async def slow(call: Call) -> None:
        joined = call.joined
        call.task.relate("sales")
        await call.sleep(5)
        async for leg in joined:
            leg.reject(486)
            break
        call.caller.reject(486)

    lab = Lab(slow)
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("x")
    router = "gortc.local;type=default;relid=sales"
    gone, kept = bob.call("x", Router=router), carol.call("x", Router=router)
    gone.cancel()
    gone.expect(200)
    gone.expect(487)
    gone.ack()
    kept.expect_nothing()
    lab.advance(5)
    kept.expect(486)
    kept.ack()
    call.expect(486)
    call.ack()
    gone.expect_nothing()
    lab.check_empty()


def test_joined_legs_that_nobody_reads() -> None:
    @service("deaf")
    async def deaf(call: Call) -> None:
        await call.caller.answer(call.task.relid())
        await call.caller.closed()

    lab = Lab(deaf)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    router = f"gortc.local;relid={call.expect(200)['Body']}"
    call.ack()
    refused = bob.call("x", Router=router)
    refused.expect(488)
    refused.ack()
    bob.open("MESSAGE", "x", Router=router).expect(488)
    hang_up(lab, call)


def test_relid_of_the_first_message() -> None:
    """The session that makes an instance with `relid=KEY`: the next one with KEY joins it."""

    @service("pair")
    async def pair(call: Call) -> None:
        async for other in call.joined:
            answer = f"{call.task.relation}: {call.caller.caller} and {other.caller}"
            one, two = call.caller.answer(answer), other.answer(answer)
            await one
            await two
            await call.bridge(call.caller, other)
            return

    lab = Lab(pair)
    alice, bob = lab.users("alice", "bob")
    router = "gortc.local;type=pair;relid=k1"
    one = alice.call("x", Router=router)
    one.expect_nothing()
    other = bob.call("x", Router=router)
    for talk in (one, other):
        talk.expect(200, Body="k1: alice@gortc.local and bob@gortc.local")
        talk.ack()
    one.send("INFO", "hello")
    other.reply(200, to=other.expect("INFO", Body="hello"))
    one.expect(200)
    other.bye()
    other.expect(200)
    one.reply(200, to=one.expect("BYE"))
    lab.check_empty()


# bridging


def test_bridge_returns_who_hung_up() -> None:
    left: list[Leg] = []

    @service("connect")
    async def through(call: Call) -> None:
        callee = call.leg(call.caller.called)
        answer = await callee.invite()
        await call.caller.answer(answer)
        left.append(await call.bridge(call.caller, callee))

    lab = Lab(through)
    alice, bob = lab.users("alice", "bob")
    for side in (0, 1):
        call = alice.call("bob")
        leg = bob.answering()
        leg.reply(200)
        call.expect(200)
        call.ack()
        leg.expect("ACK")
        one, other = (call, leg) if side == 0 else (leg, call)
        one.bye()
        one.expect(200)
        other.reply(200, to=other.expect("BYE"))
    assert [leg.called for leg in left] == ["bob@gortc.local", "bob@gortc.local"]
    assert [leg.answered for leg in left] == [True, False]
    lab.check_empty()


def test_bridge_to_a_leg_that_has_gone() -> None:
    @service("late")
    async def late(call: Call) -> None:
        callee = call.leg("bob@gortc.local")
        callee.ack(await callee.invite())
        await callee.closed()
        await call.caller.answer()
        await call.bridge(call.caller, callee)

    lab = Lab(late)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    leg = bob.answering()
    leg.reply(200)
    leg.expect("ACK")
    leg.bye()
    leg.expect(200)
    call.expect(200)
    call.ack()
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


def test_bridge_that_is_given_up_leaves_the_legs() -> None:
    @service("limited")
    async def limited(call: Call) -> None:
        callee = call.leg(call.caller.called)
        await call.caller.answer(await callee.invite())
        talk: Deferred[Any] = Deferred.fromCoroutine(call.bridge(call.caller, callee))
        await call.sleep(60)
        talk.addErrback(lambda failure: failure.trap(CancelledError))
        talk.cancel()
        await outcome(call.caller.send("INFO", "your minute is over"))

    lab = Lab(limited)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob")
    leg = bob.answering()
    leg.reply(200)
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    lab.advance(60)
    call.reply(200, to=call.expect("INFO"))
    for talk in (call, leg):
        talk.reply(200, to=talk.expect("BYE"))
    lab.check_empty()


def test_link_before_the_other_leg_is_called() -> None:
    @service("linked")
    async def linked(call: Call) -> None:
        callee = call.leg("bob@gortc.local")
        call.link(call.caller, callee)
        call.caller.ring(code=183)
        await call.sleep(1)
        await callee.invite()

    lab = Lab(linked)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("x")
    call.expect(183)
    call.send("INFO")
    call.expect(480)  # nobody to relay it to yet
    lab.advance(1)
    leg = bob.answering()
    call.send("INFO", 1)
    leg.reply(200, to=leg.expect("INFO", Body=1))
    call.expect(200)
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()
