"""Who ends a leg, and what is said as it ends: to the other side, and to the service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from gortc import Call, LegFailed, service
from gortc.jsip.times import Times
from gortc.service.leg import Leg
from gortc.testing import Lab, Talk
from slp_plugins.default import default
from slp_plugins.hunt400 import hunt400
from tests.services.kit import connect

WORDS: dict[str, Any] = {"Reason": 'Q.850;cause=16;text="Terminated"', "X-Stats": "PS=1", "Body": {"mos": 4.1}}
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def running(**settings: Any) -> tuple[Lab, Talk, Talk]:
    """Alice and bob talk."""
    lab, call, leg = ringing(**settings)
    leg.reply(200, "an answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    return lab, call, leg


def ringing(**settings: Any) -> tuple[Lab, Talk, Talk]:
    """Bob rings."""
    lab = Lab(default, **settings)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    return lab, call, leg


# the other side


@pytest.mark.proves("S-71")
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_what_a_bye_says_crosses_the_bridge(side: str) -> None:
    lab, call, leg = running()
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send("BYE", **WORDS)
    one.expect(200)
    bye = other.expect("BYE", **WORDS)
    other.reply(200, to=bye)
    lab.check_empty()


@pytest.mark.proves("S-71")
@pytest.mark.parametrize("method", ["CANCEL", "BYE"])
def test_what_the_caller_says_as_it_gives_up_crosses_too(method: str) -> None:
    lab, call, leg = ringing()
    call.send(method, **WORDS, **({"RelatedID": 1} if method == "CANCEL" else {}))
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL", **WORDS))
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


@pytest.mark.proves("S-71")
def test_it_crosses_also_where_the_callee_has_just_answered() -> None:
    """The BYE that must follow says what the CANCEL has said."""
    lab, call, leg = ringing()
    call.send("CANCEL", RelatedID=1, **WORDS)
    call.expect(200)
    call.expect(487)
    call.ack()
    cancel = leg.expect("CANCEL", **WORDS)
    leg.reply(200, "too late")
    leg.expect("ACK")
    leg.reply(200, to=cancel)
    leg.reply(200, to=leg.expect("BYE", **WORDS))
    lab.check_empty()


@pytest.mark.proves("S-71")
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_the_cancel_of_a_re_invite(side: str) -> None:
    lab, call, leg = running()
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send("INVITE", "a second offer")
    asked = other.expect("INVITE")
    one.send("CANCEL", RelatedID=one.invite_cseq, **WORDS)
    one.expect(200)
    one.expect(487)
    one.ack()
    other.reply(200, to=other.expect("CANCEL", **WORDS))
    other.reply(487, to=asked)
    other.expect("ACK")
    one.bye()
    one.expect(200)
    other.reply(200, to=other.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-71")
def test_through_a_hunt() -> None:
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    call = alice.call("400", "an offer")
    leg = agent.answering()
    call.send("CANCEL", RelatedID=1, **WORDS)
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL", **WORDS))
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


@pytest.mark.proves("S-71")
def test_own_headers_of_a_leg_do_not_cross() -> None:
    lab, call, leg = running()
    call.send("BYE", Router="far.example", Expire=5, Max_Forwards=9)
    call.expect(200)
    bye = leg.expect("BYE")
    assert not {"Router", "Expire", "Max-Forwards"} & bye.keys()
    leg.reply(200, to=bye)
    lab.check_empty()


# the losers of a fork


@service("fork")
async def fork(call: Call) -> None:
    """Rings all at once."""
    legs = [call.leg(f"{name}@gortc.local") for name in ("bob", "carol", "dave")]
    leg, answer = await call.ring_all(legs, call.caller.offer, within=20, ringing=call.caller.ring)
    await call.caller.answer(answer)
    await call.bridge(call.caller, leg)


@pytest.mark.proves("S-72")
def test_losers_are_told_who_has_won_no_matter_how_late_they_are() -> None:
    lab = Lab(fork)
    alice, *agents = lab.users("alice", "bob", "carol", "dave")
    call = alice.call("100", "an offer")
    bob, carol, dave = (agent.answering() for agent in agents)
    bob.reply(180)
    call.expect(180)
    carol.reply(200, "an answer")
    call.expect(200)
    bob.reply(200, to=bob.expect("CANCEL", Reason=ELSEWHERE))
    bob.reply(487)
    bob.expect("ACK")
    cancel = dave.expect("CANCEL", Reason=ELSEWHERE)
    dave.reply(200, "me, too")
    dave.expect("ACK")
    dave.reply(200, to=dave.expect("BYE", Reason=ELSEWHERE))
    dave.reply(200, to=cancel)
    call.ack()
    carol.expect("ACK")
    call.send("INVITE", "hold")
    asked = carol.expect("INVITE")
    call.cancel()  # the winner's later CANCELs are its own
    assert "Reason" not in carol.expect("CANCEL")
    carol.reply(487, to=asked)
    carol.expect("ACK")
    carol.bye()
    carol.expect(200)
    for code in (200, 487):
        call.expect(code)
    call.ack()
    call.reply(200, to=call.expect("BYE"))
    lab.advance(5)
    lab.check_empty()


@pytest.mark.proves("S-72")
@pytest.mark.parametrize("gives_up", [True, False])
def test_where_nobody_has_won_nobody_is_told_so(gives_up: bool) -> None:
    lab = Lab(fork)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100", "an offer")
    leg = bob.answering()
    if gives_up:
        call.send("CANCEL", RelatedID=1, Reason="Q.850;cause=16")
        call.expect(200)
        call.expect(487)
        cancel = leg.expect("CANCEL", Reason="Q.850;cause=16")
    else:
        lab.advance(20)
        call.expect(408)
        cancel = leg.expect("CANCEL")
        assert "Reason" not in cancel
    call.ack()
    leg.reply(200, to=cancel)
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


# the service


def caller_hangs_up(lab: Lab, call: Talk, leg: Talk) -> None:
    """And says why."""
    call.send("BYE", Reason="enough")


def callee_hangs_up(lab: Lab, call: Talk, leg: Talk) -> None:
    """Without a word."""
    leg.bye()


def caller_is_lost(lab: Lab, call: Talk, leg: Talk) -> None:
    """And does not come back in its grace."""
    call.user.leave()
    lab.advance(120)


def callee_knows_the_call_no_more(lab: Lab, call: Talk, leg: Talk) -> None:
    """And says so when it is asked."""
    call.send("INFO")
    leg.reply(481, to=leg.expect("INFO"))


def caller_refreshes_no_more(lab: Lab, call: Talk, leg: Talk) -> None:
    """The callee's leg is refreshed by the node."""
    for _ in range(3):
        lab.advance(20)
        leg.reply(200, to=leg.expect("UPDATE"))
    lab.advance(5)


Ends = tuple[str, int, str]
ENDS: list[tuple[Callable[[Lab, Talk, Talk], None], Ends, Ends]] = [
    (caller_hangs_up, ("peer", 0, "enough"), ("us", 0, "enough")),
    (callee_hangs_up, ("us", 0, ""), ("peer", 0, "")),
    (caller_is_lost, ("lost", 408, "the peer has lost its connection"), ("us", 0, "the peer has lost its connection")),
    (
        callee_knows_the_call_no_more, ("us", 0, 'SIP;cause=481;text="the dialogue is over"'),
        ("peer", 481, "Call/Transaction Does Not Exist"),
    ),
    (caller_refreshes_no_more, ("stack", 408, "session expired"), ("us", 0, "session expired")),
]  # fmt: skip


@pytest.mark.proves("S-71")
@pytest.mark.parametrize(("end", "caller", "callee"), ENDS)
def test_a_leg_knows_how_it_has_ended(end: Callable[[Lab, Talk, Talk], None], caller: Ends, callee: Ends) -> None:
    legs: list[Leg] = []

    @service("bridge")
    async def bridge(call: Call) -> None:
        other = call.leg(call.caller.called)
        legs.extend((call.caller, other))
        assert call.caller.ended is None
        await call.caller.answer(await other.invite(call.caller.offer, ringing=call.caller.ring))
        left = await call.bridge(call.caller, other)
        assert left.ended is not None

    lab = Lab(bridge)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer", Expire=60 if end is caller_refreshes_no_more else 3600)
    leg = bob.answering()
    leg.reply(200)
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    end(lab, call, leg)
    lab.advance(130)
    ends = [(leg.ended.by, leg.ended.code, leg.ended.reason) for leg in legs if leg.ended is not None]
    assert ends == [caller, callee]


@pytest.mark.proves("S-71")
@pytest.mark.parametrize(
    ("happens", "ended"),
    [
        ("busy", ("peer", 486, "in a meeting")),
        ("no answer in time", ("us", 487, "")),
        ("offline", ("stack", 480, "Temporarily Unavailable")),
    ],
)
def test_a_leg_that_was_not_answered(happens: str, ended: Ends) -> None:
    seen: list[Leg] = []

    @service("try")
    async def try_(call: Call) -> None:
        leg = call.leg("bob@gortc.local")
        seen.append(leg)
        with pytest.raises(LegFailed):
            await leg.invite(within=20)
        await call.sleep(1)

    lab = Lab(try_)
    alice = lab.user("alice")
    bob = lab.user("bob") if happens != "offline" else None
    alice.call("100")
    if bob is not None:
        leg = bob.answering()
        lab.advance(0 if happens == "busy" else 20)
        leg.reply(486 if happens == "busy" else 487, Reason="in a meeting")
    lab.advance(1)
    how = seen[0].ended
    assert how is not None
    assert (how.by, how.code, how.reason) == ended
    assert repr(how) == f"<ended by {ended[0]}, {ended[1]} {ended[2]!r}>"


@pytest.mark.proves("S-71")
def test_a_caller_that_has_given_up_or_was_turned_away() -> None:
    seen: list[Leg] = []

    @service("wait")
    async def wait(call: Call) -> None:
        seen.append(call.caller)
        await call.sleep(3)
        call.caller.reject(480, "nobody")

    lab = Lab(wait)
    call = lab.user("alice").call("100")
    call.send("CANCEL", RelatedID=1, Reason="enough")
    lab.advance(10)
    lab.user("bob").call("100")
    lab.advance(10)
    ends = [(leg.ended.by, leg.ended.code, leg.ended.reason) for leg in seen if leg.ended is not None]
    assert ends == [("peer", 487, "enough"), ("us", 480, "nobody")]


@pytest.mark.proves("S-71")
def test_a_leg_that_has_become_another_services_has_moved() -> None:
    seen: list[Leg] = []

    @service("first")
    async def first(call: Call) -> None:
        seen.append(call.caller)
        call.become("connect")

    lab = Lab(first, service("connect")(connect))
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", Router="gortc.local;type=first")
    leg = bob.answering()
    assert seen[0].over
    assert seen[0].ended is not None
    assert seen[0].ended.by == "moved"
    leg.reply(486)
    leg.expect("ACK")
    call.expect(486)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("S-71")
def test_what_no_json_can_say_is_the_services_mistake() -> None:
    failed: list[type[BaseException]] = []

    @service("odd")
    async def odd(call: Call) -> None:
        await call.caller.answer()
        leg, theirs = call.caller, {"From": "mallory"}
        for end in (
            partial(leg.hang_up, headers={"Reason": object()}),
            partial(leg.hang_up, headers={"Body": object()}),
            partial(leg.hang_up, headers=theirs),
            partial(call.task.finish, parting=theirs),
        ):
            try:
                end()
            except (TypeError, ValueError) as error:
                failed.append(type(error))
        call.caller.hang_up(reason="done", headers={"Body": {"minutes": 3}})

    lab = Lab(odd)
    call = lab.user("alice").call("100")
    call.expect(200)
    call.ack()
    call.reply(200, to=call.expect("BYE", Reason="done", Body={"minutes": 3}))
    assert failed == [TypeError, TypeError, ValueError, ValueError]
    lab.check_empty()


@pytest.mark.proves("S-73")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE"])
def test_what_can_not_be_delivered_on_one_leg_does_not_end_the_other(method: str) -> None:
    lab, call, leg = running(waiting_max=1)
    leg.user.leave()
    call.send("INFO", "waits")
    call.send(method, "has no room")
    call.expect(503, Reason='SIP;cause=480;text="the other side has not answered"')
    call.bye()
    call.expect(200)
    call.expect(487)
    lab.advance(200)
    lab.check_empty()


@pytest.mark.proves("S-71")
@pytest.mark.parametrize(("leaves", "ended"), [(False, ("stack", 408)), (True, ("lost", 408))])
def test_a_leg_of_one_transaction(leaves: bool, ended: tuple[str, int]) -> None:
    seen: list[Leg] = []

    @service("slow")
    async def slow(call: Call) -> None:
        seen.append(call.caller)
        await call.sleep(200)

    lab = Lab(slow, times=Times(grace=3))
    message = lab.user("alice").open("MESSAGE", "100")
    if leaves:
        message.user.leave()
    lab.advance(6)
    how = seen[0].ended
    assert how is not None
    assert (how.by, how.code) == ended


@pytest.mark.proves("S-71", "C-39")
def test_a_leg_of_one_transaction_whose_user_is_lost() -> None:
    seen: list[Leg] = []

    @service("pager")
    async def pager(call: Call) -> None:
        leg = call.leg("bob@gortc.local", caller="pager@gortc.local")
        seen.append(leg)
        with pytest.raises(LegFailed):
            await leg.send("MESSAGE", "hello")
        await call.sleep(1)

    lab = Lab(pager)
    bob = lab.user("bob")
    lab.start("pager")
    bob.answering("MESSAGE")
    bob.leave()
    lab.advance(121)
    how = seen[0].ended
    assert how is not None
    assert (how.by, how.code, how.reason) == ("lost", 408, "the peer has lost its connection")


@pytest.mark.proves("S-71")
@pytest.mark.parametrize("number", ["bob", "400"])
def test_what_a_bye_in_the_place_of_the_ack_says(number: str) -> None:
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "bob" if number == "bob" else "agent1")
    call = alice.call(number, "an offer")
    leg = agent.answering()
    leg.reply(200, "an answer")
    call.expect(200)
    call.send("BYE", **WORDS)
    call.expect(200)
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE", **WORDS))
    lab.check_empty()


@pytest.mark.proves("S-71")
def test_why_a_callee_hangs_up_before_it_answers() -> None:
    lab, call, leg = ringing()
    leg.send("BYE", Reason="enough")
    leg.expect(200)
    call.expect(487, Reason="enough")
    call.ack()
    lab.check_empty()


@pytest.mark.proves("C-78", "S-71")
def test_a_leg_whose_answer_the_peer_refuses_was_ended_by_the_stack() -> None:
    seen: list[tuple[str, int, str]] = []

    @service("answers")
    async def answers(call: Call) -> None:
        call.caller.closed().addCallback(
            lambda leg: seen.append((leg.ended.by, leg.ended.code, leg.ended.reason)) if leg.ended else None
        )
        await call.caller.answer("an answer")

    lab = Lab(answers)
    alice = lab.user("alice")
    call = alice.call("100", "an offer")
    lab.node.syntax.refused(alice.channel, orjson.dumps(call.expect(200)), 413, "too large for the peer")
    lab.advance(0)
    call.expect(500)
    assert seen == [("stack", 500, "too large for the peer")]
    lab.advance(32)
    lab.check_empty()


@pytest.mark.proves("S-71")
@pytest.mark.parametrize("who", ["the callee, of its re-INVITE", "one who has joined"])
def test_what_others_say_in_the_place_of_their_ack_is_nobody_elses(who: str) -> None:
    @service("desk")
    async def desk(call: Call) -> None:
        call.task.relate("room")
        callee = call.leg("bob@gortc.local")
        call.link(call.caller, callee)
        await call.caller.answer(await callee.invite("an offer"))
        if who == "one who has joined":
            async for leg in call.joined:
                leg.answer().addErrback(lambda _: None)
                await leg.closed()
                break
        else:
            await callee.closed()
        with pytest.raises(LegFailed):
            await call.leg("carol@gortc.local").invite(within=5)

    lab = Lab(desk)
    alice, bob, carol, mallory = lab.users("alice", "bob", "carol", "mallory")
    call = alice.call("100", "an offer")
    leg = bob.answering()
    leg.reply(200, "an answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    if who == "one who has joined":
        joiner = mallory.call("100", Router="gortc.local;type=default;relid=room")
        joiner.expect(200)
        joiner.send("BYE", **WORDS)
    else:
        leg.send("INVITE", "a second offer")
        call.reply(200, to=call.expect("INVITE"))
        leg.expect(200)
        leg.send("BYE", **WORDS)
    lab.advance(5)
    cancel = carol.expect("INVITE") and carol.expect("CANCEL")
    assert not WORDS.keys() & cancel.keys()
