"""conference: sessions with the same relid meet in one instance."""

from __future__ import annotations

from typing import Any

from gortc.jsip.message import Headers
from gortc.testing import Lab, Talk, User
from slp_plugins.conference import Conference

ROOM = "gortc.local;type=conference;relid=room1"


def hall(*names: str) -> tuple[Lab, list[User]]:
    """A lab with some users."""
    lab = Lab(Conference())
    return lab, lab.users(*names)


def told(talk: Talk, **event: Any) -> Headers:
    """The member is told of `event`, and says 200."""
    info = talk.expect("INFO", Body=event)
    talk.reply(200, to=info)
    return info


def enter(user: User, *members: str, others: tuple[Talk, ...] = (), router: str = ROOM) -> Talk:
    """The user joins; the roster then is `members`, and the `others` are told."""
    talk = user.call("room1", Router=router)
    talk.expect(200)
    talk.expect_nothing()  # the roster comes after the ACK
    talk.ack()
    told(talk, event="roster", members=[f"{name}@gortc.local" for name in members])
    for other in others:
        told(other, event="joined", member=user.name)
    return talk


def leave(talk: Talk, *others: Talk) -> None:
    """The member hangs up, and the others are told."""
    talk.bye()
    talk.expect(200)
    for other in others:
        told(other, event="left", member=talk.user.name)


def test_coming_and_going() -> None:
    lab, (alice, bob, carol) = hall("alice", "bob", "carol")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    third = enter(carol, "alice", "bob", "carol", others=(first, second))
    leave(first, second, third)
    leave(third, second)
    leave(second)
    lab.check_empty()


def test_what_one_says_the_others_hear() -> None:
    lab, (alice, bob, carol) = hall("alice", "bob", "carol")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    third = enter(carol, "alice", "bob", "carol", others=(first, second))
    for method in ("INFO", "MESSAGE"):
        first.send(method, "hello", X_Mood="happy")
        for other in (second, third):
            other.reply(200, to=other.expect(method, Body="hello", X_Mood="happy", Member="alice@gortc.local"))
        first.expect(200)
        first.expect_nothing()
    leave(first, second, third)
    leave(second, third)
    leave(third)
    lab.check_empty()


def test_what_one_says_to_a_member_only_it_hears() -> None:
    lab, (alice, bob, carol) = hall("alice", "bob", "carol")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    third = enter(carol, "alice", "bob", "carol", others=(first, second))
    first.send("INFO", "psst", Member="bob@gortc.local")
    second.reply(200, to=second.expect("INFO", Body="psst", Member="alice@gortc.local"))
    first.expect(200)
    third.expect_nothing()
    leave(first, second, third)
    leave(second, third)
    leave(third)
    lab.check_empty()


def test_unknown_member() -> None:
    lab, (alice,) = hall("alice")
    first = enter(alice, "alice")
    first.send("INFO", "psst", Member="bob@gortc.local")
    first.expect(404)
    first.send("MESSAGE", "to nobody")
    first.expect(200)
    leave(first)
    lab.check_empty()


def test_no_relid() -> None:
    lab, (alice,) = hall("alice")
    for headers in ({}, {"Router": "gortc.local;type=conference"}):
        call = alice.call("room1", **headers)
        call.expect(400)
        call.ack()
    lab.check_empty()


def test_same_name_twice() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = alice.call("room1", Router=ROOM)
    second.expect(200)
    second.ack()
    told(second, event="roster", members=["alice@gortc.local", "alice@gortc.local"])
    told(first, event="joined", member="alice@gortc.local")
    third = enter(bob, "alice", "alice", "bob", others=(first, second))
    third.send("INFO", "psst", Member="alice@gortc.local")  # both of that name
    for other in (first, second):
        other.reply(200, to=other.expect("INFO", Body="psst", Member="bob@gortc.local"))
    third.expect(200)
    leave(first, second, third)  # one of them goes, the other stays
    leave(second, third)
    leave(third)
    lab.check_empty()


def test_rooms_are_apart() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "bob", router="gortc.local;type=conference;relid=room2")
    second.send("INFO", "hello")
    second.expect(200)
    first.expect_nothing()
    leave(first)
    second.expect_nothing()
    leave(second)
    lab.check_empty()


def test_room_ends_with_its_last_member() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    leave(enter(alice, "alice"))
    lab.check_empty()
    second = enter(bob, "bob")  # a new one, in which alice is not
    leave(second)
    lab.check_empty()


def test_member_that_never_acknowledges() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = bob.call("room1", Router=ROOM)
    second.expect(200)
    second.send("INFO", "hello")  # no member yet
    second.expect(405)
    first.expect_nothing()
    lab.advance(32)
    second.reply(200, to=second.expect("BYE"))
    first.expect_nothing()
    leave(first)
    lab.check_empty()


def test_member_that_does_not_answer() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = bob.call("room1", Router=ROOM)
    second.expect(200)
    second.ack()
    second.expect("INFO")
    first.expect("INFO")
    lab.advance(5)  # both are silent about it; that is their business
    first.expect_nothing()
    second.expect_nothing()
    first.bye()
    first.expect(200)
    second.expect("INFO", Body={"event": "left", "member": "alice@gortc.local"})
    second.bye()
    second.expect(200)
    lab.check_empty()


def test_member_that_is_lost_leaves_when_its_grace_is_over() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    bob.leave()
    lab.advance(119.9)
    first.expect_nothing()
    lab.advance(0.1)
    told(first, event="left", member="bob@gortc.local")
    assert second.user.closed
    leave(first)
    lab.advance(5)
    lab.check_empty()


def test_other_requests() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    first.send("INVITE", "new offer")
    first.expect(488)
    first.ack()
    for method in ("UPDATE", "OPTIONS", "SUBSCRIBE"):
        first.send(method, "x")
        first.expect(405)
    alice.open("MESSAGE", "room1", "hello", Router=ROOM).expect(405)  # only members talk
    second.expect_nothing()
    leave(first, second)
    leave(second)
    lab.check_empty()
