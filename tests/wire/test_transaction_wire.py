"""Transactions, docs/jsip.md section 3, row by row."""

from __future__ import annotations

import pytest

from tests.wire.kit import Wire, request


@pytest.mark.proves("T-1")
def test_both_sides_number_on_their_own(wire: Wire) -> None:
    """The same CSeq of either side means two transactions."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    puppet.do(("send", "A", "INFO"), ("send", "A", "INFO"), ("send", "A", "INFO"))
    theirs = [call.expect("INFO", CSeq=number) for number in (1, 2, 3)]
    call.send("ACK")
    ours = call.send("INFO")
    assert ours["CSeq"] == theirs[2]["CSeq"]
    puppet.node.wait_seen(call.id, "INFO")
    call.reply(200, theirs[2])
    puppet.do(("answer", "A", "INFO", 201))
    call.expect(201, CSeq=3)
    call.reply(202, theirs[0])
    call.reply(203, theirs[1])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == [
        "INVITE", "ACK", "INFO", "200 INFO", "202 INFO", "203 INFO", "BYE", "TERM",
    ]  # fmt: skip


@pytest.mark.proves("T-3", "T-9")
def test_provisional_any_number_final_one(wire: Wire) -> None:
    """Towards the peer and from it; after the final one responses are dropped."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    codes = (180, 180, 183, 199, 200, 486)
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", code] for code in codes]})
    for code in codes[:-1]:
        call.expect(code)
    call.ack()
    out = puppet.calls(bob)
    for code in codes:
        out.reply(code)
    puppet.node.wait_seen(out.id, "200 INVITE")
    puppet.do(("ack", "B"))
    out.expect("ACK")
    out.send("BYE")
    out.expect(200)
    assert puppet.node.story(out.id) == [*(f"{code} INVITE" for code in codes[:-1]), "BYE", "TERM"]
    alice.fence()


@pytest.mark.proves("T-5", "T-6", "T-7")
def test_the_same_request_again(wire: Wire) -> None:
    """While it lives it is not given to the service twice; a live key with another Type: 400; then it is a new one."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    call.ack()
    info = call.send("INFO")
    alice.send(info)
    alice.send({**info, "Type": "UPDATE"})
    call.expect(400, CSeq=info["CSeq"])
    puppet.node.wait_seen(call.id, "INFO")
    puppet.do(("answer", "A", "INFO", 200))
    call.expect(200, CSeq=info["CSeq"])
    alice.send(info)
    puppet.node.wait_seen(call.id, "INFO", 2)
    puppet.do(("answer", "A", "INFO", 299))
    call.expect(299, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "INFO", "INFO", "BYE", "TERM"]


@pytest.mark.proves("T-8", "S-30")
def test_a_response_to_no_transaction(wire: Wire) -> None:
    """Unknown CSeq, wrong side, another dialogue: dropped."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    call.reply(200)  # of the wrong side: this INVITE is ours to answer, CSeq 1
    call.reply(180, {**call.first, "CSeq": 99})
    call.reply(200, {**call.first, "DialogueID": "other"})
    puppet.do(("answer", "A", "INVITE", 486))
    call.expect(486)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "TERM"]


@pytest.mark.proves("T-14")
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS"])
def test_sessions_of_one_transaction_received(wire: Wire, method: str) -> None:
    """When it ends the session ends: the DialogueID is free again, and nothing else belongs to it."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    dialogue = f"one-{method}"
    for times in (1, 2):
        talk = alice.open(
            method, "puppet", DialogueID=dialogue, Router=puppet.router, Body={"then": [["answer", "A", method, 202]]}
        )
        talk.expect(202)
        puppet.node.wait_seen(dialogue, "TERM", times)
    assert puppet.node.seen(dialogue) == [method, "TERM"] * 2
    late = talk.send("INFO")
    talk.expect(481, CSeq=late["CSeq"])


@pytest.mark.proves("T-14")
@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS", "NOTIFY"])
def test_sessions_of_one_transaction_sent(wire: Wire, method: str) -> None:
    """The answer goes to the service, then TERM."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    puppet.do(("open", "B", bob.name, method, {"Body": "hello"}))
    talk = bob.answering(method, Body="hello", CSeq=1)
    talk.reply(180)
    talk.reply(202)
    assert puppet.node.story(talk.id) == [f"180 {method}", f"202 {method}", "TERM"]
    talk.reply(200)
    talk.send("INFO")
    talk.expect(481)


@pytest.mark.proves("T-15")
def test_a_second_request_in_a_session_of_one_transaction(wire: Wire) -> None:
    """It is refused, and leaves the first one open."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    talk = alice.open("MESSAGE", "puppet", Router=puppet.router)
    second = talk.send("INFO")
    talk.expect(481, CSeq=second["CSeq"])
    puppet.do(("answer", "A", "MESSAGE", 200))
    talk.expect(200, CSeq=1)
    assert puppet.node.story(talk.id) == ["MESSAGE", "TERM"]


@pytest.mark.proves("T-10")
@pytest.mark.parametrize("quick", ["transaction"], indirect=True)
def test_no_answer_of_the_service(quick: Wire) -> None:
    """408 to the peer, and in a call 504, which ends nothing."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    alice.open("MESSAGE", "puppet", Router=puppet.router).expect(408)
    call = puppet.called_by(alice)
    info = call.send("INFO")
    call.expect(504, CSeq=info["CSeq"])
    puppet.do(("late", "A", "INFO", 200), ("answer", "A", "INVITE", 486))
    call.expect(486, CSeq=1)
    call.ack()


@pytest.mark.proves("T-12")
@pytest.mark.parametrize("quick", ["provisional"], indirect=True)
def test_no_final_answer_of_the_service(quick: Wire) -> None:
    """Any provisional response sets the longer time, which ends in 408, too."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    talk = alice.open("MESSAGE", "puppet", Router=puppet.router, Body={"then": [["answer", "A", "MESSAGE", 182]]})
    talk.expect(182)
    talk.expect(408)
    assert puppet.node.story(talk.id) == ["MESSAGE", "TERM"]


@pytest.mark.proves("T-11")
@pytest.mark.parametrize("quick", ["transaction"], indirect=True)
def test_no_answer_of_the_peer(quick: Wire) -> None:
    """Local 408, and no ACK or CANCEL for it; in a call it leaves the call up."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    puppet.do(("open", "B", bob.name, "MESSAGE"))
    talk = bob.answering("MESSAGE")
    assert puppet.node.story(talk.id) == ["408 MESSAGE local", "TERM"]
    call = puppet.calls(bob, leg="C")
    puppet.do(("send", "C", "INFO"))
    call.expect("INFO")
    puppet.node.wait_seen(call.id, "408 INFO local")
    call.reply(486)
    call.expect("ACK")
    assert puppet.node.story(call.id) == ["408 INFO local", "486 INVITE", "TERM"]


@pytest.mark.proves("T-13")
@pytest.mark.parametrize("quick", ["provisional"], indirect=True)
def test_no_final_answer_of_the_peer(quick: Wire) -> None:
    """A provisional response (100 does, too) sets the longer time."""
    puppet = quick.puppet()
    for code in (100, 182):
        bob = quick.peer(f"bob{code}")
        puppet.do(("open", f"B{code}", bob.name, "MESSAGE"))
        talk = bob.answering("MESSAGE")
        talk.reply(code)
        assert puppet.node.story(talk.id) == [*(["182 MESSAGE"] * (code == 182)), "408 MESSAGE local", "TERM"]


@pytest.mark.proves("C-31", "C-32", "T-20")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS"])
@pytest.mark.parametrize(("uri", "code"), [("nobody@gortc.test", 480), ("nobody@second.test", 480), ("a@other", 404)])
def test_what_can_not_be_delivered(wire: Wire, method: str, uri: str, code: int) -> None:
    """A local 480 or 404."""
    puppet = wire.puppet()
    (dialogue,) = puppet.do(("open", "B", uri, method))
    assert puppet.node.story(dialogue) == [f"{code} {method} local", "TERM"]


@pytest.mark.proves("T-4")
def test_ack_has_no_response_and_no_transaction(wire: Wire) -> None:
    """An ACK may repeat the CSeq of a request that lives."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    info = call.send("INFO")
    puppet.node.wait_seen(call.id, "INFO")
    alice.send(request("ACK", "a", "b", DialogueID=call.id, CSeq=info["CSeq"], RelatedID=1))
    puppet.node.wait_seen(call.id, "ACK")
    puppet.do(("answer", "A", "INFO", 200))
    call.expect(200, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)


@pytest.mark.proves("T-18", "T-19")
def test_too_many_open_requests(wire: Wire) -> None:
    """100 of a peer's may be open in a dialogue; a further one gets 503, the BYE ends the call all the same."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    call.ack()
    for _ in range(100):
        call.send("INFO")
    refused = call.send("INFO")
    call.expect(503, CSeq=refused["CSeq"])
    bye = call.send("BYE")
    answers = [alice.receive() for _ in range(101)]
    assert sorted(answer["Code"] for answer in answers) == [200, *[487] * 100]
    assert next(answer["CSeq"] for answer in answers if answer["Code"] == 200) == bye["CSeq"]
    assert puppet.node.story(call.id) == ["INVITE", "ACK", *["INFO"] * 100, "BYE", "TERM"]
