"""conference: sessions with the same relid meet in one instance."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import orjson
import pytest
from twisted.python.failure import Failure

from gortc.admission.limits import Limits
from gortc.jsip.gate import Guest
from gortc.jsip.message import CSEQ_MAX, Headers, Request
from gortc.testing import Lab, Talk, User
from slp_plugins.conference import Conference
from slp_plugins.default import default

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


@pytest.mark.parametrize(
    "spelling", ["alice@gortc.local", "alice@GoRTC.Local", "sip:alice@gortc.local", "%61lice@gortc.local"]
)
def test_a_user_who_joins_twice(spelling: str) -> None:
    """Each session is a member, the name is there once: who is named hears it in all, who speaks in the others."""
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    third = alice.call("room1", Router=ROOM, From=spelling)
    third.expect(200)
    third.ack()
    told(third, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
    for talk in (first, second):
        talk.expect_nothing()
    second.send("INFO", "psst", Member="SIP:alice@gortc.LOCAL")
    for other in (first, third):
        other.reply(200, to=other.expect("INFO", Body="psst", Member="bob@gortc.local"))
    second.expect(200)
    third.send("MESSAGE", "hi")
    for other in (first, second):
        other.reply(200, to=other.expect("MESSAGE", Body="hi", Member="alice@gortc.local"))
    third.expect(200)
    first.send("INFO", "to myself", Member=spelling)
    third.reply(200, to=third.expect("INFO", Body="to myself"))
    first.expect(200)
    leave(first)  # one of them goes, the other stays
    second.expect_nothing()
    leave(third, second)
    leave(second)
    lab.check_empty()


def test_names_that_are_no_uris() -> None:
    """They are what they are."""
    lab, (alice, bob) = hall("alice", "bob")
    first = alice.call("room1", Router=ROOM, From="a b <c>, d")
    first.expect(200)
    first.ack()
    told(first, event="roster", members=["a b <c>, d"])
    second = bob.call("room1", Router=ROOM, From="A b <c>, d")
    second.expect(200)
    second.ack()
    told(second, event="roster", members=["a b <c>, d", "A b <c>, d"])
    told(first, event="joined", member="A b <c>, d")
    second.send("INFO", "psst", Member="a b <c>, d")
    first.reply(200, to=first.expect("INFO", Member="A b <c>, d"))
    second.expect(200)
    nobodies: list[Any] = ["a", "", 5, ["a b <c>, d"], {}]
    for nobody in nobodies:
        second.send("INFO", "psst", Member=nobody)
        second.expect(404)
    second.bye()
    second.expect(200)
    told(first, event="left", member="A b <c>, d")
    leave(first)
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


def test_member_that_is_lost_and_leaves_when_its_grace_is_over() -> None:
    lab, (alice, bob, carol) = hall("alice", "bob", "carol")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    bob.leave()
    told(first, event="lost", member="bob@gortc.local")
    third = carol.call("room1", Router=ROOM)
    third.expect(200)
    third.ack()
    told(
        third,
        event="roster", members=["alice@gortc.local", "bob@gortc.local", "carol@gortc.local"], away=["bob@gortc.local"],
    )  # fmt: skip
    told(first, event="joined", member="carol@gortc.local")
    leave(third, first)
    lab.advance(119.9)
    first.expect_nothing()
    lab.advance(0.1)
    told(first, event="left", member="bob@gortc.local")
    assert second.user.closed
    leave(first)
    lab.advance(5)
    lab.check_empty()


def test_member_that_is_lost_and_comes_back() -> None:
    """What was said meanwhile has waited for it; its own state is no business of its own."""
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    bob.leave()
    told(first, event="lost", member="bob@gortc.local")
    for word in ("one", "two"):
        first.send("MESSAGE", word)
        first.expect(200)
    lab.advance(60)
    bob = lab.user("bob")
    back = again(second, bob)
    for word in ("one", "two"):
        back.reply(200, to=back.expect("MESSAGE", Body=word))
    told(first, event="resumed", member="bob@gortc.local")
    back.expect_nothing()
    back.send("INFO", "I am back")
    first.reply(200, to=first.expect("INFO", Body="I am back"))
    back.expect(200)
    leave(back, first)
    leave(first)
    lab.check_empty()


def test_a_user_is_lost_with_the_last_of_its_sessions() -> None:
    """One through another channel keeps it here."""
    lab, (alice, bob, proxy) = hall("alice", "bob", "proxy")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    other = proxy.call("room1", Router=ROOM, From="bob@gortc.local")
    other.expect(200)
    other.ack()
    told(other, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
    bob.leave()
    first.expect_nothing()
    leave(other)  # what is left of bob is away
    told(first, event="lost", member="bob@gortc.local")
    other = proxy.call("room1", Router=ROOM, From="bob@gortc.local")
    other.expect(200)
    other.ack()
    told(other, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
    told(first, event="resumed", member="bob@gortc.local")
    lab.advance(120)
    first.expect_nothing()
    assert second.user.closed
    leave(other)
    told(first, event="left", member="bob@gortc.local")
    leave(first)
    lab.advance(5)
    lab.check_empty()


def test_a_joiner_that_is_lost_before_its_ack() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = bob.call("room1", Router=ROOM)
    second.expect(200)
    bob.leave()
    bob = lab.user("bob")
    back = again(second, bob)
    back.invite_cseq = 1
    back.ack()
    told(back, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
    told(first, event="joined", member="bob@gortc.local")
    leave(back, first)
    leave(first)
    lab.check_empty()


@pytest.mark.parametrize("acked", [False, True])
@pytest.mark.parametrize("cancelled", [False, True])
def test_a_re_invite(acked: bool, cancelled: bool) -> None:
    """Whenever it comes, nobody is there to take its offer; its CANCEL, and its ACK, are its own."""
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = bob.call("room1", Router=ROOM)
    second.expect(200)
    if acked:
        second.ack()
        told(second, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
        told(first, event="joined", member="bob@gortc.local")
    again = second.send("INVITE", "another offer")
    second.expect(488)
    if cancelled:
        second.send("CANCEL", RelatedID=again["CSeq"])
        second.expect(200)
    second.send("ACK", RelatedID=again["CSeq"])
    second.expect_nothing()
    first.expect_nothing()
    if not acked:
        second.send("ACK", RelatedID=1)
        told(second, event="roster", members=["alice@gortc.local", "bob@gortc.local"])
        told(first, event="joined", member="bob@gortc.local")
    second.send("INFO", "hello")
    first.reply(200, to=first.expect("INFO", Body="hello"))
    second.expect(200)
    leave(second, first)
    leave(first)
    lab.check_empty()
    assert not lab.node.journal.counts


# What it costs.


def crowd(lab: Lab, number: int, prefix: str = "user") -> list[Talk]:
    """So many members, who have answered all that they were told."""
    talks: list[Talk] = []
    for each in range(number):
        talk = lab.user(f"{prefix}{each}").call("room1", Router=ROOM)
        talk.expect(200)
        talk.ack()
        talks.append(talk)
        answer_all(talks)
    return talks


def answer_all(talks: list[Talk]) -> list[Headers]:
    """Each answers what it was asked; returns that."""
    asked = []
    for talk in talks:
        for message in list(talk.user.inbox):
            if message["Type"] in ("INFO", "MESSAGE"):
                talk.user.inbox.remove(message)
                talk.reply(200, to=message)
                asked.append(message)
    return asked


def response(talk: Talk) -> Headers:
    """The first response that has come, whatever came before it."""
    found = next(message for message in talk.user.inbox if message["Type"] == "RESPONSE")
    talk.user.inbox.remove(found)
    return found


def kept(lab: Lab) -> list[Request]:
    """The requests that await an answer."""
    sessions = lab.node.channels.sessions()
    return [one.request for session in sessions for key, one in session.transactions.items() if key > 0]


def test_a_word_to_many_is_kept_once() -> None:
    """94 copies share one Body, and what was written is not kept beside it."""
    lab = Lab(Conference(), trace_bytes=0)
    talks = crowd(lab, 95)
    talks[0].send("MESSAGE", "x" * 60_000)
    talks[0].expect(200)
    waiting = kept(lab)
    assert len(waiting) == 94
    assert len({id(request.body) for request in waiting}) == 1
    assert not any(request.data for request in waiting)
    assert len(answer_all(talks)) == 94
    assert kept(lab) == []
    for talk in talks:
        talk.user.leave()
    lab.advance(200)
    lab.check_empty()


def test_a_word_is_dropped_from_memory_once_it_is_answered() -> None:
    """What 94 unanswered copies of 60 kB cost is far less than their text; users who only hear keep nothing."""
    lab = Lab(Conference(), trace_bytes=0)
    talks = crowd(lab, 95)
    for talk in talks[1:]:
        wire = talk.user.channel.connection
        wire.send = lambda data: True  # type: ignore[union-attr,method-assign]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    talks[0].send("MESSAGE", "x" * 60_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 94 * 60_000 / 4
    assert len(kept(lab)) == 94
    lab.advance(5)
    assert kept(lab) == []
    for talk in talks:
        talk.user.leave()
    lab.advance(200)


def test_the_words_of_a_room_are_bound() -> None:
    """The one too many gets 503; when others are answered, or their time is up, there is room again."""
    lab = Lab(Conference(), config={"conference": {"room_bytes": 15_000}})
    talks = crowd(lab, 3)
    talks[0].send("MESSAGE", "x" * 4000)
    talks[0].expect(200)
    talks[1].send("INFO", "y" * 4000, Member="user2@gortc.local")
    refused = response(talks[1])
    assert (refused["Code"], refused["Reason"], refused["Retry-After"]) == (503, "too much waits to be answered", 5)
    talks[1].send("INFO", "short", Member="user2@gortc.local")
    assert response(talks[1])["Code"] == 200
    assert len(answer_all(talks)) == 3
    for _ in range(2):
        talks[1].send("INFO", "y" * 4000)
        assert response(talks[1])["Code"] == 200
        lab.advance(5)  # nobody answers
    for talk in talks:
        talk.user.inbox.clear()
    leave(talks[0], talks[1], talks[2])
    leave(talks[1], talks[2])
    leave(talks[2])
    lab.check_empty()


def test_a_member_that_goes_leaves_room() -> None:
    """Its unanswered words go with it."""
    lab = Lab(Conference(), config={"conference": {"room_bytes": 7000}})
    talks = crowd(lab, 3)
    talks[0].send("MESSAGE", "x" * 4000, Member="user1@gortc.local")
    talks[0].expect(200)
    talks[0].send("MESSAGE", "x" * 4000, Member="user2@gortc.local")
    talks[0].expect(503)
    talks[1].user.inbox.clear()
    leave(talks[1], talks[0], talks[2])
    talks[0].send("MESSAGE", "x" * 4000, Member="user2@gortc.local")
    talks[0].expect(200)
    answer_all(talks)
    leave(talks[0], talks[2])
    leave(talks[2])
    lab.check_empty()


def test_a_member_that_does_not_answer_misses_what_is_too_much() -> None:
    """The sender is told; what it has missed of who came and went, a roster makes good once it answers."""
    lab = Lab(Conference(), config={"conference": {"unanswered_max": 2}})
    talks = crowd(lab, 3)
    for word in ("one", "two"):
        talks[0].send("MESSAGE", word, Member="user1@gortc.local")
        talks[0].expect(200, Missed=None)
    talks[0].send("MESSAGE", "three")
    assert talks[0].expect(200)["Missed"] == 1
    assert answer_all(talks[2:])[0]["Body"] == "three"
    talks[0].send("MESSAGE", "four", Member="user1@gortc.local")
    assert talks[0].expect(480, Reason="too much waits to be answered")["Missed"] == 1
    leave(talks[2], talks[0])
    second = talks[1]
    words = [second.expect("MESSAGE", Body=word) for word in ("one", "two")]
    second.expect_nothing()
    second.reply(200, to=words[0])
    second.expect_nothing()
    second.reply(200, to=words[1])
    told(second, event="roster", members=["user0@gortc.local", "user1@gortc.local"])
    second.expect_nothing()
    leave(second, talks[0])
    leave(talks[0])
    lab.check_empty()


def test_what_a_user_leaves_unanswered_is_counted_in_all_its_sessions() -> None:
    """However often it has joined: whoever speaks pays for what waits."""
    lab = Lab(Conference(), config={"conference": {"unanswered_max": 4}})
    talks = crowd(lab, 2)
    for at in range(2):
        again = talks[1].user.call(f"room{at}", Router=ROOM)
        again.expect(200)
        again.ack()
        told(again, event="roster", members=["user0@gortc.local", "user1@gortc.local"])
        talks.append(again)
    talks[0].send("MESSAGE", "one")
    talks[0].expect(200, Missed=None)
    talks[0].send("MESSAGE", "two")
    assert talks[0].expect(200)["Missed"] == 2
    talks[0].send("MESSAGE", "three")
    assert talks[0].expect(480, Reason="too much waits to be answered")["Missed"] == 3
    assert [message["Body"] for message in answer_all(talks[1:])] == ["one", "one", "one", "two"]
    talks[0].send("MESSAGE", "four")
    talks[0].expect(200, Missed=None)
    answer_all(talks[1:])
    for talk in talks[:0:-1]:
        talk.bye()
        talk.expect(200)
    told(talks[0], event="left", member="user1@gortc.local")
    leave(talks[0])
    lab.check_empty()


def test_copies_for_which_the_sender_has_no_memory_are_missed() -> None:
    """It is told how many, as of others; who has missed an event for want of another's gets the roster."""
    lab = Lab(Conference(), limits=Limits(memory=120_000, memory_connection=1, memory_user=30_000, methods={}))
    talks = crowd(lab, 30)
    for talk in talks:
        talk.user.channel.meet(Guest(talk.user.name, "192.0.2.1", asserted=talk.user.name, limited=True, told=False))
    talks[0].send("MESSAGE", "one")
    missed = talks[0].expect(200)["Missed"]
    heard = answer_all(talks[1:])
    assert 0 < missed == 29 - len(heard) < 29
    talks[0].send("MESSAGE", "two", Member="user1@gortc.local")
    talks[0].expect(200, Missed=None)
    answer_all(talks)
    joiner = lab.user("late")
    joiner.channel.meet(Guest(joiner.name, "192.0.2.2", asserted=joiner.name, limited=True, told=False))
    talk = joiner.call("room1", Router=ROOM)
    talk.expect(200)
    talk.ack()
    lab.advance()
    joined = [message["Body"] for message in answer_all([*talks, talk])].count(
        {"event": "joined", "member": talk.user.name}
    )
    assert 0 < joined < 30
    talks[0].send("MESSAGE", "three")  # whoever has answered that has room for more
    answer_all(talks)
    made_good = [message["Body"]["event"] for message in answer_all(talks)]
    assert made_good.count("roster") > 0


def test_a_user_who_answers_nothing_fills_its_own_share_only() -> None:
    """Whatever it says its name is, and however often it joins."""
    lab = Lab(Conference(), config={"conference": {"user_bytes": 15_000, "room_bytes": 45_000}})
    alice, bob, silent = lab.users("alice", "bob", "silent")
    sender = enter(alice, "alice")
    hears = enter(bob, "alice", "bob", others=(sender,))
    for name in ("one", "two", "three"):
        call = silent.call("room1", Router=ROOM, From=f"{name}@gortc.local")
        call.expect(200)
        call.ack()
        for talk in (sender, hears):
            told(talk, event="joined", member=f"{name}@gortc.local")
    for number in range(20):
        sender.send("MESSAGE", "x" * 4000)
        assert sender.expect(200).get("Missed", 0) == (0 if number == 0 else 3)
        hears.reply(200, to=hears.expect("MESSAGE"))
    silent.leave()
    for talk in (sender, hears):
        for name in ("one", "two", "three"):
            told(talk, event="lost", member=f"{name}@gortc.local")
    leave(sender, hears)
    leave(hears)
    lab.advance(200)
    lab.check_empty()


@pytest.mark.parametrize(("more", "code"), [(0, 200), (1, 413)])
def test_the_largest_word(more: int, code: int) -> None:
    """What is too large for a member with the sender's name in it is refused, and nobody gets it."""
    lab = Lab(Conference())
    talks = crowd(lab, 3)
    talks[0].send("MESSAGE", "", Member="user1@gortc.local")
    talks[0].expect(200)
    got = talks[1].expect("MESSAGE")
    talks[1].reply(200, to=got)
    body = "x" * (lab.settings.frame_max - len(orjson.dumps({**got, "CSeq": CSEQ_MAX})) + more)
    talks[0].send("MESSAGE", body)
    assert response(talks[0])["Code"] == code
    for talk in talks[1:]:
        if code == 200:
            talk.reply(200, to=talk.expect("MESSAGE", Body=body))
        talk.expect_nothing()
    leave(talks[0], talks[1], talks[2])
    leave(talks[1], talks[2])
    leave(talks[2])
    lab.check_empty()


def test_one_whom_a_word_does_not_reach_is_no_harm_to_the_others() -> None:
    """Its own names may be so long that they leave no room."""
    lab = Lab(Conference())
    alice, bob, carol = lab.users("alice", "bob", "carol")
    sender = enter(alice, "alice")
    hears = enter(bob, "alice", "bob", others=(sender,))
    long = carol.call("room1", Router=ROOM, To="\x01" * 1024)
    long.expect(200)
    long.ack()
    told(long, event="roster", members=[f"{name}@gortc.local" for name in ("alice", "bob", "carol")])
    for talk in (sender, hears):
        told(talk, event="joined", member="carol@gortc.local")
    sender.send("MESSAGE", "x" * 60_000)
    sender.expect(200, Missed=1)
    hears.reply(200, to=hears.expect("MESSAGE"))
    sender.send("MESSAGE", "x" * 60_000, Member="carol@gortc.local")
    sender.expect(413)
    long.expect_nothing()
    for talk in (sender, hears, long):
        talk.user.leave()
    lab.advance(200)
    lab.check_empty()


def test_who_shares_a_share_hears_what_it_has_missed_when_that_is_settled() -> None:
    """One session answers nothing, and the user's other one misses an event; then the first one answers."""
    lab = Lab(Conference(), config={"conference": {"user_bytes": 300}})
    alice, bob, dave = lab.users("alice", "bob", "dave")
    sender = enter(bob, "bob")
    slow = enter(alice, "bob", "alice", others=(sender,))
    quick = enter(alice, "bob", "alice")
    sender.send("MESSAGE", "x" * 400)
    sender.expect(200)
    quick.reply(200, to=quick.expect("MESSAGE"))
    last = enter(dave, "bob", "alice", "dave", others=(sender,))
    quick.expect_nothing()
    slow.reply(200, to=slow.expect("MESSAGE"))
    for talk in (slow, quick):
        told(talk, event="roster", members=[f"{name}@gortc.local" for name in ("bob", "alice", "dave")])
    for talk in (last, quick, slow, sender):
        talk.user.leave()
        lab.advance(200)
    lab.check_empty()


def test_who_shares_a_share_hears_it_when_the_other_one_leaves() -> None:
    """A page that hangs is loaded again, and then goes."""
    lab = Lab(Conference(), config={"conference": {"user_bytes": 300}})
    alice, bob = lab.users("alice", "bob")
    sender = enter(bob, "bob")
    hangs = enter(alice, "bob", "alice", others=(sender,))
    sender.send("MESSAGE", "x" * 400)
    sender.expect(200)
    again = alice.call("room1", Router=ROOM)
    again.expect(200)
    again.ack()
    again.expect_nothing()
    hangs.expect("MESSAGE")
    hangs.bye()
    hangs.expect(200)
    told(again, event="roster", members=["bob@gortc.local", "alice@gortc.local"])
    leave(again, sender)
    leave(sender)
    lab.check_empty()


def test_one_whose_answers_come_too_late_gets_the_roster() -> None:
    lab = Lab(Conference(), config={"conference": {"unanswered_max": 1}})
    talks = crowd(lab, 2)
    talks[0].send("MESSAGE", "a word")
    talks[0].expect(200)
    word = talks[1].expect("MESSAGE")
    carol = lab.user("carol")
    enter(carol, "user0", "user1", "carol", others=(talks[0],))
    talks[1].expect_nothing()
    lab.advance(5)
    talks[1].reply(200, to=word)
    told(talks[1], event="roster", members=[f"{name}@gortc.local" for name in ("user0", "user1", "carol")])
    for talk in talks:
        talk.user.leave()
    carol.leave()
    lab.advance(200)
    lab.check_empty()


def test_a_user_of_another_node_is_no_harm_to_the_others_there() -> None:
    """They have one channel."""
    lab = Lab(Conference(), config={"conference": {"user_bytes": 300}})
    alice, node = lab.user("alice"), User(lab, "b.test")
    sender = enter(alice, "alice")
    talks = []
    for name in ("mallory", "bob"):
        talk = node.call("room1@gortc.local", Router=ROOM, From=f"{name}@b.test")
        talk.expect(200)
        talk.ack()
        told(sender, event="joined", member=f"{name}@b.test")
        talks.append(talk)
    silent, good = talks
    for message in list(node.inbox):
        node.inbox.remove(message)
        (silent if message["DialogueID"] == silent.id else good).reply(200, to=message)
    sender.send("MESSAGE", "x" * 400)
    sender.expect(200)
    good.reply(200, to=good.expect("MESSAGE"))
    sender.send("MESSAGE", "another", Member="bob@b.test")
    sender.expect(200)
    good.reply(200, to=good.expect("MESSAGE", Body="another"))
    for user in (alice, node):
        user.leave()
    lab.advance(200)
    lab.check_empty()


def test_a_user_who_joins_again_and_again_has_one_share() -> None:
    lab = Lab(Conference(), config={"conference": {"user_bytes": 500, "room_bytes": 20_000}})
    alice, mallory = lab.users("alice", "mallory")
    sender = enter(alice, "alice")
    for _ in range(50):
        talk = mallory.call("room1", Router=ROOM)
        talk.expect(200)
        talk.ack()
    told(sender, event="joined", member="mallory@gortc.local")
    assert len(mallory.inbox) < 10
    for user in (alice, mallory):
        user.leave()
    lab.advance(200)
    lab.check_empty()


@pytest.mark.parametrize("frame_max", [3000, 65536])
def test_a_long_roster_comes_in_parts(frame_max: int) -> None:
    lab = Lab(Conference(), frame_max=frame_max)
    names = [f"{'n' * 900}{each}@gortc.local" for each in range(40)]
    gate = lab.user("gate")
    talks = []
    for name in names:
        talk = gate.call("room1", Router=ROOM, From=name)
        talk.expect(200)
        talk.ack()
        talks.append(talk)
        for message in list(gate.inbox):
            gate.inbox.remove(message)
            other = next(other for other in talks if other.id == message["DialogueID"])
            other.reply(200, to=message)
    last = lab.user("last").call("room1", Router=ROOM)
    last.expect(200)
    last.ack()
    parts: list[Headers] = []
    while not parts or parts[-1].get("more"):
        info = last.expect("INFO")
        assert len(orjson.dumps(info)) < frame_max
        parts.append(info["Body"])
        last.reply(200, to=info)
    assert [name for part in parts for name in part["members"]] == [*names, "last@gortc.local"]
    assert [part.get("more") for part in parts] == [True] * (len(parts) - 1) + [None]
    assert len(parts) > 1
    for user in (gate, last.user):
        user.leave()
    lab.advance(200)
    lab.check_empty()


@pytest.mark.parametrize(
    "config", [{"unanswered_max": 0}, {"user_bytes": 0}, {"room_bytes": "much"}, {"room_byte": 1}, {"room_bytes": True}]
)
def test_a_configuration_that_is_none(config: dict[str, Any], tracebacks: list[Failure]) -> None:
    lab = Lab(Conference(), config={"conference": config})
    assert lab.node.services.get("conference") is None
    assert next(iter(config)) in str(tracebacks[-1].value)
    tracebacks.clear()


def test_options_get_what_an_invite_would() -> None:
    lab = Lab(default, Conference(), config={"default": {"numbers": {"600@gortc.local": "conference"}}})
    alice = lab.user("alice")
    relid = "gortc.local;relid=room1"
    talk = alice.call("600", Router=relid)
    talk.expect(200)
    alice.open("OPTIONS", "600", Router=relid).expect(200, Allow="INVITE, ACK, BYE, CANCEL, INFO, MESSAGE, OPTIONS")
    talk.bye()
    talk.expect(200)
    alice.call("600").expect(400)
    alice.open("OPTIONS", "600").expect(400)


def again(talk: Talk, user: User) -> Talk:
    """The same dialogue, over a new connection."""
    made = Talk(user, talk.request, ours=True)
    made.cseq = 10
    return made


def test_other_requests() -> None:
    lab, (alice, bob) = hall("alice", "bob")
    first = enter(alice, "alice")
    second = enter(bob, "alice", "bob", others=(first,))
    first.send("INVITE", "new offer")
    first.expect(488)
    first.ack()
    allow = "INVITE, ACK, BYE, CANCEL, INFO, MESSAGE, OPTIONS"
    for method in ("UPDATE", "SUBSCRIBE", "NOTIFY", "REGISTER"):
        first.send(method, "x")
        first.expect(405, Allow=allow)
    for method in ("SUBSCRIBE", "REGISTER"):
        alice.open(method, "room1", Router=ROOM).expect(405, Allow=allow)
    first.send("OPTIONS")
    first.expect(200, Allow=allow)
    alice.open("MESSAGE", "room1", "hello", Router=ROOM).expect(405)  # only members talk
    second.expect_nothing()
    leave(first, second)
    leave(second)
    lab.check_empty()
