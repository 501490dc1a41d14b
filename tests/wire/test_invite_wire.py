"""INVITE sessions, docs/jsip.md section 4: the stack's table row by row, then early media, offers, session timer.

Leg A of a puppet is a call that it has received, leg B one that it makes.
"""

from __future__ import annotations

import pytest

from tests.wire.kit import Peer, Puppet, Talk, Wire


def answered(puppet: Puppet, peer: Peer, **headers: object) -> Talk:
    """Leg A, confirmed."""
    call = puppet.called_by(peer, Body={"then": [["answer", "A", "INVITE", 200]]}, **headers)
    call.expect(200)
    call.ack()
    puppet.node.wait_seen(call.id, "ACK")
    return call


def talking(puppet: Puppet, peer: Peer) -> Talk:
    """Leg B, confirmed."""
    call = puppet.calls(peer)
    call.reply(200)
    puppet.node.wait_seen(call.id, "200 INVITE")
    puppet.do(("ack", "B"))
    call.expect("ACK", RelatedID=1)
    return call


# received: CANCEL


@pytest.mark.proves("S-2", "T-2")
def test_received_cancel(wire: Wire) -> None:
    """CANCEL 200, INVITE 487, the ACK absorbed; the CANCEL's CSeq may be the INVITE's own, as in SIP."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    alice.send({**call.first, "Type": "CANCEL"})
    call.expect(200, CSeq=1)
    call.expect(487, CSeq=1, Desc="Request Terminated")
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "CANCEL", "TERM"]
    alice.fence()


@pytest.mark.proves("S-2", "M-8")
def test_received_cancel_with_related_id(wire: Wire) -> None:
    """The same with a CSeq of its own."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    puppet.do(("answer", "A", "INVITE", 180))
    call.expect(180)
    call.cancel()
    call.expect(200, CSeq=2)
    call.expect(487, CSeq=1)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "CANCEL", "TERM"]


@pytest.mark.proves("S-3")
def test_received_cancel_of_a_reinvite(wire: Wire) -> None:
    """CANCEL 200, re-INVITE 487, the call stays (RFC 6141)."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    again = call.send("INVITE", Body="offer")
    cancel = call.cancel()
    call.expect(200, CSeq=cancel["CSeq"])
    call.expect(487, CSeq=again["CSeq"])
    call.ack()
    info = call.send("INFO")
    puppet.node.wait_seen(call.id, "INFO")
    puppet.do(("answer", "A", "INFO", 200))
    call.expect(200, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "INVITE", "CANCEL of re-INVITE", "INFO", "BYE", "TERM"]


@pytest.mark.proves("S-4")
def test_received_cancel_after_the_final_response(wire: Wire) -> None:
    """200, no effect."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    cancel = call.cancel()
    call.expect(200, CSeq=cancel["CSeq"])
    call.ack()
    cancel = call.cancel()
    call.expect(200, CSeq=cancel["CSeq"])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "BYE", "TERM"]


@pytest.mark.proves("S-5")
def test_received_cancel_that_matches_nothing(wire: Wire) -> None:
    """481: in no dialogue, of another INVITE, of another request."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    alice.open("CANCEL", "puppet", RelatedID=1).expect(481)
    call = puppet.called_by(alice)
    call.send("CANCEL", RelatedID=99)
    call.expect(481)
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "CANCEL", "TERM"]


# received: BYE


@pytest.mark.proves("S-10")
def test_received_bye(wire: Wire) -> None:
    """200; each open request of the peer: 487."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    info = call.send("INFO")
    again = call.send("INVITE")
    bye = call.send("BYE")
    answers = {(m["CSeq"], m["Code"]) for m in (alice.receive(), alice.receive(), alice.receive())}
    assert answers == {(info["CSeq"], 487), (again["CSeq"], 487), (bye["CSeq"], 200)}
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "INFO", "INVITE", "BYE", "TERM"]


@pytest.mark.proves("S-10")
def test_received_bye_before_the_answer(wire: Wire) -> None:
    """RFC 3261 section 15: the caller may end an early dialogue by BYE; the INVITE gets 487."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    bye = call.send("BYE")
    answers = {(m["CSeq"], m["Code"]) for m in (alice.receive(), alice.receive())}
    assert answers == {(1, 487), (bye["CSeq"], 200)}
    assert puppet.node.story(call.id) == ["INVITE", "BYE", "TERM"]


@pytest.mark.proves("S-15")
def test_bye_of_both_sides(wire: Wire) -> None:
    """Each is answered 200, TERM comes once."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    puppet.do(("send", "A", "BYE"))
    theirs = call.expect("BYE")
    ours = call.send("BYE")
    call.expect(200, CSeq=ours["CSeq"])
    call.reply(200, theirs)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "TERM"]


# sent


@pytest.mark.proves("S-14", "S-28")
def test_sent_bye_and_its_response(wire: Wire) -> None:
    """The response is absorbed; what is open on our side gets a local 487."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = talking(puppet, bob)
    puppet.do(("send", "B", "INFO"), ("send", "B", "BYE"))
    call.expect("INFO")
    call.reply(200, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["200 INVITE", "487 INFO local", "TERM"]


@pytest.mark.proves("S-6", "S-16")
def test_sent_cancel_and_its_response(wire: Wire) -> None:
    """The CANCEL's response is absorbed, the 487 is ACKed by the stack and given to the service."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = puppet.calls(bob)
    call.reply(180)
    puppet.node.wait_seen(call.id, "180 INVITE")
    puppet.do(("cancel", "B"))
    call.reply(200, call.expect("CANCEL", RelatedID=1))
    call.reply(487)
    call.expect("ACK", RelatedID=1)
    assert puppet.node.story(call.id) == ["180 INVITE", "487 INVITE", "TERM"]


@pytest.mark.proves("S-16")
def test_received_refusal(wire: Wire) -> None:
    """3xx..6xx to our INVITE: the stack sends ACK."""
    puppet = wire.puppet()
    for code in (302, 486, 503, 603):
        bob = wire.peer(f"bob{code}")
        call = puppet.calls(bob, leg=f"B{code}")
        call.reply(code, Contact="elsewhere")
        call.expect("ACK", RelatedID=1)
        assert puppet.node.story(call.id) == [f"{code} INVITE", "TERM"]
        assert puppet.node.wait_seen(call.id, f"{code} INVITE")["headers"]["Contact"] == "elsewhere"


@pytest.mark.proves("S-16", "S-45")
def test_received_refusal_of_a_reinvite(wire: Wire) -> None:
    """The same to our re-INVITE; the call stays."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = talking(puppet, bob)
    (cseq,) = puppet.do(("send", "B", "INVITE"))
    call.reply(488, call.expect("INVITE", CSeq=cseq, Expire=600))
    call.expect("ACK", RelatedID=cseq)
    bye = call.send("BYE")
    call.expect(200, CSeq=bye["CSeq"])
    assert puppet.node.story(call.id) == ["200 INVITE", "488 INVITE", "BYE", "TERM"]


@pytest.mark.proves("S-17")
def test_sent_refusal(wire: Wire) -> None:
    """3xx..6xx of ours: the ACK is absorbed, and ends the session."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 302, {"Contact": "other"}]]})
    call.expect(302, Contact="other")
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "TERM"]


@pytest.mark.proves("S-17")
@pytest.mark.parametrize("quick", ["errorack"], indirect=True)
def test_sent_refusal_that_is_never_acked(quick: Wire) -> None:
    """Its ACK is waited for no longer than that time."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 486]]})
    call.expect(486)
    assert puppet.node.story(call.id) == ["INVITE", "TERM"]
    alice.fence()


@pytest.mark.proves("S-18", "S-19")
def test_100(wire: Wire) -> None:
    """A received 100 ends at the stack; the service can't send one."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    call = puppet.calls(bob)
    call.reply(100)
    call.reply(183)
    puppet.node.wait_seen(call.id, "183 INVITE")
    call.reply(486)
    call.expect("ACK")
    assert puppet.node.story(call.id) == ["183 INVITE", "486 INVITE", "TERM"]
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 100], ["answer", "A", "INVITE", 486]]})
    call.expect(486)
    call.ack()


@pytest.mark.proves("S-7")
def test_200_crosses_our_cancel(wire: Wire) -> None:
    """ACK, then BYE; the service hears a local 487."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = puppet.calls(bob)
    puppet.do(("cancel", "B"))
    cancel = call.expect("CANCEL")
    call.reply(200)
    call.reply(200, cancel)
    call.expect("ACK", RelatedID=1)
    call.reply(200, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["487 INVITE local", "TERM"]


@pytest.mark.proves("S-9")
@pytest.mark.parametrize("quick", ["cancel"], indirect=True)
def test_cancelled_and_nothing_final(quick: Wire) -> None:
    """It is given up: local 487, TERM."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = puppet.calls(bob)
    puppet.do(("cancel", "B"))
    call.reply(200, call.expect("CANCEL"))
    assert puppet.node.story(call.id) == ["487 INVITE local", "TERM"]
    call.reply(200)  # to nothing, now
    bob.fence()


@pytest.mark.proves("S-22", "S-24")
@pytest.mark.parametrize("quick", ["invite", "invitemax"], indirect=True)
def test_no_final_response_to_a_sent_invite(quick: Wire) -> None:
    """CANCEL, local 408, once; the later 487 only ends the session."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = puppet.calls(bob)
    cancel = call.expect("CANCEL", RelatedID=1)
    puppet.node.wait_seen(call.id, "408 INVITE local")
    call.reply(200, cancel)
    call.reply(487)
    call.expect("ACK", RelatedID=1)
    assert puppet.node.story(call.id) == ["408 INVITE local", "TERM"]


@pytest.mark.proves("S-24")
@pytest.mark.parametrize("quick", ["invite"], indirect=True)
def test_no_final_response_to_a_sent_invite_and_a_late_200(quick: Wire) -> None:
    """The late 200 is acknowledged and hung up."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = puppet.calls(bob)
    call.expect("CANCEL")
    call.reply(200)
    call.expect("ACK")
    call.reply(200, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["408 INVITE local", "TERM"]


@pytest.mark.proves("S-24")
@pytest.mark.parametrize("quick", ["gaveup"], indirect=True)
def test_no_final_response_ever(quick: Wire) -> None:
    """It ends all the same."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = puppet.calls(bob)
    call.expect("CANCEL")
    assert puppet.node.story(call.id) == ["408 INVITE local", "TERM"]


@pytest.mark.proves("S-25")
@pytest.mark.parametrize("quick", ["invite"], indirect=True)
def test_no_final_response_from_the_service(quick: Wire) -> None:
    """408 to the caller, its ACK absorbed; the service sees CANCEL."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    call = puppet.called_by(alice)
    call.expect(408, Desc="Request Timeout")
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "CANCEL local", "TERM"]


@pytest.mark.proves("S-21")
@pytest.mark.parametrize("quick", ["ack"], indirect=True)
def test_200_that_is_never_acked(quick: Wire) -> None:
    """BYE to the peer, BYE (local) to the service."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    call.reply(200, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["INVITE", "BYE local", "TERM"]


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [481, 408])
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "INVITE"])
def test_the_peer_does_not_know_the_dialogue(wire: Wire, method: str, code: int) -> None:
    """RFC 5057: 481 or 408 to a request in the dialogue: it is over, and the peer is hung up (RFC 3261 12.2.1.2)."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = talking(puppet, bob)
    puppet.do(("send", "B", method, {"Body": "x"}))
    call.reply(code, call.expect(method))
    if method == "INVITE":
        call.expect("ACK")
    call.reply(code, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["200 INVITE", f"{code} {method}", "BYE local", "TERM"]
    bye = call.send("BYE")
    call.expect(481, CSeq=bye["CSeq"])
    bob.fence()


@pytest.mark.proves("S-5", "S-29", "S-30")
def test_requests_in_no_known_dialogue(wire: Wire) -> None:
    """481 to the peer; ACKs and responses are dropped."""
    alice = wire.peer("alice")
    for method in ("BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "CANCEL"):
        alice.open(method, "x").expect(481, Desc="Call/Transaction Does Not Exist")
    alice.open("ACK", "x")
    alice.open("RESPONSE", "x", Code=200)
    alice.fence()


@pytest.mark.proves("S-31", "S-32")
def test_the_service_speaks_in_a_dead_dialogue(wire: Wire) -> None:
    """INFO, UPDATE, PRACK: local 481; BYE, CANCEL, ACK and responses: dropped. Nothing is sent."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    answered(puppet, alice)  # it keeps the instance alive
    call = puppet.calls(bob)
    call.reply(486)
    call.expect("ACK")
    assert puppet.node.story(call.id) == ["486 INVITE", "TERM"]
    puppet.do(*(("send", "B", method) for method in ("INFO", "UPDATE", "PRACK", "BYE")), ("cancel", "B"), ("ack", "B"))
    for method in ("INFO", "UPDATE", "PRACK"):
        puppet.node.wait_seen(call.id, f"481 {method} local")
    puppet.do()
    assert sorted(puppet.node.seen(call.id)[2:]) == ["481 INFO local", "481 PRACK local", "481 UPDATE local"]
    bob.fence()


@pytest.mark.proves("T-9")
def test_a_response_too_many(wire: Wire) -> None:
    """A second final response of the service's, or of the peer's, goes nowhere."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    call = answered(puppet, alice)
    puppet.do(("late", "A", "INVITE", 486), ("late", "A", "INVITE", 180))
    out = talking(puppet, bob)
    out.reply(486)
    out.reply(180)
    for peer in (alice, bob):
        peer.fence()
    puppet.do(("send", "B", "BYE"))
    out.reply(200, out.expect("BYE"))
    assert puppet.node.story(out.id) == ["200 INVITE", "TERM"]
    call.send("BYE")
    call.expect(200)


# early


@pytest.mark.proves("S-34", "S-36", "S-37")
def test_prack(wire: Wire) -> None:
    """Before a 1xx: 481; after it the service answers, a failed one leaves the call as it was."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    early = call.send("PRACK")
    call.expect(481, CSeq=early["CSeq"])
    puppet.do(("answer", "A", "INVITE", 183, {"Body": "early"}))
    call.expect(183, Body="early")
    for times, code in ((1, 488), (2, 200)):
        prack = call.send("PRACK", Body="more")
        puppet.node.wait_seen(call.id, "PRACK", times)
        puppet.do(("answer", "A", "PRACK", code))
        call.expect(code, CSeq=prack["CSeq"])
    puppet.do(("answer", "A", "INVITE", 200))
    call.expect(200, CSeq=1)
    call.ack()
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "PRACK", "PRACK", "ACK", "BYE", "TERM"]


@pytest.mark.proves("S-34")
def test_prack_of_ours(wire: Wire) -> None:
    """Only the INVITE's sender may: ours goes out, the callee's is refused; before a 1xx it is a local 481."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = puppet.calls(bob)
    puppet.do(("send", "B", "PRACK"))
    puppet.node.wait_seen(call.id, "481 PRACK local")
    call.reply(180)
    puppet.node.wait_seen(call.id, "180 INVITE")
    puppet.do(("send", "B", "PRACK", {"Body": "x"}))
    call.reply(200, call.expect("PRACK", Body="x"))
    puppet.node.wait_seen(call.id, "200 PRACK")
    theirs = call.send("PRACK")
    call.expect(481, CSeq=theirs["CSeq"])
    call.reply(486)
    call.expect("ACK")
    assert puppet.node.story(call.id) == ["481 PRACK local", "180 INVITE", "200 PRACK", "486 INVITE", "TERM"]


@pytest.mark.proves("S-35", "S-36", "S-37")
def test_early_update(wire: Wire) -> None:
    """UPDATE from either side, after a 1xx."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    early = call.send("UPDATE", Body="o")
    call.expect(481, CSeq=early["CSeq"])
    puppet.do(("answer", "A", "INVITE", 180))
    call.expect(180)
    update = call.send("UPDATE", Body="offer")
    puppet.node.wait_seen(call.id, "UPDATE")
    puppet.do(("answer", "A", "UPDATE", 200, {"Body": "answer"}))
    call.expect(200, CSeq=update["CSeq"], Body="answer")
    puppet.do(("send", "A", "UPDATE", {"Body": "theirs"}))
    call.reply(488, call.expect("UPDATE", Body="theirs", Expire=600))
    puppet.node.wait_seen(call.id, "488 UPDATE")
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "UPDATE", "488 UPDATE", "CANCEL", "TERM"]


@pytest.mark.proves("S-38", "S-39")
def test_one_exchange_at_a_time(wire: Wire) -> None:
    """One PRACK, UPDATE or re-INVITE open at a time, of either side, else 491."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    open_ = call.send("UPDATE", Body="x")
    puppet.node.wait_seen(call.id, "UPDATE")
    for method in ("UPDATE", "INVITE", "PRACK"):
        second = call.send(method, Body="y")
        call.expect(491, CSeq=second["CSeq"], Desc="Request Pending")
        if method == "INVITE":
            call.ack()
    puppet.do(("send", "A", "INVITE"))
    puppet.node.wait_seen(call.id, "491 INVITE local")
    puppet.do(("answer", "A", "UPDATE", 200))
    call.expect(200, CSeq=open_["CSeq"])
    puppet.do(("send", "A", "INVITE"))  # ours is open now
    ours = call.expect("INVITE")
    theirs = call.send("INVITE")
    call.expect(491, CSeq=theirs["CSeq"])
    call.ack()
    call.reply(491, ours)
    call.expect("ACK", RelatedID=ours["CSeq"])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == [
        "INVITE", "ACK", "UPDATE", "491 INVITE local", "491 INVITE", "BYE", "TERM",
    ]  # fmt: skip


@pytest.mark.proves("S-41", "S-42")
def test_a_second_invite_before_the_answer(wire: Wire) -> None:
    """RFC 3261 section 14.2: 500 with Retry-After where the peer's own is open, 491 where ours is."""
    puppet, alice, bob = wire.puppet(), wire.peer("alice"), wire.peer("bob")
    call = puppet.called_by(alice)
    second = call.send("INVITE")
    answer = call.expect(500, CSeq=second["CSeq"])
    assert 0 <= answer["Retry-After"] <= 10
    call.ack()
    out = puppet.calls(bob)
    theirs = out.send("INVITE")
    out.expect(491, CSeq=theirs["CSeq"])
    out.ack()
    call.send("CANCEL", RelatedID=1)
    call.expect(200)
    call.expect(487, CSeq=1)
    call.send("ACK", RelatedID=1)
    assert puppet.node.story(call.id) == ["INVITE", "CANCEL", "TERM"]


@pytest.mark.proves("T-6", "T-7")
def test_the_same_invite_again(wire: Wire) -> None:
    """A request again while it lives is not given to the service twice; a live key with another type: 400."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)
    alice.send(call.first)
    alice.send({**call.first, "Type": "INFO"})
    call.expect(400, CSeq=1)
    puppet.do(("answer", "A", "INVITE", 486))
    call.expect(486)
    call.ack()
    assert puppet.node.story(call.id) == ["INVITE", "TERM"]
    alice.fence()


# answered


@pytest.mark.proves("S-44", "S-45")
def test_reinvite_of_the_peer(wire: Wire) -> None:
    """Answered by the service, with its ACK; a failed one leaves the call up."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    again = call.send("INVITE", Body={"then": [["answer", "A", "INVITE", 180], ["answer", "A", "INVITE", 488]]})
    call.expect(180, CSeq=again["CSeq"])
    call.expect(488, CSeq=again["CSeq"])
    call.ack()
    again = call.send("INVITE", Body={"then": [["answer", "A", "INVITE", 200, {"Body": "answer"}]]})
    call.expect(200, CSeq=again["CSeq"], Body="answer")
    call.ack(Body="late")
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "INVITE", "INVITE", "ACK", "BYE", "TERM"]


@pytest.mark.proves("S-44")
def test_reinvite_of_ours(wire: Wire) -> None:
    """Its 200 is the service's to ACK."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = talking(puppet, bob)
    (cseq,) = puppet.do(("send", "B", "INVITE", {"Body": "offer"}))
    call.reply(200, call.expect("INVITE", CSeq=cseq, Body="offer"), Body="answer")
    puppet.node.wait_seen(call.id, "200 INVITE", 2)
    puppet.do(("ack", "B", {"Body": "ack"}))
    call.expect("ACK", RelatedID=cseq, Body="ack")
    puppet.do(("send", "B", "BYE"))
    call.reply(200, call.expect("BYE"))
    assert puppet.node.story(call.id) == ["200 INVITE", "200 INVITE", "TERM"]


@pytest.mark.proves("S-45")
def test_our_reinvite_is_cancelled(wire: Wire) -> None:
    """CANCEL with the re-INVITE's RelatedID; 487, ACK, and the call stays."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    call = talking(puppet, bob)
    (cseq,) = puppet.do(("send", "B", "INVITE"))
    again = call.expect("INVITE")
    puppet.do(("cancel", "B"))
    call.reply(200, call.expect("CANCEL", RelatedID=cseq))
    call.reply(487, again)
    call.expect("ACK", RelatedID=cseq)
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["200 INVITE", "487 INVITE", "BYE", "TERM"]


@pytest.mark.proves("S-45", "S-46", "S-47")
def test_update_with_and_without_a_body(wire: Wire) -> None:
    """With one it is the service's; without one it is a session refresh, answered by the stack."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = answered(puppet, alice)
    refresh = call.send("UPDATE", Expire=600)
    call.expect(200, CSeq=refresh["CSeq"])
    update = call.send("UPDATE", Body="offer")
    puppet.node.wait_seen(call.id, "UPDATE")
    puppet.do(("answer", "A", "UPDATE", 488))
    call.expect(488, CSeq=update["CSeq"])
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "UPDATE", "BYE", "TERM"]


@pytest.mark.proves("S-48", "T-17")
def test_info_at_any_time(wire: Wire) -> None:
    """Before a 1xx, early, answered, confirmed; both ways; NOTIFY and MESSAGE go as INFO does."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice)

    def both_ways(method: str) -> None:
        sent = call.send(method, Body={"then": [["answer", "A", method, 200, {"Body": "yes"}]]})
        call.expect(200, CSeq=sent["CSeq"], Body="yes")
        puppet.do(("send", "A", method, {"Body": "ask"}))
        call.reply(299, call.expect(method, Body="ask"))

    both_ways("INFO")
    puppet.do(("answer", "A", "INVITE", 180))
    call.expect(180)
    both_ways("NOTIFY")
    puppet.do(("answer", "A", "INVITE", 200))
    call.expect(200, CSeq=1)
    both_ways("OPTIONS")
    call.ack()
    both_ways("MESSAGE")
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == [
        "INVITE", "INFO", "299 INFO", "NOTIFY", "299 NOTIFY", "OPTIONS", "299 OPTIONS", "ACK", "MESSAGE",
        "299 MESSAGE", "BYE", "TERM",
    ]  # fmt: skip


@pytest.mark.proves("M-8", "S-20")
def test_ack_carries_an_answer(wire: Wire) -> None:
    """ACK to a 200 goes to the service, without RelatedID as well."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Body={"then": [["answer", "A", "INVITE", 200]]})
    call.expect(200)
    call.send("ACK", Body="answer")
    assert puppet.node.wait_seen(call.id, "ACK")["body"] == "answer"
    call.ack()  # a second one is a stray
    call.send("BYE")
    call.expect(200)
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "BYE", "TERM"]


# session timer


@pytest.mark.proves("S-49")
def test_session_interval_too_small(wire: Wire) -> None:
    """423 with Min-Expire; the least one is taken."""
    puppet, alice = wire.puppet(), wire.peer("alice")
    call = puppet.called_by(alice, Expire=9)
    call.expect(423, Min_Expire=10, Desc="Interval Too Brief")
    call.ack()
    call = answered(puppet, alice, Expire=10)
    update = call.send("UPDATE", Expire=1)
    call.expect(423, CSeq=update["CSeq"], Min_Expire=10)
    call.send("BYE")
    call.expect(200)


@pytest.mark.proves("S-53", "S-55")
@pytest.mark.parametrize("quick", ["refresh"], indirect=True)
def test_the_sender_refreshes(quick: Wire) -> None:
    """We sent the INVITE: UPDATE without a Body every third of the interval, nothing of it for the service."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = talking(puppet, bob)
    for code in (200, 405, 500, 200):  # any answer but 481 and 408 proves life
        update = call.expect("UPDATE", Expire=1)
        assert "Body" not in update
        call.reply(code, update)
    call.send("BYE")
    while bob.receive().get("Code") != 200:  # an UPDATE may have crossed the BYE
        pass
    assert puppet.node.story(call.id) == ["200 INVITE", "BYE", "TERM"]


@pytest.mark.proves("S-27", "S-58")
@pytest.mark.parametrize("quick", ["refresh"], indirect=True)
def test_the_receiver_refreshes_where_there_is_no_expire(quick: Wire) -> None:
    """An INVITE without Expire: its receiver refreshes; 481 to that ends the call."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    call = answered(puppet, alice)
    call.reply(200, call.expect("UPDATE", CSeq=1))
    call.reply(481, call.expect("UPDATE", CSeq=2))
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "BYE local", "TERM"]


@pytest.mark.proves("S-56")
@pytest.mark.parametrize("quick", ["unrefreshed"], indirect=True)
def test_three_refreshes_without_an_answer(quick: Wire) -> None:
    """BYE to both."""
    puppet, bob = quick.puppet(), quick.peer("bob")
    call = talking(puppet, bob)
    for _ in range(3):
        call.expect("UPDATE")
    call.reply(200, call.expect("BYE"))
    story = puppet.node.story(call.id)
    assert story == ["200 INVITE", "BYE local", "TERM"]


@pytest.mark.proves("S-50", "S-57")
@pytest.mark.parametrize("quick", ["expired", "most"], indirect=True)
def test_no_refresh_comes(quick: Wire) -> None:
    """BYE to both with `Reason: session expired`; an interval over the most is taken as the most."""
    puppet, alice = quick.puppet(), quick.peer("alice")
    call = answered(puppet, alice, Expire=1 if quick.node.realm == "expired.test" else 2**40)
    call.reply(200, call.expect("BYE", Reason="session expired"))
    assert puppet.node.story(call.id) == ["INVITE", "ACK", "BYE local", "TERM"]
    assert puppet.node.wait_seen(call.id, "BYE local")["headers"]["Reason"] == "session expired"


@pytest.mark.proves("S-51")
def test_we_always_send_expire(wire: Wire) -> None:
    """600 unless the service says otherwise."""
    puppet, bob = wire.puppet(), wire.peer("bob")
    for leg, headers, expire in (("B", {}, 600), ("C", {"Expire": 90}, 90)):
        call = puppet.calls(bob, leg=leg, **headers)
        assert call.first["Expire"] == expire
        call.reply(486)
        call.expect("ACK")
