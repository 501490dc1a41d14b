"""A caller who is away as its call is answered: the callee is not left in the dark. docs/jsip.md section 4."""

from __future__ import annotations

from typing import Any

import pytest

from gortc.jsip.times import Times
from gortc.testing import Lab, Talk, User
from slp_plugins.default import default
from slp_plugins.hunt400 import hunt400

AWAY = 'SIP;cause=487;text="the caller is away"'


def rung(**settings: Any) -> tuple[Lab, User, Talk, Talk]:
    """Bob rings for alice."""
    lab = Lab(default, hunt400, **settings)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer")
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    return lab, alice, call, leg


def told(leg: Talk) -> None:
    """The callee is acknowledged, and hung up."""
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE", Reason=AWAY))


@pytest.mark.proves("S-68", "X-21")
@pytest.mark.parametrize("seconds", [10, 3, 0])
def test_the_callee_is_told_after_a_time(seconds: float) -> None:
    lab, alice, _, leg = rung(times=Times(absent=seconds))
    alice.leave()
    leg.reply(200, "an answer")
    if seconds:
        lab.advance(seconds - 0.1)
        leg.expect_nothing()
        lab.advance(0.1)
    told(leg)
    again = lab.user("alice")
    again.expect(200, Body="an answer")  # she learns what she has missed
    bye = again.expect("BYE", Reason=AWAY)
    again.send({"Type": "RESPONSE", "Code": 200, **{key: bye[key] for key in ("From", "To", "DialogueID", "CSeq")}})
    lab.check_empty()


@pytest.mark.proves("S-68")
def test_each_answer_has_its_own_time() -> None:
    """What was used up for one does not count for the next."""
    lab, alice, call, leg = rung()
    leg.reply(200, "an answer")
    call.expect(200)
    alice.leave()
    lab.advance(9)
    call = Talk(lab.user("alice"), call.request, ours=True)
    call.ack()
    leg.expect("ACK")
    call.send("INVITE", "a second offer")
    leg.reply(200, "a second answer", to=leg.expect("INVITE"))
    call.expect(200)
    call.user.leave()
    lab.advance(9)
    leg.expect_nothing()
    lab.advance(1)
    leg.expect("ACK")
    lab.advance(200)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-68")
def test_one_that_is_lost_between_the_answer_and_its_ack() -> None:
    lab, alice, call, leg = rung()
    leg.reply(200, "an answer")
    call.expect(200)
    alice.leave()
    lab.advance(9.9)
    leg.expect_nothing()
    lab.advance(0.1)
    told(leg)
    lab.advance(200)
    lab.check_empty()


@pytest.mark.proves("S-68", "C-34", "C-38")
@pytest.mark.parametrize("before", [True, False])
def test_one_that_is_back_in_time(before: bool) -> None:
    lab, alice, call, leg = rung()
    if before:
        alice.leave()
        leg.reply(200, "an answer")
    else:
        leg.reply(200, "an answer")
        call.expect(200)
        alice.leave()
    lab.advance(9)
    leg.expect_nothing()
    back = lab.user("alice")
    if before:
        back.expect(200, Body="an answer")
    lab.advance(20)  # an ACK may take that long
    leg.expect_nothing()
    ack = {"Type": "ACK", "CSeq": 2, "RelatedID": 1}
    back.send({**{key: call.request[key] for key in ("Request-URI", "From", "To", "DialogueID")}, **ack})
    leg.expect("ACK")
    leg.bye()
    leg.expect(200)
    bye = back.expect("BYE")
    back.send({"Type": "RESPONSE", "Code": 200, **{key: bye[key] for key in ("From", "To", "DialogueID", "CSeq")}})
    lab.check_empty()


@pytest.mark.proves("S-68")
@pytest.mark.parametrize("before", [True, False])
def test_one_that_has_closed_its_connection_is_not_waited_for(before: bool) -> None:
    lab, alice, call, leg = rung()
    if before:
        alice.close()
        leg.reply(200, "an answer")
    else:
        leg.reply(200, "an answer")
        call.expect(200)
        alice.close()
    lab.advance()
    told(leg)
    lab.advance(200)
    lab.check_empty()


@pytest.mark.proves("S-68")
def test_a_hunt_does_not_keep_its_agent() -> None:
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    alice.call("400", "an offer")
    leg = agent.answering()
    alice.leave()
    leg.reply(200, "an answer")
    lab.advance(10)
    told(leg)
    lab.advance(200)
    lab.check_empty()


@pytest.mark.proves("S-68")
def test_an_answer_to_a_re_invite_is_acknowledged_for_a_peer_that_is_away() -> None:
    lab, alice, call, leg = rung()
    leg.reply(200, "an answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    call.send("INVITE", "a second offer")
    asked = leg.expect("INVITE")
    alice.leave()
    leg.reply(200, "a second answer", to=asked)
    lab.advance(9.9)
    leg.expect_nothing()
    lab.advance(0.1)
    leg.expect("ACK")
    leg.expect_nothing()  # the call itself waits for her
    lab.advance(110)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-68")
def test_one_that_comes_and_goes_has_no_more_time() -> None:
    lab, alice, _, leg = rung()
    alice.leave()
    leg.reply(200, "an answer")
    for _ in range(2):
        lab.advance(4)
        back = lab.user("alice")
        lab.advance(1)
        back.leave()
    leg.expect_nothing()
    lab.advance(2)
    told(leg)
    lab.advance(200)
    lab.check_empty()
