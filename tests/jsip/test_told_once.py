"""Each request is answered once, and the service is told each thing once: docs/jsip.md sections 3 and 4."""

from __future__ import annotations

import pytest

from tests.jsip.kit import Stage

RECEIVED = ("alice INVITE", "service 200", "alice ACK")
SENT = ("service INVITE", "bob 200", "service ACK")


# One answer.


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "PRACK", "INFO", "MESSAGE"])
def test_a_request_that_comes_after_the_failure_gets_its_481_alone(stage: Stage, method: str) -> None:
    stage.play("alice INVITE", "service 486")
    stage.forget()
    stage.play(f"alice {method} offer")
    stage.said(f"alice > {method}", f"alice < 481 {method}")
    stage.play("alice ACK RelatedID=1", "wait 5")
    stage.said("alice > ACK", "service TERM")


def test_a_refused_re_invite_is_over_with_its_ack(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE", "service 488", "alice ACK")
    assert stage.node.census()["transactions"] == 0
    stage.play("wait 5")
    stage.forget()
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


def test_a_refused_re_invite_is_over_without_its_ack(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE", "service 488", "wait 5")
    assert stage.node.census()["transactions"] == 0
    stage.forget()
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


def test_an_answer_to_a_request_that_is_over_is_not_another_ones(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO CSeq=7")
    before = stage.received("INFO")
    stage.play("service 200 INFO", "alice INFO CSeq=7")  # the CSeq is free again
    stage.forget()
    stage.task.answer(before, 404)
    stage.said()
    stage.counted("late response")
    stage.play("service 200 INFO", "alice BYE CSeq=8")
    stage.said("alice < 200 INFO", "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


def test_the_487_at_the_end_of_a_call_says_no_reason(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO", "alice BYE")
    answer = next(message for message in stage.person("alice").inbox if message.get("Code") == 487)
    assert "Reason" not in answer
    stage.forget()


# What the service is told.


@pytest.mark.parametrize("code", [100, 183])
def test_a_provisional_response_to_our_bye_is_absorbed(stage: Stage, code: int) -> None:
    stage.play(*SENT, "service BYE")
    stage.forget()
    stage.play(f"bob {code} BYE")
    stage.said(f"bob > {code} BYE")
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.parametrize("code", [100, 183])
def test_a_provisional_response_to_our_cancel_is_absorbed(stage: Stage, code: int) -> None:
    stage.play("service INVITE", "service CANCEL")
    stage.forget()
    stage.play(f"bob {code} CANCEL", "bob 200 CANCEL")
    stage.said(f"bob > {code} CANCEL", "bob > 200 CANCEL")
    stage.play("bob 487 INVITE")
    stage.said("bob > 487 INVITE", "bob < ACK", "service 487 INVITE", "service TERM")


def test_who_was_told_408_is_not_told_487_as_well(stage: Stage) -> None:
    stage.play(*SENT, "service INVITE", "wait 60")
    stage.forget()
    stage.play("bob 200 CANCEL", "bob BYE")
    stage.said("bob > 200 CANCEL", "bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


def test_refreshes_that_are_unanswered_as_we_leave_end_nothing_twice(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 10})
    stage.play("bob 200", "service ACK", "wait 14.9")
    stage.forget()
    stage.play("wait 0.1")  # the third one's 5 s are over, a fourth one is open
    stage.said("bob < BYE", "service BYE (local)")
    stage.play("wait 5")
    stage.said("service TERM")


# ACK.


def test_an_ack_of_an_earlier_invite_is_not_sent(stage: Stage) -> None:
    stage.play(*SENT, "service INVITE", "bob 200")
    stage.forget()
    stage.task.ack(stage.sent[0])
    stage.said()
    stage.counted("ACK of nothing")
    stage.play("service ACK", "bob BYE")
    stage.said("bob < ACK", "bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


def test_the_ack_that_goes_before_our_bye_names_its_invite(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200", "service BYE", "bob 200 BYE")
    ack = next(message for message in stage.person("bob").inbox if message["Type"] == "ACK")
    assert ack["RelatedID"] == stage.invited().cseq
    stage.forget()


def test_our_ack_of_a_re_invite_does_not_confirm_the_peers_call(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "service INVITE", "alice 200", "service ACK")
    stage.forget()
    stage.play("alice ACK")
    stage.said("alice > ACK", "service ACK")
    stage.play("alice BYE")
    stage.forget()


# What is open as a session ends.


def test_the_peers_requests_are_answered_as_our_call_fails(stage: Stage) -> None:
    stage.play("service INVITE", "bob 180", "bob INFO")
    stage.forget()
    stage.play("bob 486 INVITE")
    stage.said("bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "bob < 487 INFO", "service TERM")


def test_the_event_that_a_session_is_over_names_its_dialogue(stage: Stage) -> None:
    stage.play("alice INVITE", "alice BYE")
    event = stage.probe.messages[-1]
    assert event.headers == {"Type": "TERM", "DialogueID": stage.talks["alice"].id}
    assert event.local
    stage.forget()


def test_who_starts_an_instance_gets_its_task(stage: Stage) -> None:
    context = stage.node.services.get("service")
    assert context is not None
    stage.probe.reactions["START"] = lambda task, _: task.open("bob@gortc.local")
    stage.person("bob")
    assert context.start() is stage.task
    stage.play("bob 486")
    stage.forget()
