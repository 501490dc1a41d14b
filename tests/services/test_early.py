"""What passes between a caller and those who ring for it, before the answer. docs/jsip.md section 4."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from typing import Any

import pytest

from gortc import Call, Leg, LegFailed, service
from gortc.testing import Lab, Talk, User
from slp_plugins.default import default
from slp_plugins.hunt400 import hunt400

NUMBER = "400@gortc.local"
AGENTS = ("bob@gortc.local", "carol@gortc.local", "dave@gortc.local")


@service("fork")
async def fork(call: Call) -> None:
    """Rings all at once."""
    legs = [call.leg(agent) for agent in AGENTS]
    leg, answer = await call.ring_all(legs, call.caller.offer, ringing=call.caller.ring)
    await call.caller.answer(answer)
    await call.bridge(call.caller, leg)


def forked(*names: str) -> tuple[Lab, Talk, list[Talk]]:
    """Alice calls, and these ring."""
    lab = Lab(fork)
    alice, *agents = lab.users("alice", *names)
    call = alice.call("100", "an offer")
    return lab, call, [agent.answering() for agent in agents]


def hunted() -> tuple[Lab, Talk, User, User]:
    """Alice hunts for two agents."""
    lab = Lab(default, hunt400)
    alice, one, two = lab.users("alice", "agent1", "agent2")
    return lab, alice.call(NUMBER, "an offer", Supported="100rel"), one, two


def over(lab: Lab, call: Talk, leg: Talk) -> None:
    """The agent answers, they talk, and hang up."""
    leg.reply(200, "an answer")
    over_answered(lab, call, leg)


def over_answered(lab: Lab, call: Talk, leg: Talk) -> dict[str, Any]:
    """They talk, and hang up. Returns the answer."""
    answer = call.expect(200)
    hung_up(lab, call, leg)
    return answer


def hung_up(lab: Lab, call: Talk, leg: Talk) -> None:
    """The agent's answer has its ACK, and nothing is left of the call."""
    call.ack()
    leg.expect("ACK")
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


def busy(leg: Talk) -> None:
    """The agent does not want to."""
    leg.reply(486)
    leg.expect("ACK")


def heard(call: Talk, leg: Talk, word: str) -> None:
    """What the caller says reaches the agent, and its answer the caller."""
    call.send("INFO", word)
    leg.reply(200, to=leg.expect("INFO", Body=word))
    call.expect(200)


def acknowledged(call: Talk, leg: Talk, said: int, its: int) -> None:
    """The caller acknowledges a response by the number that it has heard, the agent by its own."""
    call.send("PRACK", RAck=f"{said} 1 INVITE")
    leg.reply(200, to=leg.expect("PRACK", RAck=f"{its} 1 INVITE"))
    call.expect(200)


def cancelled(leg: Talk) -> None:
    """A loser's end."""
    leg.reply(200, to=leg.expect("CANCEL", Reason='SIP;cause=200;text="Call completed elsewhere"'))
    leg.reply(487)
    leg.expect("ACK")


# what differs reaches the caller

PAIRS: dict[str, tuple[tuple[int, dict[str, Any]], tuple[int, dict[str, Any]]]] = {
    "the code": ((180, {}), (183, {})),
    "the RSeq": ((180, {"RSeq": 1}), (180, {"RSeq": 2})),
    "the Body": ((183, {"Body": "music"}), (183, {"Body": "other music"})),
    "no Body": ((183, {"Body": "music"}), (183, {})),
    "the place in a queue": ((182, {"Body": {"position": 2}}), (182, {"Body": {"position": 1}})),
    "a header": ((180, {"Alert-Info": "internal"}), (180, {"Alert-Info": "external"})),
    "a header more": ((180, {}), (180, {"Reason": "busy soon"})),
    "early media before": ((183, {"Body": "music"}), (180, {})),
}


@pytest.mark.proves("S-64")
@pytest.mark.parametrize(("one", "other"), PAIRS.values(), ids=PAIRS)
def test_two_that_differ(one: tuple[int, dict[str, Any]], other: tuple[int, dict[str, Any]]) -> None:
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    for code, headers in (one, other, one, other):
        leg.reply(code, **headers)
        assert headers.items() <= call.expect(code).items()
        leg.reply(code, **headers)  # the same one again
        call.expect_nothing()
    over(lab, call, leg)


@pytest.mark.proves("S-64")
def test_the_same_one_again_after_a_while_keeps_the_caller_waiting() -> None:
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    for _ in range(12):
        leg.reply(180, RSeq=7)
        call.expect(180, RSeq=7)
        lab.advance(10)
        leg.reply(180, RSeq=7)
        call.expect_nothing()
        lab.advance(10)
    over(lab, call, leg)


@pytest.mark.proves("S-64")
def test_that_a_second_one_rings_beside_the_first_is_no_news() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(180)
    call.expect(180)
    carol.reply(180)
    call.expect_nothing()
    bob.reply(183)
    call.expect(183)
    carol.reply(180)
    call.expect_nothing()  # it has said so before
    busy(bob)
    carol.reply(180, Note="I do")
    call.expect(180, Note="I do")
    over(lab, call, carol)


# requests

METHODS = [("INFO", {}), ("UPDATE", {"Body": "a second offer"}), ("PRACK", {"RAck": "1 1 INVITE"}), ("MESSAGE", {})]


@pytest.mark.proves("S-63")
@pytest.mark.parametrize(("method", "headers"), METHODS)
def test_what_the_caller_says_reaches_the_agent_that_rings(method: str, headers: dict[str, Any]) -> None:
    lab, call, first, second = hunted()
    leg = first.answering(Supported="100rel")
    leg.reply(183, "early media", RSeq=1, Require="100rel")
    call.expect(183, Body="early media", RSeq=1, Require="100rel")
    call.send(method, **headers)
    asked = leg.expect(method, **headers)
    leg.reply(202, "yes", to=asked)
    call.expect(202, Body="yes")
    second.expect_nothing()
    over(lab, call, leg)


@pytest.mark.proves("S-63")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE"])
def test_what_the_agent_that_rings_says_reaches_the_caller(method: str) -> None:
    lab, call, first, _ = hunted()
    leg = first.answering()
    leg.reply(180)
    call.expect(180)
    leg.send(method, "news")
    call.reply(200, "heard", to=call.expect(method, Body="news"))
    leg.expect(200, Body="heard")
    over(lab, call, leg)


@pytest.mark.proves("S-63")
def test_the_next_agent_hears_the_caller_in_its_turn() -> None:
    lab, call, first, second = hunted()
    leg = first.answering()
    leg.reply(180)
    call.expect(180)
    busy(leg)
    call.send("INFO", "is anybody there?")
    call.expect(491)
    leg = second.answering()
    leg.reply(180)
    call.expect(180)
    heard(call, leg, "a digit")
    over(lab, call, leg)


@pytest.mark.proves("S-63")
def test_of_several_who_ring_the_caller_talks_to_the_one_whose_early_media_it_has() -> None:
    lab, call, (bob, carol, dave) = forked("bob", "carol", "dave")
    bob.reply(180)
    call.expect(180)
    heard(call, bob, "one")
    carol.reply(183, "music")
    call.expect(183, Body="music")
    bob.reply(183, Note="still here")
    call.expect(183, Note="still here")
    heard(call, carol, "two")
    busy(carol)
    dave.reply(183, "other music")
    call.expect(183, Body="other music")
    call.send("UPDATE", "three")
    dave.reply(200, to=dave.expect("UPDATE", Body="three"))
    call.expect(200)
    dave.reply(200, "an answer")
    cancelled(bob)
    over_answered(lab, call, dave)


@pytest.mark.proves("S-63")
def test_after_the_answer_the_service_says_who_hears_whom() -> None:
    """One that does not bridge reads what its legs say."""

    @service("reader")
    async def reader(call: Call) -> None:
        callee = call.leg("bob@gortc.local")
        await call.caller.answer(await callee.invite(ringing=call.caller.ring))
        async for request in call.caller.requests:
            call.caller.reply(request, 200, "read")

    lab = Lab(reader)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("service")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    leg.reply(200)
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    call.send("INFO")
    call.expect(200, Body="read")
    leg.expect_nothing()
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


# reliable responses of several agents


@pytest.mark.proves("S-69")
def test_reliable_responses_are_numbered_in_the_callers_dialogue() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    for number in (1, 2):
        bob.reply(183, f"bob's {number}", RSeq=number)
        call.expect(183, RSeq=number)
        acknowledged(call, bob, number, number)
    carol.reply(180, RSeq=1)
    call.expect(180, RSeq=3)
    carol.reply(180, RSeq=1)  # the same one again
    call.expect_nothing()
    call.send("PRACK", RAck="3 1 INVITE", Body="a second offer")
    carol.reply(200, "a second answer", to=carol.expect("PRACK", RAck="1 1 INVITE", Body="a second offer"))
    call.expect(200, Body="a second answer")
    bob.reply(180, RSeq=3)
    call.expect(180, RSeq=4)
    acknowledged(call, bob, 4, 3)
    carol.reply(200, "an answer")
    cancelled(bob)
    over_answered(lab, call, carol)


@pytest.mark.proves("S-38", "S-69")
def test_two_pracks_at_once() -> None:
    """Both responses were on their way before the first PRACK was."""
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's", RSeq=1)
    carol.reply(180, RSeq=1)
    call.expect(183, RSeq=1)
    call.expect(180, RSeq=2)
    one, other = call.send("PRACK", RAck="1 1 INVITE"), call.send("PRACK", RAck="2 1 INVITE")
    carol.reply(200, to=carol.expect("PRACK", RAck="1 1 INVITE"))
    call.expect(200, CSeq=other["CSeq"])
    bob.reply(200, to=bob.expect("PRACK", RAck="1 1 INVITE"))
    call.expect(200, CSeq=one["CSeq"])
    bob.reply(200, "an answer")
    cancelled(carol)
    over_answered(lab, call, bob)


@pytest.mark.proves("S-69")
def test_a_prack_goes_by_its_number_also_where_another_one_has_the_early_media() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's", RSeq=5)
    call.expect(183, RSeq=5, Body="bob's")
    carol.reply(180, RSeq=5)
    call.expect(180, RSeq=6)
    acknowledged(call, carol, 6, 5)
    bob.expect_nothing()
    bob.reply(200, "an answer")
    cancelled(carol)
    over_answered(lab, call, bob)


@pytest.mark.proves("S-69")
@pytest.mark.parametrize(
    "rack", ["2 1 INVITE", "0 1 INVITE", "", "one", "1", 1, None, "9" * 30 + " 1 INVITE", "² 1 INVITE"]
)
def test_a_prack_of_nothing(rack: object) -> None:
    lab, call, first, _ = hunted()
    leg = first.answering()
    leg.reply(180, RSeq=1)
    call.expect(180)
    call.send("PRACK", RAck=rack)
    call.expect(481)
    leg.expect_nothing()
    over(lab, call, leg)


@pytest.mark.proves("S-69")
def test_a_caller_that_counts_otherwise() -> None:
    """RAck names the caller's INVITE; the agent's has its own number."""
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    call = alice.call(NUMBER, "an offer", CSeq=41)
    leg = agent.answering(CSeq=1)
    leg.reply(180, RSeq=1)
    call.expect(180, RSeq=1)
    call.send("PRACK", RAck="1 41 INVITE", CSeq=42)
    leg.reply(200, to=leg.expect("PRACK", RAck="1 1 INVITE"))
    call.expect(200)
    call.send("BYE", CSeq=43)
    call.expect(200)
    call.expect(487)
    call.send("ACK", RelatedID=41, CSeq=44)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    lab.check_empty()


@pytest.mark.proves("S-69")
def test_an_agent_that_asks_for_a_thousand_pracks() -> None:
    """A bounded number of them is remembered."""
    lab, call, first, _ = hunted()
    leg = first.answering()
    for number in range(1, 1001):
        leg.reply(180, RSeq=number)
        call.expect(180, RSeq=number)
    call.send("PRACK", RAck="1 1 INVITE")
    call.expect(481)
    call.send("PRACK", RAck="1000 1 INVITE")
    leg.reply(200, to=leg.expect("PRACK"))
    call.expect(200)
    over(lab, call, leg)


# early media of several agents


@pytest.mark.proves("S-70")
def test_the_caller_has_the_early_media_of_one_agent_at_a_time() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's music", Content_Type="sdp")
    call.expect(183, Body="bob's music", Content_Type="sdp")
    carol.reply(183, "carol's music", Content_Type="sdp", Note="n")
    heard = call.expect(183, Note="n")
    assert not {"Body", "Content-Type"} & heard.keys()
    busy(bob)
    carol.reply(183, "carol's music", Content_Type="sdp", Note="m")
    call.expect(183, Body="carol's music", Content_Type="sdp")
    over(lab, call, carol)


@pytest.mark.proves("S-70")
def test_an_answer_that_the_caller_has_not_heard_comes_with_the_200() -> None:
    """An agent that has answered in a reliable response need not do so again (RFC 3262 section 5)."""
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's answer", RSeq=1)
    call.expect(183, Body="bob's answer")
    carol.reply(183, "carol's answer", RSeq=1, Content_Type="sdp")
    assert "Body" not in call.expect(183, RSeq=2)
    call.send("PRACK", RAck="2 1 INVITE")
    carol.reply(200, to=carol.expect("PRACK"))
    call.expect(200)
    carol.reply(200)
    call.expect(200, Body="carol's answer", Content_Type="sdp")
    cancelled(bob)
    hung_up(lab, call, carol)


@pytest.mark.proves("S-70")
def test_each_agent_of_a_hunt_in_its_turn() -> None:
    lab, call, first, second = hunted()
    leg = first.answering()
    leg.reply(183, "music 1")
    call.expect(183, Body="music 1")
    lab.advance(15)
    leg.reply(200, to=leg.expect("CANCEL"))
    last = second.answering()
    last.reply(183, "music 2")
    call.expect(183, Body="music 2")
    leg.reply(487)
    leg.expect("ACK")
    over(lab, call, last)


# who comes and goes


@pytest.mark.proves("S-69")
@pytest.mark.parametrize("how", ["busy", "too slow", "silent"])
def test_a_prack_of_an_agent_that_has_gone(how: str) -> None:
    """RFC 3262 section 3: to a response that was sent it gets a 2xx."""
    lab, call, one, _ = hunted()
    leg = one.answering()
    leg.reply(183, RSeq=1)
    call.expect(183)
    if how == "silent":
        call.send("PRACK", RAck="1 1 INVITE")
        leg.expect("PRACK")
        lab.advance(6)
    else:
        leg.reply(486) if how == "busy" else lab.advance(15)
        call.send("PRACK", RAck="1 1 INVITE")
    assert [message["Code"] for message in call.user.inbox][-1] == (504 if how == "silent" else 200)


@pytest.mark.proves("S-69")
def test_a_second_offer_to_an_agent_that_has_gone() -> None:
    _, call, one, _ = hunted()
    leg = one.answering()
    leg.reply(183, RSeq=1)
    call.expect(183)
    leg.reply(486)
    call.send("PRACK", RAck="1 1 INVITE", Body="a second offer")
    call.expect(488)


@pytest.mark.proves("S-69")
def test_many_agents_who_ring_reliably() -> None:
    names = [f"u{number}" for number in range(40)]

    @service("crowd")
    async def crowd(call: Call) -> None:
        await call.ring_all([call.leg(f"{name}@gortc.local") for name in names], ringing=call.caller.ring)

    lab = Lab(crowd)
    alice, *users = lab.users("alice", *names)
    call = alice.call("100")
    for number, user in enumerate(users, 1):
        user.answering().reply(180, RSeq=1)
        call.expect(180, RSeq=number)
    call.send("PRACK", RAck="1 1 INVITE")
    users[0].expect("PRACK", RAck="1 1 INVITE")
    alice.leave()
    lab.advance(200)
    lab.check_empty()


@pytest.mark.proves("S-63")
def test_who_still_rings_is_heard_when_another_one_has_gone() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(180)
    call.expect(180)
    carol.reply(180)
    call.expect_nothing()
    busy(bob)
    heard(call, carol, "a digit")
    over(lab, call, carol)


@pytest.mark.proves("S-70")
def test_an_answer_brings_no_older_media() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's")
    call.expect(183)
    carol.reply(183, "carol's first")
    call.expect(183)
    busy(bob)
    carol.reply(183, "carol's second")
    call.expect(183, Body="carol's second")
    carol.reply(200)
    assert "Body" not in over_answered(lab, call, carol)


@pytest.mark.proves("S-64")
def test_back_in_the_queue() -> None:
    """What a service says again is news where something else has been heard since."""

    @service("queue")
    async def queue(call: Call) -> None:
        call.caller.ring(code=182)
        with pytest.raises(LegFailed):
            await call.leg("bob@gortc.local").invite(ringing=call.caller.ring)
        call.caller.ring(code=182)
        call.caller.reject(480)

    lab = Lab(queue)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    leg = bob.answering()
    leg.reply(180)
    leg.reply(486)
    for code in (182, 180, 182, 480):
        call.expect(code)


@pytest.mark.plain  # what is compiled has no weak references
@pytest.mark.proves("S-64", "S-69")
def test_a_queue_forgets_who_has_failed() -> None:
    """However many are tried while the caller waits."""
    legs: list[weakref.ref[Leg]] = []

    @service("queue")
    async def queue(call: Call) -> None:
        while True:
            leg = call.leg("bob@gortc.local")
            legs.append(weakref.ref(leg))
            with suppress(LegFailed):
                await leg.invite(within=5, ringing=call.caller.ring)
            call.caller.ring(code=182)
            await call.sleep(1)

    lab = Lab(queue)
    alice, bob = lab.users("alice", "bob")
    alice.call("100")
    for number in range(100):
        leg = bob.answering()
        leg.reply(183, "x" * 1000, RSeq=number + 1)
        busy(leg)
        lab.advance(1)
    gc.collect()
    assert sum(leg() is not None for leg in legs) < 20


@pytest.mark.proves("S-63")
def test_before_anybody_rings() -> None:
    lab, call, one, _ = hunted()
    leg = one.answering()
    call.send("INFO", "is anybody there?")
    call.expect(491)
    over(lab, call, leg)


@pytest.mark.proves("S-63")
def test_who_answers_is_heard_from_then_on() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(180)
    call.expect(180)
    carol.reply(200, "an answer")
    call.expect(200)
    carol.send("INFO", "hello")
    call.reply(200, to=call.expect("INFO", Body="hello"))
    carol.expect(200)
    cancelled(bob)
    hung_up(lab, call, carol)


@pytest.mark.proves("S-63")
def test_a_service_that_begins_to_read_does_so() -> None:
    @service("reader")
    async def reader(call: Call) -> None:
        call.leg("bob@gortc.local").invite(ringing=call.caller.ring).addErrback(lambda _: None)
        await call.sleep(1)
        async for request in call.caller.requests:
            call.caller.reply(request, 200, "read")

    lab = Lab(reader)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("100")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    lab.advance(1)
    call.send("INFO")
    call.expect(200, Body="read")
    leg.expect_nothing()


def test_another_service_does_not_inherit_what_rings() -> None:
    @service("first")
    async def first(call: Call) -> None:
        call.leg("bob@gortc.local").invite(ringing=call.caller.ring).addErrback(lambda _: None)
        await call.sleep(1)
        call.become("hunt400")

    lab = Lab(first, hunt400, config={"hunt400": {"agents": {"100@gortc.local": ["carol@gortc.local"]}}})
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer", Router="gortc.local;type=first")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    lab.advance(1)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    over(lab, call, carol.answering())


@pytest.mark.proves("S-69")
def test_a_prack_that_comes_after_the_ack() -> None:
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    call = alice.call(NUMBER, "an offer", CSeq=41)
    leg = agent.answering()
    leg.reply(180, RSeq=1)
    leg.reply(200, "an answer")
    call.send("ACK", RelatedID=41, CSeq=42)
    leg.expect("ACK")
    call.send("PRACK", RAck="1 41 INVITE", CSeq=43)
    leg.expect("PRACK", RAck="1 1 INVITE")


@pytest.mark.proves("S-69")
def test_another_service_goes_on_counting() -> None:
    @service("first")
    async def first(call: Call) -> None:
        with suppress(LegFailed):
            await call.leg("bob@gortc.local").invite(ringing=call.caller.ring)
        call.become("hunt400")

    lab = Lab(first, hunt400, config={"hunt400": {"agents": {"100@gortc.local": ["carol@gortc.local"]}}})
    alice, bob, carol = lab.users("alice", "bob", "carol")
    call = alice.call("100", "an offer", Router="gortc.local;type=first")
    leg = bob.answering()
    leg.reply(180, RSeq=1)
    call.expect(180, RSeq=1)
    busy(leg)
    leg = carol.answering()
    leg.reply(180, RSeq=1)
    call.expect(180, RSeq=2)
    acknowledged(call, leg, 2, 1)
    over(lab, call, leg)


# one callee among others


@pytest.mark.proves("S-73")
@pytest.mark.parametrize("code", [408, 481])
@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
def test_what_one_agent_says_of_its_dialogue_does_not_end_the_hunt(method: str, code: int) -> None:
    lab, call, first, second = hunted()
    leg = first.answering()
    leg.reply(180)
    call.expect(180)
    call.send(method, "a question")
    leg.reply(code, to=leg.expect(method))
    call.expect(504)
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    over(lab, call, second.answering())


@pytest.mark.proves("S-73")
def test_nor_does_it_end_what_rings_beside_it() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(180)
    call.expect(180)
    call.send("INFO", "a question")
    bob.reply(481, to=bob.expect("INFO"))
    call.expect(504)
    bob.reply(200, to=bob.expect("CANCEL"))
    bob.reply(487)
    bob.expect("ACK")
    over(lab, call, carol)


@pytest.mark.proves("S-63")
def test_one_that_was_given_up_is_not_asked_any_more() -> None:
    """Though its CANCEL is still open."""
    lab, call, first, second = hunted()
    leg = first.answering()
    leg.reply(180)
    call.expect(180)
    lab.advance(15)
    cancel = leg.expect("CANCEL")
    call.send("INFO", "is anybody there?")
    call.expect(491)
    last = second.answering()
    last.reply(180)
    call.expect(180)
    heard(call, last, "and now?")
    leg.reply(200, to=cancel)
    leg.reply(487)
    leg.expect("ACK")
    over(lab, call, last)


@pytest.mark.proves("S-64", "S-70")
def test_early_media_that_the_caller_has_not_had_is_no_repetition() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's")
    call.expect(183, Body="bob's")
    carol.reply(183, "carol's")
    call.expect(183, Body=None)
    carol.reply(183, "carol's")
    call.expect_nothing()
    busy(bob)
    carol.reply(183, "carol's")
    call.expect(183, Body="carol's")
    carol.reply(183, "carol's")
    call.expect_nothing()
    over(lab, call, carol)


@pytest.mark.proves("S-63", "S-70")
@pytest.mark.parametrize(("code", "body"), [(182, {"position": 2}), (199, "why"), (183, None)])
def test_what_is_no_early_media(code: int, body: Any) -> None:
    """It takes nobody's from the caller."""
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(code, Body=body)
    call.expect(code, Body=body)
    carol.reply(183, "music")
    call.expect(183, Body="music")
    bob.reply(182, {"position": 1})
    call.expect(182, Body={"position": 1})
    heard(call, carol, "a digit")
    carol.reply(200, "an answer")
    cancelled(bob)
    over_answered(lab, call, carol)


@pytest.mark.proves("S-69")
def test_a_late_prack_has_its_agents_number() -> None:
    lab, call, first, second = hunted()
    leg = first.answering()
    leg.reply(180, RSeq=1)
    call.expect(180, RSeq=1)
    busy(leg)
    last = second.answering()
    last.reply(180, RSeq=1)
    call.expect(180, RSeq=2)
    last.reply(200, "an answer")
    call.expect(200)
    call.ack()
    last.expect("ACK")
    acknowledged(call, last, 2, 1)
    call.bye()
    call.expect(200)
    last.reply(200, to=last.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-69")
@pytest.mark.parametrize("rack", ["1 2 INVITE", "1 77 INVITE", "1 1 UPDATE", "1 1", "1 1 INVITE INVITE"])
def test_a_prack_of_another_request(rack: str) -> None:
    lab, call, first, _ = hunted()
    leg = first.answering()
    leg.reply(180, RSeq=1)
    call.expect(180)
    call.send("PRACK", RAck=rack)
    call.expect(481)
    leg.expect_nothing()
    over(lab, call, leg)


@pytest.mark.proves("S-34", "S-69")
def test_a_prack_of_a_re_invite() -> None:
    """Its RAck names the INVITE that each side knows."""
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer", CSeq=41)
    leg = bob.answering(CSeq=1)
    leg.reply(180, RSeq=1)
    call.expect(180)
    leg.reply(200, "an answer")
    call.expect(200)
    call.send("ACK", RelatedID=41, CSeq=42)
    leg.expect("ACK")
    call.send("INVITE", "a second offer", CSeq=43)
    asked = leg.expect("INVITE")
    leg.reply(183, to=asked, RSeq=1)
    call.expect(183, RSeq=1)
    call.send("PRACK", RAck="1 43 INVITE", CSeq=44)
    leg.reply(200, to=leg.expect("PRACK", RAck=f"1 {asked['CSeq']} INVITE"))
    call.expect(200)
    leg.reply(200, to=asked)
    call.expect(200)
    call.send("ACK", RelatedID=43, CSeq=45)
    leg.expect("ACK")
    leg.bye()
    leg.expect(200)
    call.reply(200, to=call.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-64", "S-70")
def test_a_place_in_a_queue_is_no_owed_media() -> None:
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's")
    call.expect(183)
    carol.reply(183, "carol's")
    call.expect(183, Body=None)
    busy(bob)
    carol.reply(182, {"position": 1})
    call.expect(182)
    for body in ({"position": 1}, {"position": 1}):
        carol.reply(182, body)
        call.expect_nothing()
    over(lab, call, carol)


@pytest.mark.proves("S-69", "S-70")
def test_owed_media_has_a_number_of_its_own() -> None:
    """The first one was acknowledged, without its Body."""
    lab, call, (bob, carol) = forked("bob", "carol")
    bob.reply(183, "bob's")
    call.expect(183)
    carol.reply(183, "carol's", RSeq=1)
    call.expect(183, Body=None, RSeq=1)
    acknowledged(call, carol, 1, 1)
    busy(bob)
    carol.reply(183, "carol's", RSeq=1)
    call.expect(183, Body="carol's", RSeq=2)
    acknowledged(call, carol, 2, 1)
    over(lab, call, carol)


@pytest.mark.proves("S-69")
@pytest.mark.parametrize("reliable", [False, True])
@pytest.mark.parametrize("code", [200, 488])
def test_a_prack_of_a_re_invite_that_crosses_its_answer(code: int, reliable: bool) -> None:
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    if reliable:
        leg.reply(180, RSeq=1)
        call.expect(180)
        acknowledged(call, leg, 1, 1)
    leg.reply(200, "an answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    again = call.send("INVITE", "a second offer")
    asked = leg.expect("INVITE")
    leg.reply(183, to=asked, RSeq=7)
    call.expect(183)
    leg.reply(code, to=asked)
    call.expect(code)
    call.send("PRACK", RAck=f"7 {again['CSeq']} INVITE")
    leg.user.inbox.clear()
    call.ack()
    leg.user.inbox.clear()
    call.send("PRACK", RAck=f"7 {again['CSeq']} INVITE")
    leg.expect("PRACK", RAck=f"7 {asked['CSeq']} INVITE")


@pytest.mark.proves("S-73")
@pytest.mark.parametrize("code", [408, 481])
def test_what_the_one_callee_of_a_call_says_of_its_dialogue(code: int) -> None:
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    call.send("INFO", "a question")
    leg.reply(code, to=leg.expect("INFO"))
    call.expect(504)
