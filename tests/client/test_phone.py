"""The phone, without terminal and socket: phones, scripted users and a server in one virtual time."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from gortc import Call, LegFailed, service
from gortc.client import sdp
from gortc.client.phone import NAMES, TABLE, USAGE, Phone
from gortc.jsip.uri import BadURI
from gortc.testing import Lab, Talk, User
from slp_plugins.default import default
from slp_plugins.echo import echo
from slp_plugins.hunt400 import hunt400
from tests.client.phones import Handset

ALICE, BOB = "alice@gortc.local", "bob@gortc.local"


@service("ask")
async def ask(call: Call) -> None:
    """Asks alice something, out of a call."""
    with suppress(LegFailed):
        await call.leg(ALICE, "ask@gortc.local", ALICE).send(call.details["method"])


@service("slow")
async def slow(call: Call) -> None:
    """Takes ten seconds for an answer."""
    call.caller.ring(code=183)
    await call.sleep(10)
    call.caller.reply(call.caller.request)


@pytest.fixture(autouse=True)
def no_tracebacks() -> Iterator[None]:
    """No test leaves a traceback in the log, or an error in a forgotten Deferred."""
    found: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            found.append(event)

    globalLogPublisher.addObserver(cast(ILogObserver, observe))
    yield
    gc.collect()
    globalLogPublisher.removeObserver(cast(ILogObserver, observe))
    assert not found, "".join(event["log_failure"].getTraceback() for event in found)


@pytest.fixture
def lab() -> Lab:
    return Lab(default, hunt400, echo)


@pytest.fixture
def alice(lab: Lab) -> Handset:
    return Handset(lab, "alice", to="bob")


def talking(lab: Lab, alice: Handset) -> tuple[Handset, Handset]:
    """Alice has called bob, who has a phone, too."""
    bob = Handset(lab, "bob")
    alice.type("call")
    bob.type("answer")
    assert (alice.phone.state, bob.phone.state) == ("talking", "talking")
    alice.forget()
    bob.forget()
    return alice, bob


def answered(alice: Handset, bob: User, answer: str = "an answer") -> Talk:
    """Alice has called bob, who is scripted."""
    alice.type("call")
    leg = bob.answering()
    leg.reply(200, answer)
    leg.expect("ACK")
    alice.forget()
    return leg


def rings(alice: Handset, bob: User, offer: str | None = "an offer") -> Talk:
    """Bob, who is scripted, calls alice."""
    call = bob.call("alice", offer)
    call.expect(180)
    assert alice.phone.state == "ringing"
    alice.forget()
    return call


# place


def test_a_call_is_placed_answered_and_hung_up(lab: Lab, alice: Handset) -> None:
    bob = lab.user("bob")
    alice.type("call")
    assert alice.phone.state == "calling"
    leg = bob.answering(From=ALICE, To=BOB, **{"Content-Type": "sdp"})
    assert sdp.direction(leg.request["Body"]) == "sendrecv"
    leg.reply(180)
    leg.reply(200, "an answer")
    leg.expect("ACK")
    assert alice.phone.state == "talking"
    alice.type("hang up")
    leg.reply(200, to=leg.expect("BYE"))
    alice.said("> INVITE", "< 180", "< 200", "> ACK", "> BYE", "< 200")
    alice.heard(
        "calling bob@gortc.local",
        "bob@gortc.local: 180 Ringing",
        "talking to bob@gortc.local",
        "the call with bob@gortc.local is over",
    )
    alice.check_empty()


def test_the_callee_hangs_up(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    leg.bye()
    leg.expect(200)
    alice.said("< BYE", "> 200")
    alice.heard("the call with bob@gortc.local is over")
    alice.check_empty()


def test_a_call_is_given_up(lab: Lab, alice: Handset) -> None:
    bob = lab.user("bob")
    alice.type("call")
    leg = bob.answering()
    leg.reply(180)
    alice.type("h")
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    alice.said("> INVITE", "< 180", "> CANCEL", "< 200", "< 487", "> ACK")
    alice.heard(
        "calling bob@gortc.local", "bob@gortc.local: 180 Ringing", "bob@gortc.local: 487 Request Terminated"
    )  # fmt: skip
    alice.check_empty()


def test_a_200_that_crosses_the_cancel(lab: Lab, alice: Handset) -> None:
    """Without ACK and BYE bob would be left off the hook."""
    bob = lab.user("bob")
    alice.type("call")
    leg = bob.answering()
    alice.phone.obey("h")  # on its way as bob answers
    assert alice.phone.state == "hanging up"
    leg.reply(200, "an answer")
    leg.expect("ACK")
    leg.reply(200, to=leg.expect("BYE"))
    alice.said("> INVITE", "> CANCEL", "< 200", "> ACK", "> BYE", "< 200", "< 200")
    alice.heard("calling bob@gortc.local", "bob@gortc.local: 487 Request Terminated")
    alice.check_empty()


@pytest.mark.parametrize("code", [404, 480, 486, 603])
def test_a_call_is_refused(lab: Lab, alice: Handset, code: int) -> None:
    bob = lab.user("bob")
    alice.type("c")
    leg = bob.answering()
    reply = leg.reply(code, Reason="not now")
    leg.expect("ACK")
    alice.heard("calling bob@gortc.local", f"bob@gortc.local: {code} {reply['Desc']} (not now)")
    alice.check_empty()


@pytest.mark.parametrize(("to", "why"), [("carol", "480 Temporarily Unavailable"), ("x@example.com", "404 Not Found")])
def test_nobody_is_there(alice: Handset, to: str, why: str) -> None:
    alice.type(f"call {to}")
    to = to if "@" in to else f"{to}@gortc.local"
    alice.heard(f"calling {to}", f"{to}: {why}")
    alice.check_empty()


def test_nobody_answers(lab: Lab, alice: Handset) -> None:
    """A minute, then the server's default gives up at the same time as the phone does."""
    bob = lab.user("bob")
    alice.type("call")
    leg = bob.answering()
    lab.advance(59.9)
    alice.heard("calling bob@gortc.local")
    lab.advance(0.1)
    alice.heard("bob@gortc.local: 408 Request Timeout")
    leg.reply(200, to=leg.expect("CANCEL"))
    leg.reply(487)
    leg.expect("ACK")
    alice.said("> INVITE", "> CANCEL", "< 408", "> ACK", "< 200")
    alice.counted("stray response")  # to the CANCEL, which crossed the 408
    alice.check_empty()


def test_the_last_address_is_called_again(lab: Lab, alice: Handset) -> None:
    alice.type("call carol", "call")
    alice.heard(*["calling carol@gortc.local", "carol@gortc.local: 480 Temporarily Unavailable"] * 2)


def test_whom_to_call(lab: Lab) -> None:
    carol = Handset(lab, "carol")
    carol.type("call", "message hello", "message", "call a b")
    carol.heard("call whom?", "message whom?", "message what?", "not a URI: 'a b@gortc.local'")
    carol.check_empty()


def test_400_rings_the_agents_one_by_one(lab: Lab) -> None:
    alice = Handset(lab, "alice", to="400")
    busy, silent, third = (Handset(lab, f"agent{number}") for number in (1, 2, 3))
    alice.type("call")
    busy.type("reject 486")
    lab.advance(15)
    silent.heard("alice@gortc.local calls: answer or reject", "alice@gortc.local has given up")
    third.type("answer")
    rings = "400@gortc.local: 180 Ringing"
    alice.heard("calling 400@gortc.local", rings, rings, rings, "talking to 400@gortc.local")
    third.type("hang up")
    alice.heard("the call with 400@gortc.local is over")
    for handset in (alice, busy, silent, third):
        handset.check_empty()


# answer


@pytest.mark.parametrize("words", ["answer", "a"])
def test_a_call_is_answered(lab: Lab, alice: Handset, words: str) -> None:
    bob = lab.user("bob")
    call = bob.call("alice", sdp.Media().offer())
    call.expect(180)
    alice.type(words)
    answer = call.expect(200, **{"Content-Type": "sdp"})
    assert sdp.direction(answer["Body"]) == "sendrecv"
    call.ack()
    assert alice.phone.state == "talking"
    call.bye()
    call.expect(200)
    alice.said("< INVITE", "> 180", "> 200", "< ACK", "< BYE", "> 200")
    alice.heard(
        "bob@gortc.local calls: answer or reject", "talking to bob@gortc.local", "the call with bob@gortc.local is over"
    )
    alice.check_empty()


def test_an_invite_without_an_offer(lab: Lab, alice: Handset) -> None:
    """The phone's 200 has the offer, the ACK its answer: the caller holds from the beginning."""
    call = rings(alice, lab.user("bob"), None)
    alice.type("answer")
    assert sdp.direction(call.expect(200)["Body"]) == "sendrecv"
    call.ack("a=sendonly")
    alice.heard("talking to bob@gortc.local", "held by bob@gortc.local")
    alice.type("h")
    call.reply(200, to=call.expect("BYE"))
    alice.check_empty()


@pytest.mark.parametrize(("words", "code"), [("reject", 486), ("r 603", 603), ("hang up", 486)])
def test_a_call_is_not_taken(lab: Lab, alice: Handset, words: str, code: int) -> None:
    call = rings(alice, lab.user("bob"))
    alice.type(words)
    call.expect(code)
    call.ack()
    alice.heard(f"bob@gortc.local was refused: {code}")
    alice.check_empty()


@pytest.mark.parametrize("code", ["200", "299", "700", "busy"])
def test_codes_that_refuse_nothing(lab: Lab, alice: Handset, code: str) -> None:
    call = rings(alice, lab.user("bob"))
    alice.type(f"reject {code}")
    alice.heard(f"{code} refuses no call: 300 to 699 do")
    assert alice.phone.state == "ringing"
    alice.type("answer")
    call.expect(200)


def test_the_caller_gives_up(lab: Lab, alice: Handset) -> None:
    call = rings(alice, lab.user("bob"))
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    alice.heard("bob@gortc.local has given up")
    alice.type("answer")
    alice.heard("can't answer: idle")
    alice.check_empty()


def test_nobody_takes_the_call(lab: Lab, alice: Handset) -> None:
    call = rings(alice, lab.user("bob"))
    lab.advance(60)
    call.expect(408)
    call.ack()
    alice.heard("bob@gortc.local has given up")
    alice.check_empty()


def test_no_ack_ends_the_call(lab: Lab) -> None:
    """Bob sends none, so the server hangs up on both, and the phone does so at the same time."""
    alice = Handset(lab, "alice")
    call = rings(alice, lab.user("bob"))
    alice.type("answer")
    call.expect(200)
    lab.advance(31.9)
    assert alice.phone.state == "talking"
    alice.forget()
    lab.advance(0.1)
    call.reply(200, to=call.expect("BYE"))
    alice.heard("bob@gortc.local: 487 the caller has gone")
    alice.counted("stray ACK")  # the server's, before its own BYE
    alice.check_empty()


def test_it_answers_by_itself(lab: Lab) -> None:
    alice = Handset(lab, "alice", pick_up=2.5)
    call = rings(alice, lab.user("bob"))
    lab.advance(2.4)
    call.expect_nothing()
    lab.advance(0.1)
    call.expect(200)
    call.ack()
    call.bye()
    call.expect(200)
    alice.check_empty()


def test_it_is_answered_before_it_does_by_itself(lab: Lab) -> None:
    alice = Handset(lab, "alice", pick_up=2.5)
    call = rings(alice, lab.user("bob"))
    alice.type("answer")
    call.expect(200)
    call.ack()
    lab.advance(5)
    call.bye()
    call.expect(200)
    alice.check_empty()


def test_a_second_call_gets_busy(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    second = lab.user("carol").call("alice", "an offer")
    second.expect(486)
    second.ack()
    alice.heard("carol@gortc.local calls: busy")
    assert alice.phone.state == "talking"
    alice.type("call carol")
    alice.heard("can't call: talking")
    leg.bye()
    leg.expect(200)
    alice.check_empty()


# hold


def test_hold_and_resume(lab: Lab, alice: Handset) -> None:
    """RFC 3264 section 8.4, each of the two for itself."""
    alice, bob = talking(lab, alice)
    alice.type("hold")
    alice.said("> INVITE", "< 200", "> ACK")
    assert alice.ways() == ["sendonly", "recvonly"]
    assert (alice.phone.state, bob.phone.state) == ("holding", "held")
    bob.type("hold")
    assert bob.ways()[2:] == ["inactive", "inactive"]
    assert (alice.phone.state, bob.phone.state) == ("holding", "holding")
    alice.type("resume")
    assert alice.ways()[2:] == ["sendrecv", "sendonly"]
    assert (alice.phone.state, bob.phone.state) == ("held", "holding")
    bob.type("resume")
    assert bob.ways()[2:] == ["sendrecv", "sendrecv"]
    assert (alice.phone.state, bob.phone.state) == ("talking", "talking")
    alice.heard(
        "bob@gortc.local is on hold",
        "bob@gortc.local is on hold, and holds, too",
        "held by bob@gortc.local",
        "talking to bob@gortc.local",
    )
    bob.heard(
        "held by alice@gortc.local",
        "alice@gortc.local is on hold, and holds, too",
        "alice@gortc.local is on hold",
        "talking to alice@gortc.local",
    )
    alice.type("h")
    alice.check_empty()
    bob.check_empty()


def test_descriptions_have_versions(lab: Lab, alice: Handset) -> None:
    """RFC 3264 section 8: the same origin in all offers of a call, one version more in each new one."""
    leg = answered(alice, lab.user("bob"))
    offers = [leg.request["Body"]]
    for command in ("hold", "resume"):
        alice.type(command)
        offer = leg.expect("INVITE")
        offers.append(offer["Body"])
        leg.reply(200, "an answer", to=offer)
        leg.expect("ACK")
    origins = [re.search(r"^o=- (\d+) (\d+) ", offer, re.MULTILINE) for offer in offers]
    assert len({origin[1] for origin in origins if origin}) == 1
    assert [origin[2] for origin in origins if origin] == ["1", "2", "3"]
    leg.bye()
    alice.check_empty()


def test_hold_is_refused(lab: Lab, alice: Handset) -> None:
    """The call is as it was."""
    leg = answered(alice, lab.user("bob"))
    alice.type("hold")
    leg.reply(488, to=leg.expect("INVITE"))
    leg.expect("ACK")
    alice.heard("hold: 488 Not Acceptable Here")
    assert alice.phone.state == "talking"
    alice.type("resume")
    alice.heard("can't resume: talking")
    leg.bye()
    alice.check_empty()


def test_one_offer_at_a_time(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    alice.type("hold", "hold")
    alice.heard("hold: 491 Request Pending")
    offer = leg.expect("INVITE")
    leg.reply(200, "a=recvonly", to=offer)
    leg.expect("ACK")
    alice.heard("bob@gortc.local is on hold")
    leg.bye()
    alice.check_empty()


def test_a_call_ends_while_hold_is_asked_for(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    alice.type("hold")
    leg.expect("INVITE")
    leg.bye()
    leg.expect(200)
    alice.heard("hold: 487 Request Terminated", "the call with bob@gortc.local is over")
    alice.check_empty()


def test_the_other_one_holds(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    for body, way, state in (
        ("a=sendonly", "recvonly", "held"),
        ("a=sendonly", "recvonly", "held"),
        (None, "sendrecv", "held"),
        ("a=inactive", "inactive", "held"),
        ("an offer", "sendrecv", "talking"),
        ("a=recvonly", "sendonly", "talking"),
    ):
        leg.send("INVITE", body)
        assert sdp.direction(leg.expect(200)["Body"]) == way
        leg.ack()
        assert alice.phone.state == state
    alice.heard("held by bob@gortc.local", "talking to bob@gortc.local")
    leg.send("UPDATE", "a=sendonly")
    assert sdp.direction(leg.expect(200)["Body"]) == "recvonly"
    alice.heard("held by bob@gortc.local")
    alice.type("hold")
    offer = leg.expect("INVITE")
    assert sdp.direction(offer["Body"]) == "inactive"
    leg.reply(200, "a=recvonly", to=offer)
    leg.expect("ACK")
    leg.send("INVITE")
    assert sdp.direction(leg.expect(200)["Body"]) == "sendonly"
    leg.ack()
    leg.bye()
    alice.check_empty()


# messages, and what else comes


def test_messages_in_the_call(lab: Lab, alice: Handset) -> None:
    alice, bob = talking(lab, alice)
    alice.type("message how are you?", "info 5")
    alice.said("> MESSAGE", "< 200", "> INFO", "< 200")
    alice.heard("message: delivered", "info: delivered")
    bob.type("m  fine")
    bob.heard("alice@gortc.local says: how are you?", "alice@gortc.local informs: 5", "message: delivered")
    alice.heard("bob@gortc.local says: fine")
    assert len({message["DialogueID"] for message in alice.messages}) == 1
    bob.type("info", "h")
    bob.heard("info what?", "the call with alice@gortc.local is over")
    alice.check_empty()
    bob.check_empty()


def test_messages_without_a_call(lab: Lab, alice: Handset) -> None:
    bob = Handset(lab, "bob", to="alice")
    alice.type("message are you there?")
    alice.heard("message: delivered")
    bob.heard("alice@gortc.local says: are you there?")
    bob.type("message yes")
    alice.heard("bob@gortc.local says: yes")
    assert len({message["DialogueID"] for message in alice.messages}) == 2
    alice.check_empty()
    bob.check_empty()


def test_a_caller_without_an_address(lab: Lab, alice: Handset) -> None:
    """From is any text: it is shown, and can't be written to."""
    call = lab.user("carol").call("alice", "an offer", From="b o b")
    call.expect(180)
    alice.type("message hello", "reject")
    alice.heard(
        "b o b calls: answer or reject", "message: 400 not a URI: 'b o b'", "b o b was refused: 486"
    )  # fmt: skip
    call.expect(486)
    call.ack()
    alice.check_empty()


def test_a_message_to_who_rings(lab: Lab, alice: Handset) -> None:
    """It goes to the caller, in a session of its own."""
    carol = lab.user("carol")
    call = carol.call("alice", "an offer")
    call.expect(180)
    alice.type("message in a minute")
    carol.answering("MESSAGE", To=carol.name, Body="in a minute").reply(200)
    alice.type("reject")
    call.expect(486)
    call.ack()
    alice.check_empty()


def test_a_message_is_not_delivered(lab: Lab, alice: Handset) -> None:
    alice.type("message anybody?")
    alice.heard("message: 480 Temporarily Unavailable")
    leg = answered(alice, lab.user("bob"))
    alice.type("info 5")
    leg.reply(405, to=leg.expect("INFO"))
    alice.heard("info: 405 Method Not Allowed")
    assert alice.phone.state == "talking"
    leg.bye()
    alice.check_empty()


@pytest.mark.parametrize(("method", "code"), [("OPTIONS", 200), ("SUBSCRIBE", 405)])
def test_requests_alone(method: str, code: int) -> None:
    lab = Lab(ask)
    alice = Handset(lab, "alice")
    lab.start("ask", method=method)
    alice.said(f"< {method}", f"> {code}")
    assert "INVITE" in alice.messages[-1]["Allow"]
    alice.heard()
    alice.check_empty()


def test_requests_in_the_call(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    leg.send("OPTIONS")
    assert "INVITE" in leg.expect(200)["Allow"]
    leg.send("NOTIFY", Event="refer")
    assert "INVITE" in leg.expect(405)["Allow"]
    leg.bye()
    alice.check_empty()


def test_early_requests(lab: Lab, alice: Handset) -> None:
    """Before the answer, from either side: INFO, PRACK and an UPDATE with an offer."""
    call = rings(alice, lab.user("bob"))
    call.send("PRACK")
    call.expect(200)
    call.send("INFO", {"urgent": True})
    call.expect(200)
    call.send("UPDATE", "a=sendonly")
    assert sdp.direction(call.expect(200)["Body"]) == "recvonly"
    alice.heard('bob@gortc.local informs: {"urgent":true}')
    call.bye()
    call.expect(200)
    call.expect(487)
    alice.check_empty()


# the rest of it


def test_a_long_call_is_refreshed(lab: Lab, alice: Handset) -> None:
    """Three refreshes in 600 s, each way of the bridge; an hour later the call is still there."""
    alice, bob = talking(lab, alice)
    lab.advance(3600)
    assert (alice.phone.state, bob.phone.state) == ("talking", "talking")
    alice.said(*["> UPDATE", "< 200"] * 18)
    bob.said(*["< UPDATE", "> 200"] * 18)
    alice.type("h")
    alice.check_empty()
    bob.check_empty()


@pytest.mark.parametrize("state", ["idle", "calling", "ringing", "talking"])
def test_the_connection_is_lost(lab: Lab, alice: Handset, state: str) -> None:
    bob = lab.user("bob")
    call: Talk | None = None
    if state == "calling":
        alice.type("call")
        call = bob.answering()
    elif state == "ringing":
        call = rings(alice, bob)
    elif state == "talking":
        call = answered(alice, bob)
    assert alice.phone.state == state
    alice.lose()
    assert alice.broke() == "gone"
    if call is not None:
        end = {"calling": lambda: call.reply(486), "ringing": call.cancel, "talking": call.bye}
        end[state]()
    lab.advance(120)  # what waits for who does not come back
    alice.endpoint.journal.counts.clear()
    alice.check_empty()


def test_what_is_on_its_way_as_the_connection_breaks(lab: Lab, alice: Handset) -> None:
    leg = answered(alice, lab.user("bob"))
    alice.phone.obey("hold")
    alice.lose()
    alice.lose()
    assert alice.broke() == "gone"
    alice.said("> INVITE")
    alice.heard("the call with bob@gortc.local is over")
    leg.bye()
    lab.advance(120)
    alice.endpoint.journal.counts.clear()
    alice.check_empty()


def test_quit(lab: Lab, alice: Handset) -> None:
    alice.type("quit")
    assert alice.gone
    alice.lose()  # as it closes the connection
    alice.check_empty()


def test_quit_hangs_up(lab: Lab, alice: Handset) -> None:
    alice, bob = talking(lab, alice)
    alice.phone.obey("q")
    assert not alice.gone
    lab.advance()
    assert alice.gone
    bob.heard("the call with alice@gortc.local is over")
    alice.check_empty()
    bob.check_empty()


def test_quit_takes_back_and_refuses(lab: Lab, alice: Handset) -> None:
    bob = Handset(lab, "bob")
    alice.type("call", "quit")
    assert alice.gone
    bob.heard("alice@gortc.local calls: answer or reject", "alice@gortc.local has given up")
    call = bob.lab.user("carol").call("bob", "an offer")
    bob.type("quit")
    assert bob.gone
    call.expect(180)
    call.expect(486)
    again = call.user.call("alice", "an offer")
    again.expect(486)


def test_quit_waits_for_answers_but_not_for_long() -> None:
    lab = Lab(slow)
    alice = Handset(lab, "alice", to="slow")
    alice.type("message one", "quit", "quit")
    lab.advance(4.9)
    assert not alice.gone
    lab.advance(0.1)
    assert alice.gone
    lab.advance(5)
    alice.heard("message: delivered")
    alice.check_empty()


def test_what_can_be_said(lab: Lab, alice: Handset) -> None:
    alice.type("help", "", "dance with me", "hold", "callous")
    alice.heard(
        *(USAGE[command] for command in ("call", "message", "help", "quit")),
        f"no such command: dance; there are {', '.join(USAGE)}",
        "can't hold: idle",
        f"no such command: callous; there are {', '.join(USAGE)}",
    )


def test_the_table_knows_each_command() -> None:
    assert {command for row in TABLE.values() for command in row} == set(USAGE) == set(NAMES.values())


@pytest.mark.parametrize("user", ["alice", "a b@gortc.local"])
def test_names_that_have_no_phone(user: str) -> None:
    with pytest.raises(BadURI):
        Phone(user, print)


@pytest.mark.proves("C-15", "C-76", "M-35")
def test_a_phone_takes_and_sends_no_more_than_a_server_does() -> None:
    lab = Lab(default, frame_max=200_000)
    alice, bob = Handset(lab, "alice", "bob"), lab.user("bob")
    alice.type(f"message {'x' * 70_000}")
    why = "the message is too large: 70,211 bytes, 65,536 at most"
    alice.heard(f"message: 413 Request Entity Too Large ({why})")
    alice.said()
    alice.counted("can't be sent")
    bob.open("MESSAGE", ALICE, "x" * 70_000)
    alice.said()
    assert alice.closed == 1009
