"""The session interval across a call: the caller's own goes onward, and a callee may want a longer one."""

from __future__ import annotations

from typing import Any

import pytest

from gortc import Call, service
from gortc.client.dialogue import opening
from gortc.testing import Lab, Talk
from slp_plugins.default import default
from slp_plugins.hunt400 import hunt400


def called(**headers: Any) -> tuple[Lab, Talk, Talk]:
    """Alice calls bob."""
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "an offer", **headers)
    return lab, call, bob.answering(Body="an offer")


def talk(call: Talk, leg: Talk) -> None:
    """The callee answers."""
    leg.reply(200, "an answer")
    call.expect(200, Body="an answer")
    call.ack()
    leg.expect("ACK")


def over(lab: Lab, call: Talk, leg: Talk) -> None:
    """The caller hangs up."""
    call.bye()
    call.expect(200)
    leg.reply(200, to=leg.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("S-67")
@pytest.mark.parametrize(
    ("asked", "offered"), [(10, 10), (1800, 1800), (86_400, 86_400), (90_000, 86_400), (None, 600)]
)
def test_the_callers_interval_is_offered_onward(asked: int | None, offered: int) -> None:
    lab, call, leg = called(**({"Expire": asked} if asked else {}))
    assert leg.request["Expire"] == offered
    talk(call, leg)
    over(lab, call, leg)


@pytest.mark.proves("S-67")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_so_is_a_new_one_in_the_call(method: str) -> None:
    lab, call, leg = called(Expire=100)
    talk(call, leg)
    call.send(method, "a second offer", Expire=50)
    leg.reply(200, "a second answer", to=leg.expect(method, Expire=50))
    call.expect(200)
    if method == "INVITE":
        call.ack()
        leg.expect("ACK")
    over(lab, call, leg)


@pytest.mark.proves("S-67")
def test_a_message_keeps_its_own() -> None:
    """RFC 3428 section 7: after so many seconds it is of no use any more."""
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    message = alice.open("MESSAGE", "bob", "hello", Expire=3)
    bob.answering("MESSAGE", Expire=3).reply(200)
    message.expect(200)
    lab.check_empty()


@pytest.mark.proves("S-66")
@pytest.mark.parametrize("asked", [None, 60, 1199])
def test_423_is_tried_again_once_with_the_interval_that_the_callee_wants(asked: int | None) -> None:
    lab, call, leg = called(**({"Expire": asked} if asked else {}), Supported="timer", X_Note="n")
    leg.reply(423, Min_Expire=1200)
    leg.expect("ACK")
    again = leg.user.answering(Expire=1200, Body="an offer", Supported="timer", X_Note="n", From="alice@gortc.local")
    assert again.id != leg.id
    call.expect_nothing()
    again.reply(180)
    call.expect(180)
    talk(call, again)
    call.send("INFO")
    again.reply(200, to=again.expect("INFO"))
    call.expect(200)
    lab.advance(0.1)
    over(lab, call, again)


@pytest.mark.proves("S-66")
def test_the_second_423_is_the_callers() -> None:
    lab, call, leg = called()
    leg.reply(423, Min_Expire=1200)
    leg.expect("ACK")
    again = leg.user.answering(Expire=1200)
    again.reply(423, Min_Expire=2400)
    again.expect("ACK")
    call.expect(423, Min_Expire=2400)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("M-20", "S-66")
def test_a_423_whose_number_is_written_otherwise() -> None:
    lab, call, leg = called()
    leg.reply(423, Min_Expire=1200.0)
    leg.expect("ACK")
    again = leg.user.answering(Expire=1200)
    talk(call, again)
    over(lab, call, again)


@pytest.mark.proves("S-66")
@pytest.mark.parametrize("least", [None, "1200", 0, -1, 9, 599, 600, 86_401, 1.5, True])
def test_a_423_that_wants_what_can_not_be(least: Any) -> None:
    lab, call, leg = called()
    leg.reply(423, **({} if least is None else {"Min_Expire": least}))
    leg.expect("ACK")
    leg.expect_nothing()
    call.expect(423)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("S-66")
def test_cancelled_as_it_is_tried_again() -> None:
    lab, call, leg = called()
    leg.reply(423, Min_Expire=1200)
    leg.expect("ACK")
    again = leg.user.answering()
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    again.reply(200, to=again.expect("CANCEL"))
    again.reply(487)
    again.expect("ACK")
    leg.expect_nothing()
    lab.check_empty()


@pytest.mark.proves("S-66")
def test_what_is_left_of_the_router_goes_along() -> None:
    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    request = opening("INVITE", alice.name, "carol@far.example", "an offer", Router="bob@gortc.local, pbx.far.example")
    request["Max-Forwards"] = 7
    alice.send(request)
    leg = bob.answering(Router="bob@gortc.local, pbx.far.example", Max_Forwards=6)
    leg.reply(423, Min_Expire=900)
    leg.expect("ACK")
    again = bob.answering(Router="bob@gortc.local, pbx.far.example", Max_Forwards=6, Expire=900)
    again.reply(486)
    again.expect("ACK")
    alice.expect(486)
    lab.advance(5)
    lab.check_empty()


@pytest.mark.proves("S-66")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_423_in_the_call(method: str, side: str) -> None:
    lab, call, leg = called()
    talk(call, leg)
    one, other = (call, leg) if side == "caller" else (leg, call)
    one.send(method, "a second offer", Expire=60, X_Note="n")
    other.reply(423, to=other.expect(method, Expire=60), Min_Expire=90)
    if method == "INVITE":
        other.expect("ACK")
    asked = other.expect(method, Body="a second offer", Expire=90, X_Note="n")
    one.expect_nothing()
    other.reply(200, "a second answer", to=asked)
    one.expect(200, Body="a second answer")
    if method == "INVITE":
        one.ack()
        other.expect("ACK", RelatedID=asked["CSeq"])
    over(lab, call, leg)


@pytest.mark.proves("S-66")
def test_a_re_invite_is_cancelled_as_it_is_tried_again() -> None:
    lab, call, leg = called()
    talk(call, leg)
    call.send("INVITE", "a second offer")
    leg.reply(423, to=leg.expect("INVITE"), Min_Expire=900)
    leg.expect("ACK")
    asked = leg.expect("INVITE", Expire=900)
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, to=leg.expect("CANCEL", RelatedID=asked["CSeq"]))
    leg.reply(487, to=asked)
    leg.expect("ACK")
    over(lab, call, leg)


@pytest.mark.proves("S-66")
def test_an_agent_of_a_hunt() -> None:
    lab = Lab(default, hunt400)
    alice, agent = lab.users("alice", "agent1")
    call = alice.call("400", "an offer")
    leg = agent.answering()
    lab.advance(10)
    leg.reply(423, Min_Expire=1200)
    leg.expect("ACK")
    again = agent.answering(Expire=1200)
    lab.advance(5)  # fifteen seconds in all
    again.reply(200, to=again.expect("CANCEL"))
    again.reply(487)
    again.expect("ACK")
    call.expect(480)
    call.ack()
    lab.check_empty()


@pytest.mark.proves("S-66")
def test_what_was_cancelled_is_not_tried_again() -> None:
    lab, call, leg = called()
    talk(call, leg)
    call.send("INVITE", "a second offer")
    asked = leg.expect("INVITE")
    call.cancel()
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(423, to=asked, Min_Expire=900)
    leg.expect("ACK")
    leg.expect_nothing()
    for code in (200, 487):
        call.expect(code)
    call.ack()
    over(lab, call, leg)


@pytest.mark.proves("S-66")
@pytest.mark.parametrize("how", ["hang_up", "cancel"])
def test_what_the_service_has_taken_back_is_not_tried_again(how: str) -> None:
    @service("impatient")
    async def impatient(call: Call) -> None:
        leg = call.leg("bob@gortc.local")
        leg.invite().addErrback(lambda _: None)
        await call.sleep(1)
        leg.hang_up() if how == "hang_up" else leg.cancel(leg.request)
        await call.sleep(3)

    lab = Lab(impatient)
    alice, bob = lab.users("alice", "bob")
    alice.call("100")
    leg = bob.answering()
    lab.advance(1)
    leg.expect("CANCEL")
    leg.reply(423, Min_Expire=900)
    leg.expect("ACK")
    bob.expect_nothing()


@pytest.mark.proves("S-66", "S-28")
def test_what_is_open_as_it_is_tried_again() -> None:
    lab, call, leg = called()
    leg.reply(180)
    call.expect(180)
    call.send("INFO", "a digit")
    leg.expect("INFO")
    leg.reply(423, Min_Expire=900)
    leg.expect("ACK")
    call.expect(487)
    again = leg.user.answering(Expire=900)
    talk(call, again)
    over(lab, call, again)


@pytest.mark.proves("S-66", "S-69")
def test_it_rings_reliably_again() -> None:
    lab, call, leg = called()
    leg.reply(183, "media", RSeq=1)
    call.expect(183, RSeq=1)
    leg.reply(423, Min_Expire=900)
    leg.expect("ACK")
    again = leg.user.answering(Expire=900)
    again.reply(183, "media", RSeq=1)
    call.expect(183, RSeq=2, Body="media")
    call.send("PRACK", RAck="2 1 INVITE")
    again.reply(200, to=again.expect("PRACK", RAck="1 1 INVITE"))
    call.expect(200)
    talk(call, again)
    over(lab, call, again)


@pytest.mark.proves("S-45", "S-67")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refused_interval_changes_nothing(method: str) -> None:
    lab, call, leg = called(Expire=60)
    talk(call, leg)
    call.send(method, "a second offer", Expire=3600)
    leg.reply(488, to=leg.expect(method))
    call.expect(488)
    if method == "INVITE":
        leg.expect("ACK")
        call.ack()
    lab.advance(20)
    leg.reply(200, to=leg.expect("UPDATE", Expire=60))
    over(lab, call, leg)


@pytest.mark.proves("S-67")
@pytest.mark.parametrize("expire", [0, 3])
def test_a_messages_expire_is_no_session_interval(expire: int) -> None:
    @service("ringer")
    async def ringer(call: Call) -> None:
        await call.leg("bob@gortc.local").invite()

    lab = Lab(ringer)
    alice, bob = lab.users("alice", "bob")
    message = alice.open("MESSAGE", "100", "hello", Expire=expire)
    leg = bob.answering(Expire=600)
    leg.reply(486)
    leg.expect("ACK")
    message.expect(486)
    lab.check_empty()
