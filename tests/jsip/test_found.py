"""What the flows and the models found once, in few words."""

from __future__ import annotations

import pytest

from tests.jsip.kit import Stage


def test_a_200_to_a_reinvite_that_crosses_our_bye_is_acknowledged(stage: Stage) -> None:
    """RFC 5407 section 3.2.3; the service, which has hung up, hears what it hears of any request still open."""
    stage.play("alice INVITE", "service 200", "alice ACK", "service INVITE", "service BYE")
    stage.forget()
    stage.play("alice 200 INVITE", "alice 200 BYE")
    stage.said(
        "alice > 200 INVITE", "alice < ACK", "service 487 INVITE (local)", "alice > 200 BYE", "service TERM"
    )  # fmt: skip


def test_a_refused_refresh_ends_the_session_once(stage: Stage) -> None:
    """The service ends as it is told: the peer has had its BYE."""
    stage.probe.reactions["BYE (local)"] = lambda task, _: task.finish()
    stage.play("service INVITE", "bob 200", "service ACK", "wait 200")
    stage.forget()
    stage.play("bob 481 UPDATE")
    stage.said("bob > 481 UPDATE", "bob < BYE", "service BYE (local)")
    stage.play("bob 481 BYE")
    stage.forget()


def test_a_first_request_to_what_is_no_uri_is_garbage(stage: Stage) -> None:
    """It counts as any bad request does, and who keeps sending such is closed."""
    alice = stage.person("alice")
    request = {"Type": "OPTIONS", "Request-URI": "a b", "From": "a", "To": "b", "DialogueID": "d"}
    for number in range(1, 21):
        alice.send({**request, "CSeq": number})
        alice.expect(400)
    assert alice.closed == 1008
    stage.counted(*["bad request"] * 20, "closed for garbage")
    stage.forget()


@pytest.mark.proves("S-10")
def test_a_200_has_its_ack_also_where_the_peer_hangs_up_first(stage: Stage) -> None:
    """RFC 5407 section 3.2.4, seen from the callee: its BYE and our ACK cross."""
    stage.play("service INVITE", "bob 200")
    stage.forget()
    stage.play("bob BYE")
    stage.said("bob > BYE", "bob < ACK", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_a_200_has_its_ack_also_where_the_session_ends_before_the_services(stage: Stage, code: int) -> None:
    stage.play("service INVITE", "bob 200", "service INFO")
    stage.forget()
    stage.play(f"bob {code} INFO")
    stage.said(f"bob > {code} INFO", f"service {code} INFO", "bob < ACK", "bob < BYE", "service BYE (local)")
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_a_peer_that_does_not_know_the_dialogue_is_hung_up_once(stage: Stage, code: int) -> None:
    """The service ends as it is told, and hangs up its leg: the stack has nothing to add."""
    stage.probe.reactions[f"{code} INFO"] = lambda task, _: task.finish()
    stage.play("service INVITE", "bob 200", "service ACK", "service INFO")
    stage.forget()
    stage.play(f"bob {code} INFO")
    stage.said(f"bob > {code} INFO", f"service {code} INFO", "bob < BYE")
    stage.play("bob 481 BYE")
    stage.forget()


@pytest.mark.proves("S-22")
def test_a_call_that_is_placed_as_another_ones_time_is_up_makes_no_third_wait(stage: Stage) -> None:
    stage.probe.reactions["408 INVITE (local)"] = lambda task, _: task.open("bob@gortc.local")
    stage.dial("bob")
    stage.advance(1)
    stage.dial("bob")
    stage.advance(60)
    assert stage.lines.count("bob < CANCEL") == 2
    del stage.probe.reactions["408 INVITE (local)"]
    stage.advance(200)
    stage.forget()
