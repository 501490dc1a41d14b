"""What is sent while the peer is away: section 1 of docs/jsip.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gortc.jsip.times import Times
from gortc.testing import Lab, Talk, User
from gortc.transport.channels import BEGINS
from slp_plugins.default import default
from tests.jsip.kit import Stage, reconnect
from tests.jsip.test_gate import guest

RECEIVED = ("alice INVITE", "service 200", "alice ACK")


def away(**settings: object) -> Stage:
    """Alice has called, and lost her connection."""
    stage = Stage(**settings)
    stage.play(*RECEIVED)
    stage.person("alice").leave()
    stage.forget()
    return stage


@pytest.mark.proves("C-35")
@pytest.mark.parametrize("limit", [{"waiting_max": 2}, {"unsent_max": 532}])
def test_what_does_not_fit_comes_back(limit: dict[str, int]) -> None:
    with away(**limit) as stage:
        stage.play("service INFO", "service INFO", "service INFO")
        stage.said("service 480 INFO (local)")
        stage.counted("no room to wait")
        reconnect(stage, "alice")
        stage.said("alice < INFO", "alice < INFO", "service PEER_RESUMED")
        stage.play("alice 200", "alice BYE")
        stage.forget()


@pytest.mark.proves("C-35")
def test_a_response_that_does_not_fit_is_counted() -> None:
    with Stage(waiting_max=1) as stage:
        stage.play(*RECEIVED, "alice INFO", "alice MESSAGE")
        stage.person("alice").leave()
        stage.forget()
        stage.play("service 200 INFO", "service 200 MESSAGE")
        stage.said()
        stage.counted("no room to wait", "undeliverable")
        reconnect(stage, "alice")
        stage.said("alice < 200 INFO", "service PEER_RESUMED")
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("C-36")
def test_a_re_invite_that_is_taken_back_before_the_peer_is_back() -> None:
    """The peer hears of neither; what waits besides goes out."""
    with away() as stage:
        stage.play("service INFO", "service INVITE offer", "service CANCEL")
        stage.said("service 487 INVITE (local)")
        reconnect(stage, "alice")
        stage.said("alice < INFO", "service PEER_RESUMED")
        stage.play("alice 200 INFO", "service INVITE offer", "alice 200 INVITE", "service ACK", "alice BYE")
        stage.forget()


@pytest.mark.proves("C-36")
def test_one_that_has_gone_out_is_taken_back_when_the_peer_is_back() -> None:
    with Stage() as stage:
        stage.play(*RECEIVED, "service INVITE offer")
        stage.person("alice").leave()
        stage.forget()
        stage.play("service CANCEL")
        stage.said()
        reconnect(stage, "alice")
        stage.said("alice < CANCEL", "service PEER_RESUMED")
        stage.play("alice 200 CANCEL", "alice BYE")
        stage.forget()


@pytest.mark.proves("C-37")
def test_a_peer_that_comes_and_goes_is_told_of_each_time() -> None:
    """Its dialogues wait in order, however often."""
    with away() as stage:
        for _ in range(3):
            stage.play("wait 119", "service INFO")
            reconnect(stage, "alice")
            stage.said("alice < INFO", "service PEER_RESUMED")
            stage.play("alice 200")
            stage.person("alice").leave()
            stage.said("alice > 200 INFO", "service 200 INFO", "service PEER_LOST")
        reconnect(stage, "alice")
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.proves("C-35")
def test_an_answer_of_the_stack_itself_that_does_not_fit() -> None:
    """As when a peer has closed its connection, but some requests of its have arrived before that."""
    with Stage(waiting_max=1) as stage:
        stage.play(*RECEIVED)
        user = stage.person("alice")
        wire = user.channel.connection
        assert wire is not None
        wire.send = lambda data: False  # type: ignore[method-assign]
        stage.play("alice INFO Expire=x", "alice INFO Expire=x")
        stage.counted("bad request", "bad request", "no room to wait", "undeliverable")
        user.leave()
        stage.forget()
        reconnect(stage, "alice")
        stage.said("alice < 400 INFO", "service PEER_RESUMED")
        stage.play("alice BYE")
        stage.forget()


def test_what_has_waited_is_traced_when_it_goes_out() -> None:
    with away() as stage:
        traced: list[str] = []
        stage.node.syntax.trace = lambda way, name, headers: traced.append(f"{way} {name} {headers['Type']}")
        stage.play("service INFO")
        assert traced == []
        reconnect(stage, "alice")
        assert traced == ["> alice@gortc.local INFO"]
        stage.play("alice 200", "alice BYE")
        stage.forget()


@pytest.mark.proves("C-39")
def test_a_caller_who_never_comes_back_has_cancelled() -> None:
    with Stage() as stage:
        stage.play("alice INVITE", "service 180")
        stage.person("alice").leave()
        stage.play("wait 50", "service 180", "wait 50", "service 180", "wait 19")
        stage.forget()
        stage.play("wait 1")
        stage.said("service CANCEL (local)", "service TERM")
        stage.counted("peer gone", "undeliverable")  # 487


def test_a_call_that_no_service_has_taken_waits_for_its_ack() -> None:
    """It has no owner who could be told."""
    with Stage() as stage:
        stage.talks["alice"] = stage.person("alice").call("nobody@elsewhere.example", Router="imas;type=none")
        stage.person("alice").leave()
        stage.forget()
        reconnect(stage, "alice")
        stage.talks["alice"].send("ACK", RelatedID=1)
        stage.said("alice > ACK")


def test_who_can_not_be_reached_is_not_away() -> None:
    with Stage() as stage:
        stage.dial("bob@elsewhere.example")
        assert not stage.session.channel.away
        stage.forget()


@pytest.mark.proves("C-38", "S-33")
def test_a_grace_that_is_shorter_than_an_answer_takes() -> None:
    """Its dialogues end once, those of one transaction as well, and nothing is left of them."""
    with Stage(times=Times(grace=2.0)) as stage:
        stage.play("alice MESSAGE", "alice INVITE")
        stage.person("alice").leave()
        stage.forget()
        stage.advance(2.0)
        assert stage.node.sessions.count == 0
        assert not stage.node.channels.by_name
        stage.counted("peer gone", "undeliverable")
        stage.forget()


# what is sent for one user, and what for others


def talking(**settings: Any) -> tuple[Lab, User, dict[str, Talk], dict[str, Talk]]:
    """Alice and Mallory each talk with Bob."""
    lab = Lab(default, **settings)
    users = dict(zip(("alice", "bob", "mallory"), lab.users("alice", "bob", "mallory"), strict=True))
    for user in users.values():
        guest(user)
    up, down = {}, {}
    for name in ("alice", "mallory"):
        up[name] = users[name].call("bob", "an offer")
        down[name] = users["bob"].answering()
        down[name].reply(200, "an answer")
        up[name].expect(200)
        up[name].ack()
        down[name].expect("ACK")
    return lab, users["bob"], up, down


def goes_away(bob: User) -> None:
    bob.leave()


def reads_nothing(bob: User) -> None:
    bob.channel.stall(True)
    bob.lab.advance(BEGINS)


def comes_back(bob: User) -> User:
    return bob.lab.user("bob")


def reads(bob: User) -> User:
    bob.channel.stall(False)
    return bob


AWAY = [(goes_away, comes_back), (reads_nothing, reads)]


@pytest.mark.proves("C-35", "C-95")
@pytest.mark.parametrize(("begin", "end"), AWAY)
@pytest.mark.parametrize("size", [1, 3000])
def test_one_user_leaves_room_for_others(begin: Callable[[User], None], end: Callable[[User], User], size: int) -> None:
    """Who sends much to somebody who is away, or reads too slowly, hears that; nobody else does."""
    lab, bob, up, down = talking(unsent_max=20_000, waiting_max=20)
    begin(bob)
    lab.advance(0)
    came_back = 0
    for _ in range(20):
        up["mallory"].send("INFO", "x" * size)
        lab.advance(0)
        came_back += sum(message["Code"] == 503 for message in up["mallory"].user.inbox)
        up["mallory"].user.inbox.clear()
    assert came_back == (15 if size == 1 else 19)
    assert bob.channel.connection is not None or begin is goes_away
    up["alice"].send("INFO", "are you there?")
    up["alice"].send("BYE")
    up["alice"].expect(200)
    lab.advance(0)
    bob = end(bob)
    lab.advance(0)
    kinds = [message["Type"] for message in bob.inbox if message["DialogueID"] == down["alice"].id]
    assert kinds == ["INFO", "BYE"]
    assert bob.channel.waiting is None


@pytest.mark.proves("C-20")
def test_what_may_not_be_lost_ends_the_connection() -> None:
    """Bob asks and does not read: where there is no room for an answer he is dropped, so that he knows."""
    lab = Lab(default, unsent_max=3000, waiting_max=4)
    alice, bob = lab.users("alice", "bob")
    call = bob.call("alice", "an offer")
    talk = alice.answering()
    talk.reply(200)
    call.expect(200)
    call.ack()
    talk.expect("ACK")
    for _ in range(5):
        call.send("INFO")
    bob.channel.stall(True)
    lab.advance(BEGINS)
    infos = [talk.expect("INFO") for _ in range(5)]
    dropped: list[int] = []
    bob.channel.connection.drop_slow = lambda: dropped.append(len(bob.channel.waiting or ()))  # type: ignore[method-assign, union-attr]
    for info in infos:
        talk.reply(200, to=info)
    assert dropped == [4]
    lab.node.journal.counts.clear()
