"""The shipped services over sockets: default, echo, conference. (hunt400 has a file of its own.)"""

from __future__ import annotations

import pytest

from tests.wire.kit import Peer, Talk, Wire


def bridged(alice: Peer, bob: Peer) -> tuple[Talk, Talk]:
    """A call of two users, confirmed."""
    call = alice.open("INVITE", bob.name, Body="offer")
    leg = bob.answering(Body="offer")
    leg.reply(200, Body="answer")
    call.expect(200, Body="answer")
    call.ack(Body="ack")
    leg.expect("ACK", RelatedID=1, Body="ack")
    return call, leg


@pytest.mark.proves("M-11", "M-13")
def test_default_call(wire: Wire) -> None:
    """INVITE, 183, 180, 200, ACK, INFO both ways, BYE of the callee: all of it goes through."""
    alice, bob = wire.peers("alice", "bob")
    call = alice.open("INVITE", bob.name, Body="offer", **{"Content-Type": "sdp", "Max-Forwards": 3})
    leg = bob.answering(Body="offer", From=alice.name, To=bob.name, CSeq=1, Expire=600, Max_Forwards=2)
    assert leg.id != call.id
    leg.reply(183, Body="early")
    call.expect(183, Body="early", CSeq=1)
    leg.reply(180)
    call.expect(180)
    leg.reply(200, Body="answer", **{"X-Who": "bob"})
    call.expect(200, Body="answer", X_Who="bob")
    call.ack()
    leg.expect("ACK")
    info = call.send("INFO", Body=[1], **{"X-Note": "a"})
    passed = leg.expect("INFO", Body=[1], X_Note="a")
    leg.reply(299, passed, Body="yes")
    call.expect(299, CSeq=info["CSeq"], Body="yes")
    back = leg.send("INFO", Body=[2])
    call.reply(200, call.expect("INFO", Body=[2]))
    leg.expect(200, CSeq=back["CSeq"])
    bye = leg.send("BYE")
    leg.expect(200, CSeq=bye["CSeq"])
    call.reply(200, call.expect("BYE"))
    alice.fence()
    bob.fence()


def test_default_refused(wire: Wire) -> None:
    """The callee's refusal is the caller's, headers and all."""
    alice, bob = wire.peers("alice", "bob")
    call = alice.open("INVITE", bob.name)
    leg = bob.answering()
    leg.reply(302, Contact="carol@gortc.test")
    leg.expect("ACK")
    call.expect(302, Contact="carol@gortc.test", Desc="Moved Temporarily")
    call.ack()
    alice.fence()


@pytest.mark.proves("C-31", "C-32")
def test_default_nobody_there(wire: Wire) -> None:
    """A user of ours who is offline: 480; another host without a route: 404."""
    alice = wire.peer("alice")
    for uri, code in (("nobody@gortc.test", 480), ("nobody@second.test", 480), ("nobody@other.example", 404)):
        for method in ("INVITE", "MESSAGE"):
            talk = alice.open(method, uri)
            talk.expect(code)
            if method == "INVITE":
                talk.ack()
    alice.fence()


def test_default_caller_cancels(wire: Wire) -> None:
    """200 to the CANCEL, 487 to the INVITE, and the callee stops ringing."""
    alice, bob = wire.peers("alice", "bob")
    call = alice.open("INVITE", bob.name)
    leg = bob.answering()
    leg.reply(180)
    call.expect(180)
    call.cancel()
    call.expect(200)
    call.expect(487)
    call.ack()
    leg.reply(200, leg.expect("CANCEL", RelatedID=1))
    leg.reply(487)
    leg.expect("ACK", RelatedID=1)
    alice.fence()
    bob.fence()


def test_default_reinvite_and_update(wire: Wire) -> None:
    """Either side offers again; the other one answers."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = bridged(alice, bob)
    for one, other in ((call, leg), (leg, call)):
        again = one.send("INVITE", Body="offer 2")
        passed = other.expect("INVITE", Body="offer 2")
        other.reply(200, passed, Body="answer 2")
        one.expect(200, CSeq=again["CSeq"], Body="answer 2")
        one.ack()
        other.expect("ACK", RelatedID=passed["CSeq"])
        update = one.send("UPDATE", Body="offer 3")
        other.reply(488, other.expect("UPDATE", Body="offer 3"))
        one.expect(488, CSeq=update["CSeq"])
    again = call.send("INVITE", Body="offer 4")
    passed = leg.expect("INVITE", Body="offer 4")
    cancel = call.cancel()
    call.expect(200, CSeq=cancel["CSeq"])
    call.expect(487, CSeq=again["CSeq"])
    call.ack()
    leg.reply(200, leg.expect("CANCEL", RelatedID=passed["CSeq"]))
    leg.reply(487, passed)
    leg.expect("ACK", RelatedID=passed["CSeq"])
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


def test_default_early(wire: Wire) -> None:
    """PRACK, UPDATE and INFO pass before the answer."""
    alice, bob = wire.peers("alice", "bob")
    call = alice.open("INVITE", bob.name)
    leg = bob.answering()
    leg.reply(183, Body="early")
    call.expect(183)
    for method in ("PRACK", "UPDATE", "INFO"):
        sent = call.send(method, Body=method)
        leg.reply(200, leg.expect(method, Body=method))
        call.expect(200, CSeq=sent["CSeq"])
    update = leg.send("UPDATE", Body="callee's")
    call.reply(200, call.expect("UPDATE", Body="callee's"))
    leg.expect(200, CSeq=update["CSeq"])
    leg.reply(200)
    call.expect(200, CSeq=1)
    call.ack()
    leg.expect("ACK")
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


def test_default_both_hang_up(wire: Wire) -> None:
    """Each BYE is answered 200."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = bridged(alice, bob)
    call.send("BYE")
    call.expect(200)
    theirs = leg.expect("BYE")
    ours = leg.send("BYE")
    leg.expect(200, CSeq=ours["CSeq"])
    leg.reply(200, theirs)
    bob.fence()


def test_default_relays_single_requests(wire: Wire) -> None:
    """MESSAGE goes to its user; so does OPTIONS; who wants more writes another service."""
    alice, bob = wire.peers("alice", "bob")
    talk = alice.open("MESSAGE", bob.name, Body={"text": "hi"}, Event="x")
    there = bob.answering("MESSAGE", Body={"text": "hi"}, Event="x", From=alice.name, To=bob.name)
    assert there.id != talk.id
    there.reply(202, Body="seen", **{"X-Who": "bob"})
    talk.expect(202, Body="seen", CSeq=1, X_Who="bob")
    talk = alice.open("MESSAGE", bob.name)
    bob.answering("MESSAGE").reply(603, Reason="no")
    talk.expect(603, Reason="no")
    alice.open("SUBSCRIBE", bob.name).expect(405, Allow="INVITE, MESSAGE, OPTIONS, REGISTER")
    alice.open("REGISTER", alice.name, Expire=60).expect(200, Expire=60)
    alice.open("REGISTER", bob.name).expect(403, Reason=f"you are {alice.name}")
    talk = alice.open("OPTIONS", bob.name)
    bob.answering("OPTIONS").reply(486)
    talk.expect(486)
    bob.fence()


def test_echo(wire: Wire) -> None:
    """180, 200 with the offer, until BYE; a MESSAGE comes back."""
    alice = wire.peer("alice")
    call = alice.open("INVITE", "echo", Router="gortc.test;type=echo", Body="offer", **{"Content-Type": "sdp"})
    call.expect(180)
    call.expect(200, Body="offer", Content_Type="sdp")
    call.ack()
    call.send("BYE")
    call.expect(200)
    alice.open("MESSAGE", "echo", Router="gortc.test;type=echo", Body=[1, None]).expect(200, Body=[1, None])


def test_conference(wire: Wire) -> None:
    """Members meet by relid, hear who comes and goes, and talk to all or to one."""
    alice, bob, carol = wire.peers("alice", "bob", "carol")
    router = f"gortc.test;type=conference;relid={alice.name}"
    legs: list[Talk] = []
    for peer in (alice, bob, carol):
        leg = peer.open("INVITE", "room", Router=router)
        leg.expect(200)
        leg.ack()
        members = [*(one.peer.name for one in legs), peer.name]
        leg.reply(200, leg.expect("INFO", Body={"event": "roster", "members": members}))
        for other in legs:
            other.reply(200, other.expect("INFO", Body={"event": "joined", "member": peer.name}))
        legs.append(leg)
    a, b, c = legs
    said = a.send("MESSAGE", Body="hello all")
    a.expect(200, CSeq=said["CSeq"])
    for leg in (b, c):
        leg.reply(200, leg.expect("MESSAGE", Body="hello all", Member=alice.name))
    said = b.send("INFO", Body="hello carol", Member=carol.name)
    b.expect(200, CSeq=said["CSeq"])
    c.reply(200, c.expect("INFO", Body="hello carol", Member=bob.name))
    said = c.send("INFO", Member="stranger")
    c.expect(404, CSeq=said["CSeq"], Reason="no such member")
    again = c.send("INVITE")
    c.expect(488, CSeq=again["CSeq"])
    c.ack()
    b.send("BYE")
    b.expect(200)
    for leg in (a, c):
        leg.reply(200, leg.expect("INFO", Body={"event": "left", "member": bob.name}))
    a.send("BYE")
    a.expect(200)
    c.reply(200, c.expect("INFO", Body={"event": "left", "member": alice.name}))
    c.send("BYE")
    c.expect(200)
    leg = alice.open("INVITE", "room", Router=router)
    leg.expect(200)
    leg.ack()
    leg.expect("INFO", Body={"event": "roster", "members": [alice.name]})
    leg.send("BYE")
    leg.expect(200)
    bob.fence()


def test_conference_needs_a_relid(wire: Wire) -> None:
    """400."""
    alice = wire.peer("alice")
    leg = alice.open("INVITE", "room", Router="gortc.test;type=conference")
    leg.expect(400)
    leg.ack()
    alice.open("OPTIONS", "room", Router="gortc.test;type=conference;relid=x").expect(200)
