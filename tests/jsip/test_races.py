"""What two parties do at the same time, what strangers try, and services that fail: docs/jsip.md, mostly section 4."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail

from gortc.service.context import Context
from gortc.service.task import Task
from gortc.testing import Lab, Talk
from tests.jsip.kit import Probe, Stage


@pytest.mark.proves("S-11", "S-15")
def test_both_hang_up_at_once(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK")
    stage.forget()
    stage.play("service BYE", "alice BYE", "alice 200 BYE")
    stage.said("alice < BYE", "alice > BYE", "alice < 200 BYE", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-14", "S-15")
def test_both_hang_up_at_once_and_one_answer_is_lost(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK", "service BYE", "alice BYE")
    stage.forget()
    stage.play("wait 5")
    stage.said("service TERM")


@pytest.mark.proves("S-15")
def test_both_parties_of_a_bridge_hang_up_at_once() -> None:
    from slp_plugins.default import default

    lab = Lab(default)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("bob", "offer")
    leg = bob.answering()
    leg.reply(200, "answer")
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    call.bye()
    leg.expect("BYE")
    call.expect(200)
    leg.bye()
    leg.expect(200)
    leg.reply(200, to={**leg.request, "CSeq": 3})
    lab.advance(10)
    lab.check_empty()


@pytest.mark.proves("S-7")
def test_a_cancel_crosses_a_200_on_the_callers_side(stage: Stage) -> None:
    stage.play("service INVITE", "service CANCEL", "bob 200 INVITE", "bob 200 BYE")
    stage.said(
        "bob < INVITE", "bob < CANCEL", "bob > 200 INVITE", "bob < ACK", "bob < BYE", "service 487 INVITE (local)",
        "bob > 200 BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-4")
def test_a_cancel_crosses_a_200_on_the_callees_side(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice CANCEL", "alice ACK", "alice BYE")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > CANCEL", "alice < 200 CANCEL", "alice > ACK",
        "service ACK", "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-10", "S-28")
def test_a_bye_crosses_our_cancel(stage: Stage) -> None:
    stage.play("service INVITE", "service CANCEL", "bob BYE")
    stage.said(
        "bob < INVITE", "bob < CANCEL", "bob > BYE", "bob < 200 BYE", "service BYE", "service 487 INVITE (local)",
        "service TERM",
    )  # fmt: skip


@pytest.mark.proves("T-1")
def test_both_ends_use_the_same_cseq(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK", "service INFO")  # ours has CSeq 1
    stage.forget()
    alice = stage.talks["alice"]
    alice.send("INFO", CSeq=1)
    stage.said("alice > INFO", "service INFO")
    stage.play("alice 404 INFO", "service 200 INFO", "alice BYE")
    stage.said(
        "alice > 404 INFO", "service 404 INFO", "alice < 200 INFO", "alice > BYE", "alice < 200 BYE", "service BYE",
        "service TERM",
    )  # fmt: skip


def two_calls_under_one_dialogue_id(stage: Stage) -> tuple[Talk, Talk]:
    talks = []
    for name in ("alice", "bob"):
        talk = stage.person(name).call("service", DialogueID="the-same")
        stage.play("service 200 INVITE")
        talk.ack()
        talks.append(talk)
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > ACK", "service ACK", "bob > INVITE",
        "service INVITE", "bob < 200 INVITE", "bob > ACK", "service ACK",
    )  # fmt: skip
    return talks[0], talks[1]


@pytest.mark.proves("C-25")
def test_two_users_use_the_same_dialogue_id(stage: Stage) -> None:
    alice, bob = two_calls_under_one_dialogue_id(stage)
    first, second = stage.probe.tasks
    assert first is not second
    bob.send("INFO", "from bob")
    assert stage.received("INFO").session.caller == "bob@gortc.local"
    first.answer(stage.received("INFO"), 200)
    stage.said("bob > INFO", "service INFO", "bob < 200 INFO")
    alice.bye()
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")
    assert stage.node.census()["sessions"] == 1
    bob.bye()
    stage.said("bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("C-26", "S-29", "S-30")
@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "CANCEL", "ACK"])
def test_a_stranger_sends_into_somebody_elses_dialogue(stage: Stage, method: str) -> None:
    stage.play("alice INVITE", "service 180")
    stage.forget()
    mallory = stage.person("mallory")
    mallory.send({**stage.talks["alice"].request, "Type": method, "CSeq": 1, "RelatedID": 1})
    if method == "ACK":
        stage.said("mallory > ACK")
        stage.counted("stray ACK")
    else:
        stage.said(f"mallory > {method}", f"mallory < 481 {method}")
        other = {**mallory.inbox[-1]}
        mallory.send({**stage.talks["alice"].request, "Type": method, "DialogueID": "unknown", "RelatedID": 1})
        assert {**mallory.inbox[-1], "DialogueID": other["DialogueID"]} == other  # nor can it be told apart
        stage.forget()
    stage.play("service 200", "alice ACK", "alice BYE")
    stage.forget()


@pytest.mark.proves("C-26", "S-30")
def test_a_stranger_answers_somebody_elses_invite(stage: Stage) -> None:
    stage.play("service INVITE")
    invite = stage.person("bob").inbox[0]
    stage.person("mallory").send({**invite, "Type": "RESPONSE", "Code": 200})
    stage.said("bob < INVITE", "mallory > 200 ?")
    stage.counted("stray response")
    stage.play("bob 486")
    stage.forget()


# A service that raises.


class Oops(Exception):
    """What a service under development does."""


def oops(*_: Any) -> None:
    raise Oops


def open_leg(task: Task, _: Any) -> None:
    task.open("bob@gortc.local")


FAILING: dict[str, tuple[list[str], str, list[str]]] = {
    "on INVITE": ([], "alice INVITE", ["alice > INVITE", "service INVITE", "alice < 500 INVITE"]),
    "while early": (
        ["alice INVITE", "service 180"], "alice INFO",
        ["alice > INFO", "service INFO", "alice < 500 INVITE", "alice < 500 INFO"],
    ),
    "on CANCEL": (
        ["alice INVITE"], "alice CANCEL",
        ["alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL"],
    ),
    "on ACK": (["alice INVITE", "service 200"], "alice ACK", ["alice > ACK", "service ACK", "alice < BYE"]),
    "after answer, on INFO": (
        ["alice INVITE", "service 200", "alice ACK"], "alice INFO",
        ["alice > INFO", "service INFO", "alice < 500 INFO", "alice < BYE"],
    ),
    "on BYE": (
        ["alice INVITE", "service 200", "alice ACK"], "alice BYE", ["alice > BYE", "alice < 200 BYE", "service BYE"],
    ),
    "on TERM": (
        ["alice INVITE", "service 486"], "alice ACK", ["alice > ACK", "service TERM"],
    ),
}  # fmt: skip


@pytest.mark.proves("D-13", "D-14")
@pytest.mark.parametrize("phase", FAILING)
def test_a_service_raises(stage: Stage, phase: str) -> None:
    way, step, said = FAILING[phase]
    carol = stage.person("carol").call("service")
    stage.play("service 200 INVITE")
    carol.ack()
    stage.play(*way)
    stage.forget()
    stage.probe.reactions[step.split()[1] if phase != "on TERM" else "TERM"] = oops
    stage.play(step)
    stage.said(*said)
    stage.logged(Oops)
    stage.probe.reactions.clear()
    stage.play("wait 100")  # the stack alone finishes what is open
    stage.said()
    carol.bye()  # and nobody else has noticed
    stage.said("carol > BYE", "carol < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("D-13")
def test_a_service_raises_and_its_other_legs_are_hung_up(stage: Stage) -> None:
    for name in ("bob", "dora"):
        stage.person(name)
    stage.play("alice INVITE")
    answered = stage.task.open("bob@gortc.local")
    stage.task.open("dora@gortc.local")
    stage.play("bob 200", "dora 180")
    stage.task.ack(answered)
    stage.forget()
    stage.probe.reactions["180 INVITE"] = oops
    stage.play("dora 180")
    stage.said("dora > 180 INVITE", "service 180 INVITE", "alice < 500 INVITE", "bob < BYE", "dora < CANCEL")
    stage.logged(Oops)
    stage.play("alice ACK", "dora 487 INVITE", "bob 200 BYE")
    stage.said("alice > ACK", "dora > 487 INVITE", "dora < ACK", "bob > 200 BYE")


@pytest.mark.proves("D-13")
def test_a_service_raises_in_create(stage: Stage) -> None:
    stage.probe.create = oops  # type: ignore[method-assign, assignment]
    stage.play("alice INVITE", "alice ACK")
    stage.said("alice > INVITE", "alice < 500 INVITE", "alice > ACK")
    stage.logged(Oops)


@pytest.mark.proves("D-13")
@pytest.mark.parametrize("late", [False, True])
def test_what_a_service_returned_fails(stage: Stage, late: bool) -> None:
    waiting: Deferred[None] = Deferred()
    stage.probe.reactions["INVITE"] = lambda *_: waiting if late else fail(Oops())
    stage.play("alice INVITE")
    if late:
        waiting.errback(Oops())
    stage.said("alice > INVITE", "service INVITE", "alice < 500 INVITE")
    stage.logged(Oops)
    stage.play("alice ACK")
    stage.said("alice > ACK")


class Unloadable(Probe):
    """A service that can't be loaded."""

    def load(self, context: Context) -> None:
        raise Oops


@pytest.mark.proves("D-7")
def test_a_service_raises_in_load(stage: Stage) -> None:
    bad = Unloadable("bad", stage.lines)
    assert not stage.node.services.load(bad, "bad", {})
    stage.logged(Oops)
    stage.play("alice INVITE Router=x;type=bad", "alice ACK")
    stage.said("alice > INVITE", "alice < 404 INVITE", "alice > ACK")


@pytest.mark.proves("M-31")
@pytest.mark.plain
def test_a_defect_of_the_stack_is_logged_and_counted(stage: Stage) -> None:
    """Whatever happens above it, nothing raises out of the lowest storey."""
    above: Any = stage.node.transactions
    receive: Callable[..., None] = above.receive
    above.receive = oops
    stage.play("alice INVITE")
    stage.said("alice > INVITE")
    stage.counted("stack failure")
    stage.logged(Oops)
    above.receive = receive
    stage.talks.clear()
    stage.play("alice INVITE", "service 486", "alice ACK")
    stage.forget()


@pytest.mark.proves("D-14")
def test_a_timer_that_raises_stops_no_other(stage: Stage) -> None:
    stage.probe.reactions["CANCEL (local)"] = oops
    stage.play("alice INVITE", "carol INVITE", "wait 60")
    assert stage.lines[-4:] == [
        "alice < 408 INVITE", "service CANCEL (local)", "carol < 408 INVITE", "service CANCEL (local)",
    ]  # fmt: skip
    stage.logged(Oops, Oops)
    stage.play("wait 5")
    stage.forget()


# Many.


@pytest.mark.proves("S-33")
def test_ten_thousand_calls_leave_nothing_behind(stage: Stage) -> None:
    stage.probe.reactions["INVITE"] = lambda task, invite: task.answer(invite, 200)
    alice = stage.person("alice")
    begin = time.process_time()
    for number in range(10_000):
        call = alice.call("service")
        call.ack()
        call.bye()
        assert not len(stage.node.timers)
        assert not alice.channel.sessions
        if number % 100 == 0:
            stage.check_empty()
            alice.inbox.clear()
    assert stage.lines.count("service TERM") == 10_000
    assert time.process_time() - begin < 60
    stage.forget()
