"""An INVITE session: docs/jsip.md section 4, row by row, then its bullets; the session timer has a file of its own."""

from __future__ import annotations

import pytest

from gortc.jsip.invite_session import InviteSession
from gortc.service.task import Task
from tests.jsip.kit import Stage

RECEIVED = ("alice INVITE", "service 200", "alice ACK")
SENT = ("service INVITE", "bob 200", "service ACK")


# Its states.

CALLED_WAY = [
    ("alice INVITE", "calling"), ("service 180", "early"), ("service 183", "early"), ("service 200", "answered"),
    ("alice ACK", "confirmed"), ("alice INFO", "confirmed"), ("service 200 INFO", "confirmed"),
    ("service BYE", "leaving"), ("alice 200 BYE", "ended"),
]  # fmt: skip
CALLING_WAY = [
    ("service INVITE", "calling"), ("bob 100", "calling"), ("bob 180", "early"), ("bob 200", "answered"),
    ("service ACK", "confirmed"), ("bob BYE", "ended"),
]  # fmt: skip
REFUSED_WAY = [("alice INVITE", "calling"), ("service 486", "failed"), ("alice ACK", "ended")]
FAILED_WAY = [("service INVITE", "calling"), ("bob 486", "ended")]
CANCELLED_WAY = [("alice INVITE", "calling"), ("alice CANCEL", "failed"), ("alice ACK", "ended")]
CANCELLING_WAY = [("service INVITE", "calling"), ("service CANCEL", "cancelling"), ("bob 487", "ended")]
CROSSED_WAY = [
    ("service INVITE", "calling"), ("bob 180", "early"), ("service CANCEL", "cancelling"), ("bob 200", "leaving"),
    ("bob 200 BYE", "ended"),
]  # fmt: skip
UNANSWERED_WAY = [("service INVITE", "calling"), ("wait 60", "cancelling"), ("wait 32", "ended")]
UNACKED_WAY = [("alice INVITE", "calling"), ("service 200", "answered"), ("wait 32", "leaving"), ("wait 5", "ended")]


@pytest.mark.proves("S-1")
@pytest.mark.parametrize(
    "way",
    [
        CALLED_WAY, CALLING_WAY, REFUSED_WAY, FAILED_WAY, CANCELLED_WAY, CANCELLING_WAY, CROSSED_WAY, UNANSWERED_WAY,
        UNACKED_WAY,
    ],
)  # fmt: skip
def test_the_states_of_a_call(stage: Stage, way: list[tuple[str, str]]) -> None:
    for step, state in way:
        stage.play(step)
        session = stage.session
        assert isinstance(session, InviteSession)
        assert (step, session.state) == (step, state)
    stage.forget()


def test_a_call_that_has_failed_is_no_dialogue_to_the_service(stage: Stage) -> None:
    stage.probe.reactions["486 INVITE"] = lambda task, response: task.request(response.session, "INFO")
    stage.play("service INVITE", "bob 486")
    stage.said("bob < INVITE", "bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM")


def test_nor_is_one_that_was_hung_up(stage: Stage) -> None:
    stage.probe.reactions["BYE"] = lambda task, bye: task.request(bye.session, "INFO")
    stage.play(*RECEIVED)
    stage.forget()
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


# What the stack does so that the service need not.


@pytest.mark.proves("S-2")
@pytest.mark.parametrize("ringing", [(), ("service 180",)])
def test_received_cancel_before_the_final_response(stage: Stage, ringing: tuple[str, ...]) -> None:
    stage.play("alice INVITE", *ringing)
    stage.forget()
    stage.play("alice CANCEL")
    stage.said("alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL")
    stage.play("service 200 INVITE")
    stage.counted("unexpected 2xx")
    stage.play("alice ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-2", "S-17", "X-7")
def test_its_ack_may_be_missing(stage: Stage) -> None:
    stage.play("alice INVITE", "alice CANCEL", "wait 4.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("service TERM")


@pytest.mark.proves("S-2", "M-8")
def test_a_cancel_without_related_id_means_the_open_invite(stage: Stage) -> None:
    stage.play("alice INVITE")
    stage.talks["alice"].send("CANCEL")
    stage.said(
        "alice > INVITE", "service INVITE", "alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE",
        "service CANCEL",
    )  # fmt: skip
    stage.talks["alice"].send("ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-3")
def test_received_cancel_of_an_open_re_invite(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE offer")
    again = stage.received("INVITE")
    stage.forget()
    stage.play("alice CANCEL")
    stage.said("alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL")
    cancel = stage.probe.messages[-1]
    assert getattr(cancel, "related", None) is again
    assert again is not stage.task.first
    stage.play("alice ACK")
    stage.said("alice > ACK")
    stage.play("alice INVITE", "service 200", "alice ACK", "alice BYE")  # the call stays, another offer may come
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > ACK", "service ACK", "alice > BYE",
        "alice < 200 BYE", "service BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-4")
@pytest.mark.parametrize("acked", [(), ("alice ACK",)])
def test_received_cancel_after_our_final_response(stage: Stage, acked: tuple[str, ...]) -> None:
    stage.play("alice INVITE", "service 200", *acked)
    stage.forget()
    stage.play("alice CANCEL")
    stage.said("alice > CANCEL", "alice < 200 CANCEL")
    if not acked:
        stage.play("alice ACK")
        stage.said("alice > ACK", "service ACK")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-5")
def test_received_cancel_that_matches_nothing(stage: Stage) -> None:
    stage.play("alice INVITE", "alice CANCEL RelatedID=7")
    stage.said("alice > INVITE", "service INVITE", "alice > CANCEL", "alice < 481 CANCEL")
    stage.play("service 200", "alice ACK", "service INVITE")
    stage.forget()
    stage.play("alice CANCEL RelatedID=3")
    stage.said("alice > CANCEL", "alice < 481 CANCEL")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service 487 INVITE (local)", "service TERM")


@pytest.mark.proves("S-5")
def test_received_cancel_of_an_info(stage: Stage) -> None:
    stage.play("alice INVITE", "alice INFO", "alice CANCEL RelatedID=2")
    stage.said(
        "alice > INVITE", "service INVITE", "alice > INFO", "service INFO", "alice > CANCEL", "alice < 481 CANCEL"
    )
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-10")
def test_received_bye_ends_each_open_request_of_the_peer(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO", "alice INVITE offer", "alice INFO")
    stage.forget()
    stage.play("alice BYE")
    stage.said(
        "alice > BYE", "alice < 200 BYE", "alice < 487 INFO", "alice < 487 INVITE", "alice < 487 INFO", "service BYE",
        "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-14")
def test_sent_bye(stage: Stage) -> None:
    stage.play(*RECEIVED)
    stage.forget()
    stage.play("service BYE")
    stage.said("alice < BYE")
    stage.play("alice 200")
    stage.said("alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-14")
@pytest.mark.parametrize("code", [100, 180])
def test_the_provisional_response_to_a_sent_bye_is_absorbed_too(stage: Stage, code: int) -> None:
    stage.play(*RECEIVED, "service BYE", f"alice {code}")
    stage.forget()
    stage.play("alice 481")
    stage.said("alice > 481 BYE", "service TERM")


@pytest.mark.proves("S-14", "X-1")
def test_a_sent_bye_that_nobody_answers(stage: Stage) -> None:
    stage.play(*RECEIVED, "service BYE", "wait 4.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("service TERM")


@pytest.mark.proves("S-12")
def test_sent_bye_answers_what_the_peer_has_open_first(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO", "alice INVITE")
    stage.forget()
    stage.play("service BYE")
    stage.said("alice < 487 INFO", "alice < 487 INVITE", "alice < BYE")
    stage.play("alice 200 BYE", "alice ACK RelatedID=4")
    stage.said("alice > 200 BYE", "service TERM", "alice > ACK")
    stage.counted("stray ACK")


@pytest.mark.proves("S-13")
def test_sent_bye_before_our_ack(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200")
    stage.forget()
    stage.play("service BYE")
    stage.said("bob < ACK", "bob < BYE")
    ack, bye = stage.person("bob").inbox[-2:]
    assert bye["CSeq"] > ack["CSeq"] > 1  # RFC 3261 section 12.2.2: it must not fall
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-20")
def test_sent_bye_before_the_ack_of_the_peer(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "service BYE", "alice ACK", "alice 200")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice < BYE", "alice > ACK", "service ACK",
        "alice > 200 BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-6", "S-16", "M-8")
def test_sent_cancel(stage: Stage) -> None:
    stage.play("service INVITE", "bob 180", "service CANCEL")
    stage.forget()
    inbox = stage.person("bob").inbox
    assert inbox[-1]["RelatedID"] == inbox[0]["CSeq"]
    assert inbox[-1]["CSeq"] != inbox[0]["CSeq"]
    cancel = inbox[-1]
    stage.talks["bob"].reply(200, to=cancel)
    stage.said("bob > 200 CANCEL")
    stage.play("bob 487 INVITE")
    stage.said("bob > 487 INVITE", "bob < ACK", "service 487 INVITE", "service TERM")


@pytest.mark.proves("S-16", "M-8")
@pytest.mark.parametrize("code", [300, 404, 486, 503, 603])
def test_received_failure_of_our_invite(stage: Stage, code: int) -> None:
    stage.play("service INVITE", f"bob {code}")
    stage.said(
        "bob < INVITE", f"bob > {code} INVITE", "bob < ACK", f"service {code} INVITE", "service TERM",
    )  # fmt: skip
    assert stage.person("bob").inbox[-1]["RelatedID"] == 1


@pytest.mark.proves("S-45")
def test_received_failure_of_our_re_invite(stage: Stage) -> None:
    stage.play(*SENT, "service INVITE offer", "bob 488")
    stage.forget()
    stage.play("service ACK")
    stage.counted("ACK of nothing")
    stage.play("bob BYE")
    stage.said("bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-17")
def test_sent_failure_waits_5_s_for_the_ack(stage: Stage) -> None:
    stage.play("alice INVITE", "service 486", "wait 4.9")
    stage.said("alice > INVITE", "service INVITE", "alice < 486 INVITE")
    stage.play("alice ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-17", "X-7")
def test_sent_failure_that_nobody_acknowledges(stage: Stage) -> None:
    stage.play("alice INVITE", "service 486", "wait 4.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("service TERM")


@pytest.mark.proves("S-18", "X-3")
def test_received_100_resets_no_invite_timer(stage: Stage) -> None:
    stage.play("service INVITE", "wait 59", "bob 100", "wait 0.9")
    stage.said("bob < INVITE", "bob > 100 INVITE")
    stage.play("wait 0.1")
    stage.said("bob < CANCEL", "service 408 INVITE (local)")
    stage.play("bob 487 INVITE")
    stage.forget()


@pytest.mark.proves("S-19", "S-25")
def test_the_stack_never_sends_100(stage: Stage) -> None:
    stage.play("alice INVITE", "service 100")
    stage.said("alice > INVITE", "service INVITE")
    stage.counted("unexpected 100")
    stage.play("wait 59", "service 100", "wait 1")  # nor does it keep the caller waiting
    stage.said("alice < 408 INVITE", "service CANCEL (local)")
    stage.counted("unexpected 100")
    stage.play("alice ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-7")
def test_we_cancelled_and_a_200_still_arrives(stage: Stage) -> None:
    stage.play("service INVITE", "service CANCEL", "bob 200 INVITE")
    stage.said(
        "bob < INVITE", "bob < CANCEL", "bob > 200 INVITE", "bob < ACK", "bob < BYE", "service 487 INVITE (local)"
    )
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-9", "X-5")
def test_we_cancelled_and_nothing_final_arrives_in_32_s(stage: Stage) -> None:
    stage.play("service INVITE", "bob 180", "service CANCEL", "wait 31", "bob 180", "wait 0.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("service 487 INVITE (local)", "service TERM")


@pytest.mark.proves("S-22", "S-24", "X-3")
def test_no_final_response_to_a_sent_invite_in_60_s(stage: Stage) -> None:
    stage.play("service INVITE", "wait 59.9")
    stage.said("bob < INVITE")
    stage.play("wait 0.1")
    stage.said("bob < CANCEL", "service 408 INVITE (local)")
    stage.play("bob 487 INVITE")
    stage.said("bob > 487 INVITE", "bob < ACK", "service TERM")


@pytest.mark.proves("S-23", "S-24", "X-3")
def test_each_1xx_but_100_starts_the_60_s_again(stage: Stage) -> None:
    stage.play("service INVITE", "wait 59", "bob 180", "wait 59", "bob 183", "wait 59.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("bob < CANCEL", "service 408 INVITE (local)")
    stage.play("wait 32")
    stage.said("service TERM")


def test_it_comes_back_late_as_not_delivered(stage: Stage) -> None:
    """Where messages wait for a peer that is away."""
    stage.play("service INVITE", "wait 60")
    stage.node.transactions.undelivered(stage.sent[0], 480)
    stage.said("bob < INVITE", "bob < CANCEL", "service 408 INVITE (local)")
    stage.advance()
    stage.said("service TERM")


@pytest.mark.proves("S-23", "S-24", "X-4")
def test_600_s_in_all(stage: Stage) -> None:
    stage.play("service INVITE")
    for _ in range(19):
        stage.play("wait 30", "bob 180")
    stage.play("wait 29.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("bob < CANCEL", "service 408 INVITE (local)")
    stage.play("bob 200 INVITE")
    stage.said("bob > 200 INVITE", "bob < ACK", "bob < BYE")
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-25", "X-3")
def test_no_final_response_from_the_service_in_60_s(stage: Stage) -> None:
    stage.play("alice INVITE", "wait 59", "service 180", "wait 59.9")
    stage.said("alice > INVITE", "service INVITE", "alice < 180 INVITE")
    stage.play("wait 0.1")
    stage.said("alice < 408 INVITE", "service CANCEL (local)")
    assert getattr(stage.probe.messages[-1], "related", None) is stage.task.first
    stage.play("alice ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-23", "X-4")
def test_a_sent_invite_that_waits_in_a_queue_waits_on(stage: Stage) -> None:
    """Each 182 starts the 600 s in all again; others don't."""
    stage.play("service INVITE", *["wait 25", "bob 182"] * 60, *["wait 50", "bob 180"] * 11, "wait 49.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("bob < CANCEL", "service 408 INVITE (local)")
    stage.play("bob 487 INVITE")
    stage.forget()


@pytest.mark.proves("S-25")
@pytest.mark.parametrize("code", [180, 182, 183])
def test_a_received_invite_waits_as_long_as_the_service_says_so(stage: Stage, code: int) -> None:
    stage.play("alice INVITE", *["wait 25", f"service {code}"] * 60, "wait 59.9")
    assert stage.lines.count(f"alice < {code} INVITE") == 60
    stage.forget()
    stage.play("wait 0.1")
    stage.said("alice < 408 INVITE", "service CANCEL (local)")
    stage.play("wait 5")
    stage.said("service TERM")


@pytest.mark.proves("S-65")
def test_the_caller_of_a_service_that_rings_somebody_is_kept_waiting(stage: Stage) -> None:
    """By a 183 when half of its time has passed in silence, again and again."""
    stage.play("alice INVITE", "wait 15")
    stage.task.open(stage.person("bob").name)
    stage.play("wait 14.9")
    stage.said("alice > INVITE", "service INVITE", "bob < INVITE")
    stage.play("wait 0.1")
    stage.said("alice < 183 INVITE")
    stage.play("wait 15", "bob 180", "wait 14.9")
    stage.said("bob > 180 INVITE", "service 180 INVITE")
    stage.play("wait 0.1")
    stage.said("alice < 183 INVITE")
    stage.play("bob 486", "wait 59.9")  # nobody rings any more
    stage.said("bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM")
    stage.play("wait 0.1")
    stage.said("alice < 408 INVITE", "service CANCEL (local)")
    stage.play("alice ACK")
    stage.forget()


@pytest.mark.proves("S-25")
def test_a_caller_and_a_callee_who_begin_at_the_same_time_have_the_same_time(stage: Stage) -> None:
    stage.play("alice INVITE")
    stage.task.open(stage.person("bob").name)
    stage.play("wait 60")
    assert sorted(stage.lines[-4:]) == [
        "alice < 408 INVITE", "bob < CANCEL", "service 408 INVITE (local)", "service CANCEL (local)",
    ]  # fmt: skip
    stage.play("alice ACK", "bob 487 INVITE")
    stage.forget()


@pytest.mark.proves("S-17", "S-21", "X-6", "X-7")
@pytest.mark.parametrize(("code", "seconds"), [(200, 31.9), (486, 4.9)])
def test_the_caller_waits_no_longer_than_for_the_final_response(stage: Stage, code: int, seconds: float) -> None:
    stage.play("alice INVITE", *["wait 30", "service 180"] * 19, "wait 29", f"service {code}")
    stage.forget()
    stage.play(f"wait {seconds}")
    stage.said()
    stage.play("wait 0.1")
    stage.said(*(["alice < BYE", "service BYE (local)"] if code == 200 else ["service TERM"]))
    stage.play("wait 5")
    stage.forget()


@pytest.mark.proves("S-21", "X-6")
def test_200_sent_and_not_acknowledged_in_32_s(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "wait 31.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("alice < BYE", "service BYE (local)")
    stage.play("alice 200 BYE")
    stage.said("alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-21")
def test_200_to_a_re_invite_not_acknowledged_in_32_s(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE", "service 200", "wait 32")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > ACK", "service ACK", "alice > INVITE",
        "service INVITE", "alice < 200 INVITE", "alice < BYE", "service BYE (local)",
    )  # fmt: skip
    stage.play("wait 5")
    stage.said("service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE"])
def test_received_481_or_408_to_our_request_in_the_dialogue(stage: Stage, method: str, code: int) -> None:
    stage.play(*SENT, f"service {method} offer")
    stage.forget()
    stage.play(f"bob {code}")
    stage.said(f"bob > {code} {method}", f"service {code} {method}", "bob < BYE", "service BYE (local)")
    assert stage.person("bob").inbox[-1]["Reason"] == f'SIP;cause={code};text="the dialogue is over"'
    assert stage.session.ended is not None
    assert stage.session.ended[:2] == ("peer", code)
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_received_481_or_408_to_our_re_invite(stage: Stage, code: int) -> None:
    stage.play(*RECEIVED, "service INVITE offer")
    stage.forget()
    stage.play(f"alice {code}")
    stage.said(
        f"alice > {code} INVITE", "alice < ACK", f"service {code} INVITE", "alice < BYE", "service BYE (local)",
    )  # fmt: skip
    stage.play("alice 481 BYE")
    stage.said("alice > 481 BYE", "service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE"])
def test_received_481_or_408_before_the_callee_has_answered(stage: Stage, method: str, code: int) -> None:
    stage.play("service INVITE", "bob 180", f"service {method} offer")
    stage.forget()
    stage.play(f"bob {code} {method}")
    stage.said(f"bob > {code} {method}", f"service {code} {method}", "bob < CANCEL", "service 408 INVITE (local)")
    stage.play("bob 487 INVITE")
    stage.said("bob > 487 INVITE", "bob < ACK", "service TERM")


@pytest.mark.proves("S-26", "S-37")
@pytest.mark.parametrize("code", [408, 481])
def test_a_prack_that_acknowledges_nothing_ends_nothing(stage: Stage, code: int) -> None:
    """481 is what RFC 3262 section 3 asks for then."""
    stage.play("service INVITE", "bob 180", "service PRACK", f"bob {code} PRACK", "bob 486 INVITE")
    stage.said(
        "bob < INVITE", "bob > 180 INVITE", "service 180 INVITE", "bob < PRACK", f"bob > {code} PRACK",
        f"service {code} PRACK", "bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_received_481_or_408_before_we_have_answered(stage: Stage, code: int) -> None:
    stage.play("alice INVITE", "service 180", "service INFO")
    stage.forget()
    stage.play(f"alice {code} INFO")
    stage.said(f"alice > {code} INFO", f"service {code} INFO", "alice < 408 INVITE", "service CANCEL (local)")
    stage.play("alice ACK")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_received_481_or_408_as_the_callee_is_cancelled(stage: Stage, code: int) -> None:
    stage.play("service INVITE", "bob 180", "service INFO", "service CANCEL")
    stage.forget()
    stage.play(f"bob {code} INFO")
    stage.said(f"bob > {code} INFO", f"service {code} INFO")
    stage.play("bob 487 INVITE")
    stage.said("bob > 487 INVITE", "bob < ACK", "service 487 INVITE", "service TERM")


@pytest.mark.proves("S-45")
@pytest.mark.parametrize("code", [404, 480, 486, 491, 500, 603])
def test_any_other_failure_leaves_the_call_as_it_was(stage: Stage, code: int) -> None:
    stage.play(*SENT, "service INFO", f"bob {code}")
    stage.forget()
    stage.play("service INFO", "bob 200", "bob BYE")
    stage.said(
        "bob < INFO", "bob > 200 INFO", "service 200 INFO", "bob > BYE", "bob < 200 BYE", "service BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-45")
def test_a_local_408_does_not_end_the_session(stage: Stage) -> None:
    stage.play(*SENT, "service INFO", "wait 5")
    stage.forget()
    stage.play("bob BYE")
    stage.said("bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-28")
def test_session_over_with_our_requests_open(stage: Stage) -> None:
    stage.play(*SENT, "service INFO", "service INVITE", "service INFO")
    stage.forget()
    stage.play("bob BYE")
    stage.said(
        "bob > BYE", "bob < 200 BYE", "service BYE", "service 487 INFO (local)", "service 487 INVITE (local)",
        "service 487 INFO (local)", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("S-5", "S-29")
@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "CANCEL"])
def test_received_request_in_no_known_dialogue(stage: Stage, method: str) -> None:
    stage.play(f"alice {method}")
    stage.said(f"alice > {method}", f"alice < 481 {method}")


@pytest.mark.proves("S-30")
def test_received_ack_in_no_known_dialogue(stage: Stage) -> None:
    stage.play("alice ACK")
    stage.said("alice > ACK")
    stage.counted("stray ACK")


@pytest.mark.proves("S-31")
@pytest.mark.parametrize("step", ["service BYE", "service CANCEL", "service ACK"])
def test_the_service_sends_what_belongs_to_no_known_dialogue(stage: Stage, step: str) -> None:
    dead_session(stage)
    stage.play(step)
    stage.said()
    assert sum(stage.node.journal.counts.values()) == 1
    stage.node.journal.counts.clear()
    over(stage)


@pytest.mark.proves("S-31")
def test_the_service_answers_in_no_known_dialogue(stage: Stage) -> None:
    dead_session(stage)
    request = stage.probe.tasks[-1].first
    assert request is not None
    stage.task.answer(request, 200)
    stage.said()
    stage.counted("late response")
    over(stage)


@pytest.mark.proves("S-32")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "PRACK", "INVITE"])
def test_the_service_asks_in_no_known_dialogue(stage: Stage, method: str) -> None:
    dead_session(stage)
    stage.play(f"service {method}")
    stage.said(f"service 481 {method} (local)")
    over(stage)


def dead_session(stage: Stage) -> None:
    """A session that is over, of an instance that lives on another one."""
    stage.play("alice INVITE", "service INVITE")
    stage.task.open(stage.user("keeper").name, "MESSAGE")
    stage.play("alice BYE")
    stage.forget()
    assert stage.session.over


def over(stage: Stage) -> None:
    stage.play("wait 5")
    stage.forget()


@pytest.mark.proves("S-33")
def test_term_comes_exactly_once_whatever_ends_it(stage: Stage) -> None:
    for way in (
        ["alice INVITE", "service 486", "alice ACK"],
        ["alice INVITE", "alice CANCEL", "alice ACK"],
        [*RECEIVED, "alice BYE"],
        [*RECEIVED, "service BYE", "alice 200 BYE"],
        [*RECEIVED, "service BYE", "alice BYE", "alice 200 BYE"],
    ):
        stage.anew()
        stage.play(*way, "wait 1000")
        assert stage.lines.count("service TERM") == 1
    stage.anew()


# Early.


@pytest.mark.proves("S-34", "S-36")
def test_prack_only_after_a_1xx(stage: Stage) -> None:
    stage.play("alice INVITE", "alice PRACK", "service 183 INVITE offer", "alice PRACK answer", "service 200 PRACK")
    stage.said(
        "alice > INVITE", "service INVITE", "alice > PRACK", "alice < 481 PRACK", "alice < 183 INVITE",
        "alice > PRACK", "service PRACK", "alice < 200 PRACK",
    )  # fmt: skip
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-34")
def test_prack_only_from_the_sender_of_the_invite(stage: Stage) -> None:
    stage.play("service INVITE", "bob 183", "bob PRACK")
    stage.forget()
    assert stage.person("bob").inbox[-1]["Code"] == 481
    stage.play("service PRACK answer", "bob 200 PRACK")
    stage.said("bob < PRACK", "bob > 200 PRACK", "service 200 PRACK")
    stage.play("bob 486 INVITE")
    stage.forget()


@pytest.mark.proves("S-34")
def test_prack_of_a_ringing_re_invite(stage: Stage) -> None:
    stage.play(*SENT, "bob INVITE offer", "service 183")
    stage.forget()
    stage.play("bob PRACK")
    stage.said("bob > PRACK", "bob < 481 PRACK")  # bob is the one who asks, but not who opened the call
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-34")
def test_the_service_can_not_acknowledge_what_it_has_not_been_sent(stage: Stage) -> None:
    stage.play("alice INVITE", "service 183", "service PRACK")
    stage.said("alice > INVITE", "service INVITE", "alice < 183 INVITE", "service 481 PRACK (local)")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-35")
def test_early_update_from_either(stage: Stage) -> None:
    stage.play("alice INVITE", "service 183", "alice UPDATE offer", "service 200 UPDATE answer")
    stage.play("service UPDATE offer", "alice 200 UPDATE answer")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 183 INVITE", "alice > UPDATE", "service UPDATE",
        "alice < 200 UPDATE", "alice < UPDATE", "alice > 200 UPDATE", "service 200 UPDATE",
    )  # fmt: skip
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-37")
def test_a_failed_one_leaves_the_call_as_it_was(stage: Stage) -> None:
    stage.play("alice INVITE", "service 183", "alice UPDATE offer", "service 488 UPDATE", "alice UPDATE offer")
    assert stage.lines[-2:] == ["alice > UPDATE", "service UPDATE"]
    stage.play("service 200 UPDATE", "service 200 INVITE", "alice ACK", "alice BYE")
    stage.forget()


OPEN_EXCHANGES = [
    (("alice INVITE", "service 183"), "PRACK offer"),
    (("alice INVITE", "service 183"), "UPDATE offer"),
    (RECEIVED, "UPDATE offer"),
    (RECEIVED, "INVITE offer"),
]


@pytest.mark.proves("S-38", "S-39")
@pytest.mark.parametrize(("way", "first"), OPEN_EXCHANGES)
def test_one_exchange_of_the_peer_open_at_a_time(stage: Stage, way: tuple[str, ...], first: str) -> None:
    stage.play(*way, f"alice {first}")
    stage.forget()
    stage.play("alice UPDATE offer")
    stage.said("alice > UPDATE", "alice < 491 UPDATE")
    stage.play("alice PRACK offer")
    stage.said("alice > PRACK", "alice < 491 PRACK")
    stage.play("service UPDATE offer")  # ours crosses it
    stage.said("service 491 UPDATE (local)")
    stage.play("alice INFO", "service 200 INFO")  # INFO is none
    stage.said("alice > INFO", "service INFO", "alice < 200 INFO")
    stage.play(f"service 488 {first.split()[0]}", "alice UPDATE offer")
    assert stage.lines[-1] == "service UPDATE"
    stage.play("alice BYE")
    stage.forget()
    stage.play("wait 5")


@pytest.mark.proves("S-38", "S-39")
def test_a_prack_that_offers_nothing_is_no_exchange(stage: Stage) -> None:
    stage.play("alice INVITE", "service 183", "alice PRACK", "alice PRACK", "alice UPDATE offer", "alice PRACK")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 183 INVITE", "alice > PRACK", "service PRACK", "alice > PRACK",
        "service PRACK", "alice > UPDATE", "service UPDATE", "alice > PRACK", "service PRACK",
    )  # fmt: skip
    stage.play("alice PRACK offer")
    stage.said("alice > PRACK", "alice < 491 PRACK")
    stage.play("alice BYE")
    stage.forget()
    stage.play("wait 5")


@pytest.mark.proves("S-39")
def test_a_prack_of_ours_that_offers_nothing_is_no_exchange(stage: Stage) -> None:
    stage.play("service INVITE", "bob 183", "service UPDATE offer", "service PRACK", "service PRACK")
    stage.said(
        "bob < INVITE", "bob > 183 INVITE", "service 183 INVITE", "bob < UPDATE", "bob < PRACK", "bob < PRACK",
    )  # fmt: skip
    stage.play("service PRACK offer")
    stage.said("service 491 PRACK (local)")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-38", "S-39")
@pytest.mark.parametrize("first", ["UPDATE", "INVITE"])
def test_one_exchange_of_ours_open_at_a_time(stage: Stage, first: str) -> None:
    stage.play(*RECEIVED, f"service {first} offer")
    stage.forget()
    stage.play("service INVITE", "service UPDATE")
    stage.said("service 491 INVITE (local)", "service 491 UPDATE (local)")
    stage.play("alice INVITE offer", "alice ACK")
    stage.said("alice > INVITE", "alice < 491 INVITE", "alice > ACK")
    stage.play("alice UPDATE offer")
    stage.said("alice > UPDATE", "alice < 491 UPDATE")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-40")
def test_the_first_invite_does_not_count(stage: Stage) -> None:
    stage.play("service INVITE", "bob 183", "bob UPDATE offer")
    assert stage.lines[-1] == "service UPDATE"
    stage.play("service 200 UPDATE", "service UPDATE", "bob 200 UPDATE", "bob 486 INVITE")
    stage.forget()


# Answered or confirmed.


@pytest.mark.proves("S-44")
def test_re_invite_of_the_peer(stage: Stage) -> None:
    stage.play(*SENT, "bob INVITE offer", "service 180", "service 200 INVITE answer", "bob ACK")
    assert stage.lines[4:] == [
        "bob > INVITE", "service INVITE", "bob < 180 INVITE", "bob < 200 INVITE", "bob > ACK", "service ACK",
    ]  # fmt: skip
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-44", "M-8")
def test_re_invite_of_ours(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE offer", "alice 180", "alice 200", "service ACK answer")
    assert stage.lines[5:] == [
        "alice < INVITE", "alice > 180 INVITE", "service 180 INVITE", "alice > 200 INVITE", "service 200 INVITE",
        "alice < ACK",
    ]  # fmt: skip
    assert stage.person("alice").inbox[-1]["Body"] == "answer"
    assert stage.person("alice").inbox[-1]["RelatedID"] == stage.invited().cseq
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-39")
def test_no_exchange_of_ours_before_our_ack_to_the_last(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE", "alice 200", "service UPDATE")
    assert stage.lines[-1] == "service 491 UPDATE (local)"
    stage.play("service ACK", "service UPDATE")
    assert stage.lines[-1] == "alice < UPDATE"
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-16", "S-45")
def test_we_cancel_our_re_invite(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE offer", "alice 180")
    stage.forget()
    stage.play("service CANCEL", "service CANCEL", "alice 487 INVITE")
    stage.said("alice < CANCEL", "alice > 487 INVITE", "alice < ACK", "service 487 INVITE")
    stage.play("service CANCEL")
    stage.counted("CANCEL of nothing")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-8")
def test_a_200_crosses_the_cancel_of_our_re_invite(stage: Stage) -> None:
    """RFC 6141: the offer has taken effect, the service hears of it, and the call stays."""
    stage.play(*RECEIVED, "service INVITE offer", "service CANCEL", "alice 200 INVITE answer")
    assert stage.lines[-3:] == ["alice > 200 INVITE", "alice < ACK", "service 200 INVITE"]
    stage.forget()
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-22", "S-24")
def test_our_re_invite_that_nobody_answers(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE offer")
    stage.forget()
    stage.play("wait 60")
    stage.said("alice < CANCEL", "service 408 INVITE (local)")
    stage.play("alice 200 INVITE")
    stage.said("alice > 200 INVITE", "alice < ACK")
    stage.play("service INVITE", "wait 60", "alice 487 INVITE")
    stage.said(
        "alice < INVITE", "alice < CANCEL", "service 408 INVITE (local)", "alice > 487 INVITE", "alice < ACK",
    )  # fmt: skip
    stage.play("service INVITE", "wait 92")
    stage.said("alice < INVITE", "alice < CANCEL", "service 408 INVITE (local)")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-9")
def test_we_cancel_our_re_invite_and_nothing_final_arrives(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE offer", "service CANCEL")
    stage.forget()
    stage.play("wait 32")
    stage.said("service 487 INVITE (local)")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-25")
def test_a_re_invite_that_the_service_does_not_answer(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE offer")
    again = stage.received("INVITE")
    stage.forget()
    stage.play("wait 60", "alice ACK")
    stage.said("alice < 504 INVITE", "service CANCEL (local)", "alice > ACK")  # it ends nothing
    assert getattr(stage.probe.messages[-1], "related", None) is again
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-46")
def test_update_with_a_body_goes_to_the_service(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice UPDATE offer", "service 200 UPDATE answer")
    assert stage.lines[-3:] == ["alice > UPDATE", "service UPDATE", "alice < 200 UPDATE"]
    assert stage.person("alice").inbox[-1]["Body"] == "answer"
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-47")
def test_update_without_a_body_is_answered_by_the_stack(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE", "alice UPDATE")  # also while another exchange is open
    assert stage.lines[-2:] == ["alice > UPDATE", "alice < 200 UPDATE"]
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-48", "M-13")
@pytest.mark.parametrize(
    "way", [("alice INVITE",), ("alice INVITE", "service 180"), ("alice INVITE", "service 200"), RECEIVED]
)
def test_info_at_any_time(stage: Stage, way: tuple[str, ...]) -> None:
    stage.play(*way)
    stage.forget()
    stage.play("alice INFO text X-Any=thing", "service 200 INFO text", "service INFO text", "alice 200 INFO text")
    stage.said(
        "alice > INFO", "service INFO", "alice < 200 INFO", "alice < INFO", "alice > 200 INFO", "service 200 INFO",
    )  # fmt: skip
    assert stage.received("INFO").get("X-Any") == "thing"
    assert stage.received("INFO").body == "text"
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-20")
def test_the_ack_to_a_200_may_carry_an_answer(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200 INVITE offer", "alice ACK answer")
    ack = stage.probe.messages[-1]
    assert (ack.body, getattr(ack, "related", None)) == ("answer", stage.task.first)
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("M-8")
def test_an_ack_of_another_invite_confirms_nothing(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK RelatedID=5")
    stage.said("alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > ACK")
    stage.counted("stray ACK")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-42")
def test_too_soon_for_a_second_invite(stage: Stage) -> None:
    """RFC 3261 section 14.2: 500 with a Retry-After of 0 to 10 s."""
    stage.play("alice INVITE", "alice INVITE")
    stage.said("alice > INVITE", "service INVITE", "alice > INVITE", "alice < 500 INVITE")
    assert 0 <= stage.person("alice").inbox[-1]["Retry-After"] <= 10
    stage.play("alice ACK", "service 200 INVITE", "alice ACK RelatedID=1")
    stage.said("alice > ACK", "alice < 200 INVITE", "alice > ACK", "service ACK")
    stage.play("alice BYE")
    stage.forget()


# Requests that repeat the first one's addresses, and may say what they like in return.


@pytest.mark.proves("M-15", "M-16")
def test_inside_a_dialogue_addresses_carry_no_meaning(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO Request-URI=x From=y To=z", "service 200", "service INFO", "alice 200")
    first = stage.task.first
    assert first is not None
    ours = stage.arrived("alice", "INFO")
    for name in ("Request-URI", "From", "To", "DialogueID"):
        assert ours[name] == first.headers[name]
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("M-26")
@pytest.mark.parametrize("value", ["no uri", "", "a b", "sip:"])
def test_a_request_uri_that_is_none(stage: Stage, value: str) -> None:
    alice = stage.person("alice")
    alice.call("service", **{"Request-URI": value})
    stage.said("alice > INVITE", "alice < 400 INVITE")
    stage.counted("bad request")
    assert "Request-URI" in alice.inbox[-1]["Reason"]


@pytest.mark.proves("M-14")
def test_max_forwards_0(stage: Stage) -> None:
    stage.play("alice INVITE Max-Forwards=0")
    stage.said("alice > INVITE", "alice < 483 INVITE")


@pytest.mark.proves("D-17")
def test_an_instance_that_ends_cancels_hangs_up_and_refuses(stage: Stage) -> None:
    for way, said in (
        (["alice INVITE"], ["alice < 500 INVITE"]),
        (["alice INVITE", "service 180", "alice INFO"], ["alice < 500 INVITE", "alice < 500 INFO"]),
        (["alice INVITE", "service 200"], ["alice < BYE"]),
        ([*RECEIVED, "alice INFO"], ["alice < 500 INFO", "alice < BYE"]),
        ([*RECEIVED, "service BYE"], []),
        (["alice INVITE", "service 486"], []),
    ):
        stage.anew()
        stage.play(*way)
        stage.forget()
        stage.task.finish()
        stage.said(*said)
        stage.play("wait 100")
        stage.said()


@pytest.mark.proves("D-17")
@pytest.mark.parametrize(
    ("way", "said"),
    [
        (["service INVITE"], ["bob < CANCEL"]),
        (["service INVITE", "bob 183", "bob UPDATE offer"], ["bob < 500 UPDATE", "bob < CANCEL"]),
        (["service INVITE", "bob 200"], ["bob < ACK", "bob < BYE"]),
        (["service INVITE", "service CANCEL"], []),
        (list(SENT), ["bob < BYE"]),
    ],
)
def test_an_instance_that_ends_leaves_its_callee(stage: Stage, way: list[str], said: list[str]) -> None:
    stage.play(*way)
    stage.forget()
    stage.task.finish()
    stage.said(*said)
    stage.play("wait 100")
    stage.said()


def test_a_service_that_sends_what_is_no_json(stage: Stage) -> None:
    def dial(task: Task, _: object) -> None:
        with pytest.raises(TypeError):
            task.open("bob@gortc.local", body={1, 2})
        task.open("bob@gortc.local")

    stage.person("bob")
    stage.probe.reactions["START"] = dial
    stage.start("service")
    stage.play("bob 486")
    stage.said("bob < INVITE", "service TERM", "bob > 486 INVITE", "bob < ACK", "service 486 INVITE", "service TERM")
