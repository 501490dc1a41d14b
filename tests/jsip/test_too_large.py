"""What has more bytes than a message may have: sections 1 and 2 of docs/jsip.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from attrs import evolve

from gortc.jsip import transactions
from gortc.jsip.gate import ASSERTED
from gortc.jsip.layers import Channel, Owner
from gortc.jsip.message import NAME_MAX, Headers, term
from gortc.jsip.syntax import written
from gortc.testing import Lab, Talk, User
from slp_plugins.default import default
from tests.jsip.kit import Stage, reconnect

MAX = 1000
LARGE = "x" * MAX
GROWS = [1e15] * 60
"""It fits as somebody writes it, but not as we do: `1e15` becomes 18 bytes."""
REASON = "the message is too large: 1,"
CALL = ("service INVITE", "bob 200", "service ACK")
RECEIVED = ("alice INVITE", "service 200", "alice ACK")


@pytest.fixture
def small() -> Iterator[Stage]:
    """A stage where a message has 1000 bytes at most."""
    with Stage(frame_max=MAX) as made:
        yield made


def told(stage: Stage, code: int = 413) -> None:
    """The service was told why, last."""
    message = next(message for message in reversed(stage.probe.messages) if message.code)
    assert (message.code, message.local) == (code, True)
    assert message.headers["Reason"].startswith(REASON)
    assert message.headers["Reason"].endswith(" bytes, 1,000 at most")


# requests


@pytest.mark.proves("M-35")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"])
def test_a_first_request(small: Stage, method: str) -> None:
    small.play(f"service {method} {LARGE}")
    small.said(f"service 413 {method} (local)", "service TERM")
    told(small)
    small.counted("can't be sent")


@pytest.mark.proves("M-35")
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "MESSAGE", "NOTIFY"])
def test_a_request_in_a_call(small: Stage, method: str) -> None:
    """The call goes on."""
    small.play(*CALL)
    small.forget()
    small.play(f"service {method} {LARGE}")
    small.said(f"service 413 {method} (local)")
    told(small)
    small.counted("can't be sent")
    small.play("service INFO", "bob 200", "bob BYE")
    small.forget()


@pytest.mark.proves("M-35")
def test_a_prack(small: Stage) -> None:
    small.play("service INVITE", "bob 180")
    small.forget()
    small.play(f"service PRACK {LARGE}", "bob 200 INVITE")
    small.said("service 413 PRACK (local)", "bob > 200 INVITE", "service 200 INVITE")
    small.counted("can't be sent")
    small.play("service ACK", "bob BYE")
    small.forget()


@pytest.mark.proves("C-15", "C-76")
@pytest.mark.parametrize(("more", "code"), [(0, 0), (1, 413)])
def test_its_last_byte(small: Stage, more: int, code: int) -> None:
    small.play(*CALL)
    small.forget()
    small.play("service INFO x")
    size = len(orjson.dumps(small.arrived("bob", "INFO")))
    small.play("bob 200")
    small.forget()
    small.play(f"service INFO {'x' * (1 + MAX - size + more)}")
    small.said("service 413 INFO (local)" if code else "bob < INFO")
    small.counted(*(["can't be sent"] if code else []))
    if not code:
        assert len(orjson.dumps(small.arrived("bob", "INFO"))) == MAX
        small.play("bob 200")
    small.play("bob BYE")
    small.forget()


@pytest.mark.proves("C-76", "M-35")
def test_nothing_of_it_waits(small: Stage) -> None:
    """What is said while the peer is away would come back later, when nobody knows of it any more."""
    small.play(*RECEIVED)
    small.person("alice").leave()
    small.forget()
    small.play(f"service INFO {LARGE}")
    small.said("service 413 INFO (local)")
    small.counted("can't be sent")
    assert small.session.channel.waiting is None  # type: ignore[attr-defined]
    reconnect(small, "alice")
    small.play("alice BYE")
    small.said("service PEER_RESUMED", "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("C-56", "C-76")
@pytest.mark.parametrize("trusted", [False, True])
def test_what_a_peer_is_not_told_does_not_count(small: Stage, trusted: bool) -> None:
    """A request, and an answer, that fill a message without it."""
    small.play(*RECEIVED)
    alice = small.person("alice")
    small.session.channel.trusted = trusted

    def ask(headers: Headers) -> Headers:
        small.task.request(small.session, "INFO", headers=headers)
        small.advance()
        return alice.inbox[-1]

    def answer(headers: Headers) -> Headers:
        small.talks["alice"].send("MESSAGE")
        small.task.answer(small.received("MESSAGE"), 200, headers=headers)
        return alice.inbox[-1]

    for say in (ask, answer):
        room = MAX - len(orjson.dumps(say({"X": ""})))
        said = say({"X": "x" * room, ASSERTED: "alice@x"})
        assert ASSERTED not in said
        assert (len(orjson.dumps(said)) == MAX) != trusted
    small.counted(*["can't be sent"] * 2 * trusted)
    small.play("alice 200 INFO", "alice BYE")
    small.forget()


@pytest.mark.proves("C-15", "C-76")
def test_the_limit_can_change(small: Stage) -> None:
    small.play(*CALL)
    small.forget()
    small.node.configure(evolve(small.settings, frame_max=2 * MAX))
    small.play(f"service INFO {LARGE}", "bob 200")
    small.said("bob < INFO", "bob > 200 INFO", "service 200 INFO")
    small.node.configure(evolve(small.settings, frame_max=MAX))
    small.play(f"service INFO {LARGE}")
    small.said("service 413 INFO (local)")
    small.counted("can't be sent")
    small.play("bob BYE")
    small.forget()


@pytest.mark.proves("C-76", "M-40")
def test_what_waits_while_the_limit_comes_down(small: Stage) -> None:
    """It is not written; what waits behind it is."""
    small.node.configure(evolve(small.settings, frame_max=2 * MAX))
    small.play(*CALL)
    small.person("bob").leave()
    small.forget()
    small.play(f"service INFO {LARGE}", "service MESSAGE short")
    small.node.configure(evolve(small.settings, frame_max=MAX))
    reconnect(small, "bob")
    small.advance()
    small.said("bob < MESSAGE", "service PEER_RESUMED", "service 413 INFO (local)")
    assert small.person("bob").inbox[-1]["Body"] == "short"
    small.counted("can't be sent")
    small.play("bob 200", "bob BYE")
    small.forget()


# what ends something


@pytest.mark.proves("M-36")
def test_a_bye_goes_out_without_its_body(small: Stage) -> None:
    small.play(*CALL)
    small.forget()
    small.play(f"service BYE {LARGE} Reason=why", "bob 200 BYE")
    small.said("bob < BYE", "bob > 200 BYE", "service TERM")
    bye = small.arrived("bob", "BYE")
    assert set(bye) == {"Type", "Request-URI", "From", "To", "DialogueID", "CSeq", "Reason"}
    small.counted("can't be sent")


@pytest.mark.proves("M-36")
def test_a_bye_goes_out_bare_of_all_that_is_too_large(small: Stage) -> None:
    small.play(*CALL)
    small.forget()
    small.play(f"service BYE Reason={LARGE}", "bob 200 BYE")
    small.said("bob < BYE", "bob > 200 BYE", "service TERM")
    assert set(small.arrived("bob", "BYE")) == {"Type", "Request-URI", "From", "To", "DialogueID", "CSeq"}
    small.counted("can't be sent")


@pytest.mark.proves("M-36")
def test_a_cancel_goes_out_bare(small: Stage) -> None:
    small.play("service INVITE", "bob 180")
    small.forget()
    invite = small.invited()
    cancel = invite.session.related("CANCEL", invite, {"Body": LARGE})
    small.task.send(cancel)
    small.play("bob 200 CANCEL", "bob 487 INVITE")
    small.said(
        "bob < CANCEL", "bob > 200 CANCEL", "bob > 487 INVITE", "bob < ACK", "service 487 INVITE", "service TERM",
    )  # fmt: skip
    sent = small.arrived("bob", "CANCEL")
    assert set(sent) == {"Type", "Request-URI", "From", "To", "DialogueID", "CSeq", "RelatedID"}
    assert sent["RelatedID"] == 1
    small.counted("can't be sent")


@pytest.mark.proves("M-36")
@pytest.mark.parametrize("again", [False, True], ids=["the first one", "of a re-INVITE"])
def test_an_ack_that_loses_its_body_ends_the_call(small: Stage, again: bool) -> None:
    """It was the answer to the offer in the 200."""
    small.play(*(CALL if again else ()), "service INVITE", "bob 200 INVITE")
    small.forget()
    small.play(f"service ACK {LARGE}", "bob 200 BYE")
    small.said("bob < ACK", "bob < BYE", "service BYE (local)", "bob > 200 BYE", "service TERM")
    ack = small.arrived("bob", "ACK")
    assert set(ack) == {"Type", "Request-URI", "From", "To", "DialogueID", "CSeq", "RelatedID"}
    assert small.arrived("bob", "BYE")["Reason"].startswith(REASON)
    small.counted("can't be sent")


@pytest.mark.proves("M-36")
def test_an_ack_that_loses_anything_else_is_an_ack(small: Stage) -> None:
    small.play("service INVITE", "bob 200")
    small.forget()
    small.play(f"service ACK X={LARGE}", "service INFO", "bob 200 INFO", "bob BYE")
    small.said(
        "bob < ACK", "bob < INFO", "bob > 200 INFO", "service 200 INFO", "bob > BYE", "bob < 200 BYE", "service BYE",
        "service TERM",
    )  # fmt: skip
    small.counted("can't be sent")


@pytest.mark.proves("M-36")
def test_a_call_that_ends_already_is_not_ended_twice(small: Stage) -> None:
    small.play("service INVITE", "bob 200")
    small.forget()
    small.task.ack(small.invited(), LARGE)
    small.play("service BYE", "bob 200 BYE")
    small.said("bob < ACK", "bob < BYE", "bob > 200 BYE", "service TERM")
    small.counted("can't be sent")


# responses


@pytest.mark.proves("M-37")
@pytest.mark.parametrize("code", [180, 200, 404])
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE"])
def test_a_response(small: Stage, method: str, code: int) -> None:
    small.play(f"alice {method}", f"service {code} {method} {LARGE}")
    small.said(f"alice > {method}", f"service {method}", f"alice < 500 {method}", "service TERM")
    assert small.person("alice").inbox[-1]["Reason"].startswith(REASON)
    small.counted("can't be sent")


@pytest.mark.proves("M-37")
def test_a_response_in_a_call(small: Stage) -> None:
    """It is over with that: the service can say no more to it; the call goes on."""
    small.play(*RECEIVED, "alice INFO")
    small.forget()
    small.play(f"service 200 INFO {LARGE}", "service 200 INFO", "alice BYE")
    small.said("alice < 500 INFO", "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")
    small.counted("can't be sent", "late response")


@pytest.mark.proves("M-37", "M-38")
@pytest.mark.parametrize("code", [183, 200])
def test_an_invite_is_cancelled(small: Stage, code: int) -> None:
    """The service believes that it rings, or talks."""
    small.play("alice INVITE")
    small.forget()
    small.play(f"service {code} {LARGE}", "alice ACK")
    small.said("alice < 500 INVITE", "service CANCEL (local)", "alice > ACK", "service TERM")
    cancel: Any = next(message for message in small.probe.messages if message.local and message.code == 0)
    assert cancel.related is small.probe.messages[0]
    small.counted("can't be sent")


@pytest.mark.proves("M-37", "M-38")
def test_an_invite_that_is_refused_is_refused(small: Stage) -> None:
    small.play("alice INVITE")
    small.forget()
    small.play(f"service 486 {LARGE}", "alice ACK")
    small.said("alice < 500 INVITE", "alice > ACK", "service TERM")
    small.counted("can't be sent")


@pytest.mark.proves("M-37", "M-38", "S-45")
@pytest.mark.parametrize(
    ("code", "seen"), [(183, ["service CANCEL (local)"]), (200, ["service ACK (local)"]), (488, [])]
)
def test_a_reinvite(small: Stage, code: int, seen: list[str]) -> None:
    """The call stays."""
    small.play(*RECEIVED, "alice INVITE")
    small.forget()
    small.play(f"service {code} INVITE {LARGE}", "alice ACK", "service INFO", "alice 200 INFO", "alice BYE")
    small.said(
        "alice < 500 INVITE", *seen, "alice > ACK", "alice < INFO", "alice > 200 INFO", "service 200 INFO",
        "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM",
    )  # fmt: skip
    small.counted("can't be sent")


@pytest.mark.proves("M-37")
def test_a_late_response_is_a_late_one(small: Stage) -> None:
    small.play("alice MESSAGE", "service 200")
    small.forget()
    small.play(f"service 200 {LARGE}")
    small.counted("late response")


@pytest.mark.proves("M-39", "M-40")
@pytest.mark.parametrize("reason", [LARGE, "\ud83d"], ids=["too large", "can't be written"])
def test_an_answer_of_the_stacks_own(small: Stage, reason: str) -> None:
    """A service has ended with a reason that can't be told."""
    small.play("alice MESSAGE")
    small.task.finish(502, reason)
    small.said("alice > MESSAGE", "service MESSAGE", "alice < 502 MESSAGE")
    assert "Reason" not in small.person("alice").inbox[-1]
    small.counted("can't be sent")


@pytest.mark.proves("M-36", "M-40")
def test_a_bye_of_the_stacks_own_that_cant_be_written(small: Stage) -> None:
    small.play(*CALL)
    small.task.finish(bye_reason="\ud83d")
    small.forget()
    assert "Reason" not in small.arrived("bob", "BYE")
    small.play("bob 200 BYE")
    small.counted("can't be sent")
    small.forget()


def test_a_limit_that_leaves_room_for_nothing() -> None:
    """Nothing is sent, and nothing goes on for ever."""
    with Stage(frame_max=300) as stage:
        stage.play(*CALL)
        stage.forget()
        stage.node.syntax.frame_max = 10
        stage.play("service BYE", "wait 1")
        stage.said("service TERM")
        stage.counted("can't be sent")
        stage.node.syntax.frame_max = 300
        stage.anew()
        stage.play(*RECEIVED, "alice INFO")
        stage.node.syntax.frame_max = 10
        stage.forget()
        stage.play("service 200 INFO", "service INVITE", "alice OPTIONS", "alice BYE")
        stage.said(
            "service 413 INVITE (local)", "alice > OPTIONS", "service OPTIONS", "alice > BYE", "service BYE",
            "service TERM",
        )  # fmt: skip
        stage.node.journal.counts.clear()


# names


@pytest.mark.proves("M-33")
@pytest.mark.parametrize("name", ["From", "To", "DialogueID"])
@pytest.mark.parametrize(("size", "codes"), [(NAME_MAX, [200]), (NAME_MAX + 1, [413]), (60_000, [413])])
def test_the_length_of_a_name(stage: Stage, name: str, size: int, codes: list[int]) -> None:
    alice = stage.person("alice")
    stage.probe.reactions["MESSAGE"] = lambda task, message: task.answer(message, 200)
    request: Headers = {
        "Type": "MESSAGE",
        "Request-URI": "service",
        "From": "a",
        "To": "b",
        "DialogueID": "d",
        "CSeq": 1,
    }
    alice.send({**request, name: "n" * size})
    assert [answer["Code"] for answer in alice.inbox] == codes
    (answer,) = alice.inbox
    assert len(answer[name]) == (size if name == "DialogueID" else min(size, NAME_MAX))
    assert ("Reason" in answer) == (size > NAME_MAX)
    stage.counted(*(["bad request"] if size > NAME_MAX else []))
    stage.forget()


@pytest.mark.proves("M-27", "M-33")
@pytest.mark.parametrize("kind", [{"Type": "ACK"}, {"Type": "RESPONSE", "Code": 200}, {"Type": "BYE", "X": "x" * 500}])
def test_a_name_that_leaves_no_room_for_an_answer(small: Stage, kind: Headers) -> None:
    alice = small.person("alice")
    names = {"From": "a", "To": "b", "DialogueID": "d", "CSeq": 1, "Request-URI": "b"}
    room = MAX - len(orjson.dumps({**kind, **names, "From": ""}))
    bad = {"From": "\u20ac" * NAME_MAX} if "X" not in kind else {"DialogueID": "d" * (room + 1)}
    small.node.syntax.receive(alice.channel, orjson.dumps({**kind, **names, **bad, "To": "t" * (NAME_MAX + 1)}))
    assert alice.inbox == []
    small.counted("bad message")


# between two users: the service that connects them hands it on


def pair(**settings: Any) -> tuple[Lab, User, User]:
    """Alice and Bob."""
    lab = Lab(default, frame_max=MAX, **settings)
    return (lab, *lab.users("alice", "bob"))  # type: ignore[return-value]


def written_short(headers: Headers) -> bytes:
    """As somebody may write it whose numbers are short."""
    return orjson.dumps(headers).replace(b"1000000000000000.0", b"1e15")


def say(talk: Talk, method: str, **headers: Any) -> None:
    """Send a request whose numbers are short."""
    talk.cseq += 1
    if method == "INVITE":
        talk.invite_cseq = talk.cseq
    first = talk.request
    made = {**{name: first[name] for name in ("Request-URI", "From", "To", "DialogueID")}, "Type": method}
    talk.user.send(written_short({**made, "CSeq": talk.cseq, **headers}))


def reply(talk: Talk, code: int, to: Headers | None = None) -> None:
    """Answer with numbers that are short."""
    request = to or talk.request
    names = {name: request[name] for name in ("From", "To", "DialogueID", "CSeq")}
    talk.user.send(written_short({"Type": "RESPONSE", "Code": code, **names, "Body": GROWS}))


def talking() -> tuple[Lab, Talk, Talk]:
    """They talk."""
    lab, alice, bob = pair()
    up = alice.call("bob", "offer")
    down = bob.answering()
    down.reply(200, "answer")
    up.expect(200)
    up.ack()
    down.expect("ACK")
    return lab, up, down


def part(lab: Lab, up: Talk, down: Talk) -> None:
    """They hang up, and nothing is left."""
    up.send("BYE")
    up.expect(200)
    down.reply(200, to=down.expect("BYE"))
    lab.check_empty()


@pytest.mark.proves("C-15", "C-76", "M-35")
def test_a_message_that_grows() -> None:
    lab, alice, bob = pair()
    first = {
        "Type": "MESSAGE",
        "Request-URI": bob.name,
        "From": alice.name,
        "To": bob.name,
        "DialogueID": "d",
        "CSeq": 1,
    }
    alice.send(written_short({**first, "Body": GROWS}))
    assert alice.expect(413)["Reason"].startswith(REASON)
    bob.expect_nothing()
    lab.check_empty()
    alice.send(b" " * (MAX + 1))
    assert alice.closed == 1009


@pytest.mark.proves("M-37")
def test_an_answer_that_grows() -> None:
    lab, alice, bob = pair()
    up = alice.open("MESSAGE", "bob", "hi")
    reply(bob.answering("MESSAGE"), 200)
    assert up.expect(500)["Reason"].startswith(REASON)
    lab.check_empty()


@pytest.mark.proves("M-38")
def test_a_call_whose_answer_grows() -> None:
    """Bob has picked up: he is acknowledged, and hung up."""
    lab, alice, bob = pair()
    up = alice.call("bob", "offer")
    down = bob.answering()
    reply(down, 200)
    assert up.expect(500)["Reason"].startswith(REASON)
    up.ack()
    down.expect("ACK")
    down.reply(200, to=down.expect("BYE"))
    alice.expect_nothing()
    lab.check_empty()


@pytest.mark.proves("M-38")
def test_a_call_whose_ringing_grows() -> None:
    lab, alice, bob = pair()
    up = alice.call("bob", "offer")
    down = bob.answering()
    reply(down, 183)
    up.expect(500)
    up.ack()
    down.reply(200, to=down.expect("CANCEL"))
    down.reply(487)
    down.expect("ACK")
    lab.check_empty()


@pytest.mark.proves("M-38")
def test_a_reinvite_whose_answer_grows() -> None:
    """Bob has accepted it, and is acknowledged; they go on talking."""
    lab, up, down = talking()
    up.send("INVITE", "offer")
    again = down.expect("INVITE")
    reply(down, 200, again)
    up.expect(500)
    up.ack()
    down.expect("ACK", RelatedID=again["CSeq"])
    up.send("INFO")
    down.reply(200, to=down.expect("INFO"))
    up.expect(200)
    part(lab, up, down)


@pytest.mark.proves("M-35")
@pytest.mark.parametrize("method", ["INFO", "INVITE", "UPDATE"])
def test_a_request_that_grows_in_a_call(method: str) -> None:
    lab, up, down = talking()
    say(up, method, Body=GROWS)
    assert up.expect(413)["Reason"].startswith(REASON)
    if method == "INVITE":
        up.ack()
    down.expect_nothing()
    part(lab, up, down)


@pytest.mark.proves("M-36")
def test_an_ack_that_grows() -> None:
    """Bob would wait for the answer to his offer: both are hung up."""
    lab, alice, bob = pair()
    up = alice.call("bob")
    down = bob.answering()
    down.reply(200, "offer")
    up.expect(200)
    say(up, "ACK", RelatedID=1, Body=GROWS)
    assert "Body" not in down.expect("ACK")
    bye = down.expect("BYE")
    assert bye["Reason"].startswith(REASON)
    down.reply(200, to=bye)
    up.reply(200, to=up.expect("BYE"))
    lab.check_empty()


# a message that the peer has closed its connection for, as the channel tells it


REFUSED = "the message is too large for the peer"


def refuse(stage: Stage, message: Headers) -> None:
    """It is one of ours, to whoever has it."""
    stage.node.syntax.refused(stage.session.channel, orjson.dumps(message), 413, REFUSED)
    stage.advance()
    stage.counted("refused by the peer")


@pytest.mark.proves("C-78")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_first_request_that_is_refused(stage: Stage, method: str) -> None:
    stage.play(f"service {method}")
    stage.forget()
    refuse(stage, stage.arrived("bob"))
    stage.said(f"service 413 {method} (local)", "service TERM")
    refusal = next(message for message in stage.probe.messages if message.code)
    assert refusal.headers["Reason"] == REFUSED


@pytest.mark.proves("C-78")
def test_an_invite_that_is_refused_as_it_is_cancelled(stage: Stage) -> None:
    stage.play("service INVITE", "service CANCEL")
    stage.forget()
    refuse(stage, stage.arrived("bob", "INVITE"))
    stage.said("service 413 INVITE (local)", "service TERM")


@pytest.mark.proves("C-78")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "INVITE"])
def test_a_request_in_a_call_that_is_refused(stage: Stage, method: str) -> None:
    stage.play(*CALL, f"service {method}")
    stage.forget()
    refuse(stage, stage.arrived("bob", method))
    stage.said(f"service 413 {method} (local)")
    stage.play("service INFO", "bob 200 INFO", "bob BYE")
    stage.forget()


@pytest.mark.proves("C-78")
def test_a_bye_that_is_refused(stage: Stage) -> None:
    stage.play(*CALL, "service BYE")
    stage.forget()
    refuse(stage, stage.arrived("bob", "BYE"))
    stage.said("service TERM")


@pytest.mark.proves("C-34", "C-78")
def test_a_bye_that_is_refused_by_one_who_has_gone_again(stage: Stage) -> None:
    """What is left of it waits."""
    stage.play(*RECEIVED, "service BYE Reason=why")
    stage.forget()
    alice = stage.person("alice")
    bye = alice.inbox[-1]
    alice.leave()
    refuse(stage, bye)
    reconnect(stage, "alice")
    assert stage.person("alice").inbox[-1] == {name: bye[name] for name in bye if name != "Reason"}
    stage.forget()
    stage.play("alice 200 BYE")
    stage.forget()


@pytest.mark.proves("C-78")
def test_a_cancel_that_is_refused(stage: Stage) -> None:
    """It is as if the peer did not answer."""
    stage.play("service INVITE", "service CANCEL")
    stage.forget()
    refuse(stage, stage.arrived("bob", "CANCEL"))
    stage.play("wait 32")
    stage.said("service 487 INVITE (local)", "service TERM")


@pytest.mark.proves("C-78")
@pytest.mark.parametrize("again", [False, True], ids=["the first one", "of a re-INVITE"])
def test_an_ack_that_is_refused(stage: Stage, again: bool) -> None:
    stage.play(*CALL, *(["service INVITE", "bob 200 INVITE", "service ACK"] if again else []))
    stage.forget()
    refuse(stage, stage.arrived("bob", "ACK"))
    stage.said("bob < BYE", "service BYE (local)")
    assert stage.arrived("bob", "BYE")["Reason"] == REFUSED
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("C-78")
def test_an_ack_to_a_refusal_that_is_refused(stage: Stage) -> None:
    """There is nothing left to end."""
    stage.play("service INVITE", "bob 486")
    ack = stage.arrived("bob", "ACK")
    stage.forget()
    stage.node.syntax.refused(stage.node.channels.by_name["bob@gortc.local"], orjson.dumps(ack), 413, REFUSED)
    stage.advance()
    stage.said()
    stage.counted("refused by the peer")


@pytest.mark.proves("C-78")
@pytest.mark.parametrize(("code", "said"), [(180, []), (200, ["alice < 500 MESSAGE"]), (404, ["alice < 500 MESSAGE"])])
def test_a_response_that_is_refused(stage: Stage, code: int, said: list[str]) -> None:
    """Also where the session is over with it. A second time there is nothing to be said."""
    stage.play("alice MESSAGE", f"service {code} MESSAGE")
    stage.forget()
    refuse(stage, stage.person("alice").inbox[-1])
    stage.said(*said)
    if said:
        answer = stage.person("alice").inbox[-1]
        assert answer["Reason"] == REFUSED
        refuse(stage, answer)
        stage.said()
    else:
        stage.play("service 200 MESSAGE")
        stage.forget()


@pytest.mark.proves("C-78")
def test_a_response_in_a_call_that_is_refused(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO", "service 200 INFO")
    stage.forget()
    refuse(stage, stage.person("alice").inbox[-1])
    stage.said("alice < 500 INFO")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("C-78")
def test_a_200_to_an_invite_that_is_refused(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200")
    stage.forget()
    refuse(stage, stage.person("alice").inbox[-1])
    stage.said("alice < 500 INVITE", "service BYE (local)", "service TERM")
    bye = next(message for message in stage.probe.messages if message.local)
    assert bye.headers["Reason"] == REFUSED
    stage.play("alice ACK")
    stage.counted("stray ACK")
    stage.forget()


@pytest.mark.proves("C-78")
def test_a_200_to_an_invite_that_is_refused_as_the_service_hangs_up(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200")
    answer = stage.person("alice").inbox[-1]
    stage.play("service BYE")
    stage.forget()
    refuse(stage, answer)
    stage.said("alice < 500 INVITE", "service TERM")


@pytest.mark.proves("C-78")
@pytest.mark.parametrize(
    ("code", "said"),
    [(200, ["alice < 500 INVITE", "alice < BYE", "service BYE (local)"]), (488, ["alice < 500 INVITE"])],
)
def test_a_response_to_a_reinvite_that_is_refused(stage: Stage, code: int, said: list[str]) -> None:
    stage.play(*RECEIVED, "alice INVITE", f"service {code} INVITE")
    stage.forget()
    refuse(stage, stage.person("alice").inbox[-1])
    stage.said(*said)
    stage.play("alice ACK", "alice 200 BYE" if code == 200 else "alice BYE")
    stage.counted(*(["stray ACK"] if code == 200 else []))
    stage.forget()


@pytest.mark.proves("C-78", "M-40")
@pytest.mark.parametrize(
    "message",
    [
        {"Type": "RESPONSE", "Code": 200, "From": "a", "To": "b", "DialogueID": "?", "CSeq": 9},
        {"Type": "INFO", "DialogueID": "?", "CSeq": 1}, {"Type": "ACK", "DialogueID": "?", "CSeq": 1},
    ],
)  # fmt: skip
def test_what_is_refused_of_a_session_that_is_over(stage: Stage, message: Headers) -> None:
    """Or of a request that has been answered meanwhile."""
    stage.play("alice INVITE")
    stage.forget()
    refuse(stage, message)
    for request in ("INFO", "BYE"):
        refuse(stage, {"Type": request, "DialogueID": stage.session.dialogue_id, "CSeq": 7})
    stage.play("service 486", "alice ACK")
    assert [line for line in stage.lines if "service" in line] == ["service TERM"]
    stage.forget()


def test_what_nobody_hears_any_more_is_not_told(stage: Stage) -> None:
    """A call may be over before its service is told of what could not be sent."""
    stage.play("alice INVITE", "service 200", "alice ACK", "alice BYE")
    stage.forget()
    transactions.tell(term(stage.session))
    transactions.hang_up((stage.session, "too large"))
    stage.said()


def test_what_can_not_be_written_has_no_text() -> None:
    assert written({"X": object()}) == b""
    assert written({"X": 1}) == b'{"X":1}'


def test_half_an_emoji_is_answered_without_a_tape() -> None:
    with Stage(trace_bytes=0) as stage:
        alice = stage.person("alice")
        alice.send(
            b'{"Type":"MESSAGE","Request-URI":"b","From":"a","To":"b","DialogueID":"d","CSeq":1,"Body":"\\ud83d"}'
        )
        alice.expect(400)
        stage.counted("bad request")
        stage.forget()


def test_what_a_channel_and_an_owner_are_until_they_say_more() -> None:
    channel = Channel("alice@gortc.local")
    assert (channel.away, channel.closed, channel.leads_nowhere) == (False, False, False)
    assert not Owner().rings_on(0.0)


def test_a_defect_as_a_refused_message_is_told_of_is_counted(stage: Stage) -> None:
    alice = stage.person("alice")
    stage.node.syntax.refused(alice.channel, b"no JSON", 413, "too large")
    stage.counted("refused by the peer", "stack failure")
    stage.failures.clear()


@pytest.mark.proves("C-78")
def test_a_provisional_response_that_the_peer_refuses_is_only_dropped(stage: Stage) -> None:
    stage.play("alice INVITE", "service 180")
    stage.forget()
    alice = stage.person("alice")
    stage.node.syntax.refused(alice.channel, orjson.dumps(alice.inbox[-1]), 413, "too large")
    stage.counted("refused by the peer")
    stage.said()
    stage.play("service 486", "alice ACK")
    stage.forget()


@pytest.mark.proves("C-78")
@pytest.mark.parametrize("more", [{}, {"Body": "x" * 3000}, {"Reason": "x" * 300}])
def test_an_answer_that_says_what_the_stack_would_say(stage: Stage, more: Headers) -> None:
    """A 500 as bare as the stack's own is refused as well: then nothing is left to say."""
    stage.play("alice MESSAGE")
    stage.task.answer(stage.received("MESSAGE"), 500, headers={"Reason": REFUSED, **more})
    stage.forget()
    refuse(stage, stage.person("alice").inbox[-1])
    stage.said(*(["alice < 500 MESSAGE"] if more else []))


@pytest.mark.proves("C-78")
def test_a_peer_that_refuses_whatever_it_is_told(stage: Stage) -> None:
    """With another code each time."""
    stage.play("alice MESSAGE", "service 200")
    stage.forget()
    for number in range(3):
        answer = orjson.dumps(stage.person("alice").inbox[-1])
        stage.node.syntax.refused(stage.person("alice").channel, answer, 413 if number % 2 else 400, f"no {number}")
        stage.counted("refused by the peer")
    stage.said("alice < 500 MESSAGE")


@pytest.mark.proves("M-37")
def test_a_100_that_is_too_large(small: Stage) -> None:
    small.play("alice MESSAGE")
    small.task.answer(small.received("MESSAGE"), 100, LARGE)
    small.said("alice > MESSAGE", "service MESSAGE", "alice < 500 MESSAGE", "service TERM")
    small.counted("can't be sent")
