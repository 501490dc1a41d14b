"""The values at the edge of a rule of docs/jsip.md, and the times that end in the same moment."""

from __future__ import annotations

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gortc.jsip.message import Response
from gortc.jsip.status import phrase
from gortc.jsip.syntax import DEPTH_MAX, read
from gortc.jsip.timers import TimerQueue, Timers
from gortc.service.task import Task
from tests.jsip.kit import Stage

RECEIVED = ("alice INVITE", "service 200", "alice ACK")
SENT = ("service INVITE", "bob 200", "service ACK")


# Messages.


def test_brackets_and_braces_nest_together(stage: Stage) -> None:
    alice = stage.person("alice")
    half = DEPTH_MAX // 2
    request = {"Type": "INVITE", "Request-URI": "service", "From": "a", "To": "b", "DialogueID": "d", "CSeq": 1}
    data = orjson.dumps(request)[:-1] + b',"Body":' + b'[{"x":' * half + b"1" + b"}]" * half + b"}"
    alice.send(data)
    assert alice.inbox[-1]["Code"] == 400
    stage.counted("bad request")
    stage.forget()


@pytest.mark.parametrize("code", [100.0, 699.0])
def test_the_first_and_the_last_code_as_a_float(code: float) -> None:
    headers = {"Type": "RESPONSE", "Code": code, "From": "a", "To": "b", "DialogueID": "d", "CSeq": 1}
    message = read(headers)
    assert isinstance(message, Response)
    assert (message.code, type(message.code)) == (int(code), int)


@pytest.mark.parametrize(
    ("code", "text"),
    [(199, "Early Dialog Terminated"), (198, "Progress"), (299, "Success"), (399, "Redirection"),
     (499, "Request Failure"), (599, "Server Failure"), (699, "Global Failure")],
)  # fmt: skip
def test_an_unknown_code_has_the_phrase_of_its_class(code: int, text: str) -> None:
    assert phrase(code) == text


# Numbers.


def test_the_cseq_1_is_a_request_as_any_other(stage: Stage) -> None:
    stage.play(*RECEIVED)
    stage.forget()
    stage.play("service INFO", "alice BYE")
    assert stage.arrived("alice", "INFO")["CSeq"] == 1
    stage.said(
        "alice < INFO", "alice > BYE", "alice < 200 BYE", "service BYE", "service 487 INFO (local)", "service TERM"
    )


def test_the_peers_cseq_1_counts_among_its_open_requests() -> None:
    with Stage(requests_max=3) as stage:
        stage.play("alice INVITE", "alice INFO", "alice INFO")
        stage.forget()
        stage.play("alice INFO")
        stage.said("alice > INFO", "alice < 503 INFO")
        stage.play("alice BYE")
        stage.forget()


@pytest.mark.parametrize("expire", [1, 2])
def test_the_service_may_name_a_short_interval(stage: Stage, expire: int) -> None:
    stage.dial("bob", headers={"Expire": expire})
    assert stage.arrived("bob")["Expire"] == expire
    stage.play("bob 486")
    stage.forget()


def test_the_interval_that_the_service_names_is_the_calls(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 30})
    stage.play("bob 200", "service ACK", "wait 9.9")
    stage.forget()
    stage.play("wait 0.1", "bob 200 UPDATE")
    stage.said("bob < UPDATE", "bob > 200 UPDATE")
    assert stage.arrived("bob", "UPDATE")["Expire"] == 30
    stage.play("bob BYE")
    stage.forget()


def test_a_third_of_an_interval_is_no_whole_number(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 100})
    stage.play("bob 200", "service ACK", "wait 33.3")
    stage.forget()
    stage.play("wait 0.1", "bob 200 UPDATE")
    stage.said("bob < UPDATE", "bob > 200 UPDATE")
    stage.play("bob BYE")
    stage.forget()


def test_the_service_may_not_name_no_interval(stage: Stage) -> None:
    stage.play("alice INVITE")
    errors: list[str] = []

    def open_leg(task: Task, _: object) -> None:
        for expire in (0, -1, "60", 1.5):
            with pytest.raises(ValueError, match="Expire must be so many seconds") as error:
                task.open("bob@gortc.local", headers={"Expire": expire})
            errors.append(str(error.value))

    stage.person("bob")
    stage.probe.reactions["INFO"] = open_leg
    stage.forget()
    stage.play("alice INFO")
    assert errors[0] == "Expire must be so many seconds, not 0"
    assert len(errors) == 4
    stage.said("alice > INFO", "service INFO")  # and no TERM of legs that have never been
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-51")
def test_only_what_refreshes_names_an_interval(stage: Stage) -> None:
    stage.play(*SENT, "service INFO")
    assert "Expire" not in stage.arrived("bob", "INFO")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_service_may_name_another_interval_later(stage: Stage, method: str) -> None:
    stage.dial("bob", headers={"Expire": 600})
    stage.play("bob 200", "service ACK", "wait 100")
    stage.play(
        f"service {method} offer Expire=30",
        f"bob 200 {method}",
        *(["service ACK"] if method == "INVITE" else []),
        "wait 9.9",
    )
    stage.forget()
    stage.play("wait 0.1", "bob 200 UPDATE")
    stage.said("bob < UPDATE", "bob > 200 UPDATE")
    assert stage.person("bob").inbox[-1]["Expire"] == 30
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_services_own_offer_is_a_refresh(stage: Stage, method: str) -> None:
    stage.dial("bob", headers={"Expire": 30})
    stage.play("bob 200", "service ACK", "wait 9")
    stage.play(f"service {method} offer", "wait 0.9", f"bob 200 {method}")
    stage.play(*(["service ACK"] if method == "INVITE" else []))
    stage.forget()
    stage.play("wait 9.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("bob < UPDATE")
    stage.play("bob BYE")
    stage.forget()


def test_who_refreshes_goes_on_though_the_peer_names_no_interval(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 30})
    stage.play("bob 200", "service ACK", "wait 5", "bob UPDATE")
    stage.forget()
    stage.play("wait 10", "bob 200 UPDATE")
    stage.said("bob < UPDATE", "bob > 200 UPDATE")
    stage.play("bob BYE")
    stage.forget()


def test_a_refresh_without_an_interval_leaves_the_refreshing_to_who_does_it(stage: Stage) -> None:
    stage.play("alice INVITE Expire=30", "service 200", "alice ACK", "wait 5", "alice UPDATE")
    stage.forget()
    stage.play("wait 34.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("alice < BYE", "service BYE (local)")
    stage.play("alice 200 BYE")
    stage.forget()


# CANCEL.


def test_a_cancel_finds_an_invite_with_a_large_number(stage: Stage) -> None:
    stage.play("alice INVITE CSeq=70000", "service 200", "alice ACK RelatedID=70000")
    stage.forget()
    stage.play("alice CANCEL CSeq=70001 RelatedID=70000")
    stage.said("alice > CANCEL", "alice < 200 CANCEL")
    stage.play("alice BYE CSeq=70002")
    stage.forget()


def test_the_service_cancels_nothing_but_an_invite(stage: Stage) -> None:
    stage.play(*SENT, "service INFO")
    stage.forget()
    stage.task.cancel(stage.sent[-1])
    stage.said()
    stage.counted("CANCEL of nothing")
    stage.play("bob BYE")
    stage.forget()


def test_a_cancel_of_another_request_matches_no_invite(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INFO", "service 200 INFO", "alice INVITE", "service 200", "alice ACK")
    info = stage.received("INFO").cseq
    stage.forget()
    stage.play(f"alice CANCEL RelatedID={info}")
    stage.said("alice > CANCEL", "alice < 481 CANCEL")
    stage.play("alice BYE")
    stage.forget()


def test_a_cancel_of_a_peer_that_has_sent_no_invite(stage: Stage) -> None:
    stage.play(*SENT)
    stage.forget()
    stage.talks["bob"].send("CANCEL")
    stage.said("bob > CANCEL", "bob < 481 CANCEL")
    stage.play("bob BYE")
    stage.forget()


# Times.


@pytest.mark.parametrize("rings", [0, 1])
def test_a_cancelled_invite_has_its_32_s_whatever_is_left_of_the_600(stage: Stage, rings: int) -> None:
    stage.play("service INVITE", *["bob 180", "wait 59"] * 10, *["bob 183"] * rings, "service CANCEL")
    stage.forget()
    stage.play("bob 200 CANCEL", "wait 31.9")
    stage.said("bob > 200 CANCEL")
    stage.play("wait 0.1")
    stage.said("service 487 INVITE (local)", "service TERM")


def test_an_item_that_starts_again_as_it_fires_needs_one_call_of_the_clock() -> None:
    clock = Clock()
    timers = Timers(clock, lambda: None)
    queue: TimerQueue[str] = timers.queue(5, lambda item: queue.start(item))
    queue.start("again")
    clock.advance(5)
    assert len(clock.getDelayedCalls()) == 1
    assert len(queue) == 1


def test_timers_of_both_kinds_are_counted() -> None:
    timers = Timers(Clock(), lambda: None)
    timers.queue(5, print).start("constant")
    timers.start(7, print, "named")
    assert len(timers) == 2


# States.


@pytest.mark.proves("S-36")
def test_a_cancel_of_nothing_makes_no_early_dialogue(stage: Stage) -> None:
    stage.play("service INVITE")
    stage.task.send(stage.session.make("CANCEL"))
    stage.counted("CANCEL of nothing")
    stage.forget()
    stage.play("bob UPDATE offer")
    stage.said("bob > UPDATE", "bob < 481 UPDATE")
    stage.play("bob 486 INVITE")
    stage.forget()


def test_the_service_cancels_its_re_invite_before_the_ack_to_its_200(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "service INVITE")
    stage.forget()
    stage.play("service CANCEL")
    stage.said("alice < CANCEL")
    stage.play("alice 200 CANCEL", "alice 487 INVITE", "alice ACK RelatedID=1")
    stage.said(
        "alice > 200 CANCEL", "alice > 487 INVITE", "alice < ACK", "service 487 INVITE", "alice > ACK", "service ACK"
    )
    stage.play("alice BYE")
    stage.forget()


def test_who_has_hung_up_before_the_ack_is_leaving(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "service BYE")
    stage.forget()
    stage.play("alice INFO", "alice ACK RelatedID=1", "alice BYE", "alice 200 BYE")
    stage.said(
        "alice > INFO", "alice < 481 INFO", "alice > ACK", "service ACK", "alice > BYE", "alice < 200 BYE",
        "alice > 200 BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "PRACK", "INFO"])
def test_nothing_goes_into_a_call_that_is_over_however_often(stage: Stage, method: str) -> None:
    stage.play(*SENT)
    stage.probe.reactions["BYE"] = lambda task, message: Deferred()  # it lives on
    stage.play("bob BYE")
    stage.forget()
    stage.play(f"service {method} offer", f"service {method} offer")
    stage.said(*[f"service 481 {method} (local)"] * 2)
    stage.task.finish()
