"""Transactions: docs/jsip.md section 3, in its order."""

from __future__ import annotations

import pytest

from tests.jsip.kit import Stage


@pytest.mark.proves("T-1")
def test_both_sides_number_on_their_own(stage: Stage) -> None:
    stage.play("alice INVITE", "service INFO", "alice 200 INFO", "service 200 INVITE")
    assert [message["CSeq"] for message in stage.person("alice").inbox] == [1, 1]
    stage.said(
        "alice > INVITE", "service INVITE", "alice < INFO", "alice > 200 INFO", "service 200 INFO",
        "alice < 200 INVITE",
    )  # fmt: skip
    stage.play("alice ACK", "alice BYE")
    stage.said("alice > ACK", "service ACK", "alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("T-2")
def test_cancel_apart_it_may_reuse_the_cseq_of_its_invite(stage: Stage) -> None:
    stage.play("alice INVITE", "alice CANCEL CSeq=1")
    inbox = stage.person("alice").inbox
    assert [(message["Code"], message["CSeq"]) for message in inbox] == [(200, 1), (487, 1)]
    stage.forget()
    stage.play("alice ACK CSeq=1")
    stage.said("alice > ACK", "service TERM")


@pytest.mark.proves("T-4")
def test_an_ack_has_no_response_and_no_transaction(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK", "alice ACK")
    stage.said("alice > INVITE", "service INVITE", "alice < 200 INVITE", "alice > ACK", "service ACK", "alice > ACK")
    stage.counted("stray ACK")
    assert stage.node.census()["transactions"] == 0
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("T-3")
def test_any_number_of_provisional_responses_and_one_final(stage: Stage) -> None:
    stage.play("alice MESSAGE", "service 100", "service 180", "service 183", "service 180", "service 200")
    stage.said(
        "alice > MESSAGE", "service MESSAGE", "alice < 100 MESSAGE", "alice < 180 MESSAGE", "alice < 183 MESSAGE",
        "alice < 180 MESSAGE", "alice < 200 MESSAGE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("T-5")
def test_it_lives_until_its_final_response(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK", "alice INFO", "service 180")
    assert stage.node.census()["transactions"] == 1
    stage.play("service 200")
    assert stage.node.census()["transactions"] == 0
    stage.play("alice INFO CSeq=3")  # the number is free again
    stage.play("service 200", "alice BYE")
    stage.forget()


@pytest.mark.proves("T-6")
def test_the_same_request_again_is_not_given_to_the_service_twice(stage: Stage) -> None:
    stage.play("alice INVITE", "alice INVITE CSeq=1", "alice INFO", "alice INFO CSeq=3")
    stage.said("alice > INVITE", "service INVITE", "alice > INVITE", "alice > INFO", "service INFO", "alice > INFO")
    stage.counted("repeated request", "repeated request")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("T-7")
def test_a_live_key_with_another_type_gets_400(stage: Stage) -> None:
    stage.play("alice INVITE", "alice INFO CSeq=1")
    stage.said("alice > INVITE", "service INVITE", "alice > INFO", "alice < 400 INFO")
    assert "CSeq 1" in stage.person("alice").inbox[-1]["Reason"]
    stage.play("alice BYE CSeq=9")
    stage.forget()


@pytest.mark.proves("T-18", "T-19")
def test_so_many_requests_of_one_dialogue_may_be_open_and_no_more() -> None:
    with Stage(requests_max=3) as stage:
        stage.play("alice INVITE", "service 200", "alice ACK", "alice INFO", "alice INFO", "alice INFO")
        stage.forget()
        stage.play("alice INFO", "alice INVITE", "alice ACK")
        stage.said("alice > INFO", "alice < 503 INFO", "alice > INVITE", "alice < 503 INVITE", "alice > ACK")
        assert "too many" in stage.person("alice").inbox[-1]["Reason"]
        stage.counted("stray ACK")
        stage.play("service 200 INFO", "alice INFO")
        stage.said("alice < 200 INFO", "alice > INFO", "service INFO")
        stage.play("alice BYE")  # which always passes
        stage.said(
            "alice > BYE", "alice < 200 BYE", "alice < 487 INFO", "alice < 487 INFO", "alice < 487 INFO", "service BYE",
            "service TERM",
        )  # fmt: skip


@pytest.mark.proves("T-8")
def test_a_response_to_no_transaction_is_dropped(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200 CSeq=7")
    stage.said("bob < INVITE", "bob > 200 ?")
    stage.counted("stray response")
    stage.play("bob 486")
    stage.forget()


@pytest.mark.proves("T-8")
def test_a_response_of_the_wrong_side_is_dropped(stage: Stage) -> None:
    stage.play("alice INVITE")
    stage.talks["alice"].reply(200)
    stage.said("alice > INVITE", "service INVITE", "alice > 200 ?")
    stage.counted("stray response")
    stage.play("alice CANCEL", "alice ACK")
    stage.forget()


@pytest.mark.proves("T-9")
def test_a_response_after_the_final_one_is_dropped(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200", "service ACK", "bob 200", "bob 180", "bob 486")
    stage.said(
        "bob < INVITE", "bob > 200 INVITE", "service 200 INVITE", "bob < ACK", "bob > 200 INVITE", "bob > 180 INVITE",
        "bob > 486 INVITE",
    )  # fmt: skip
    stage.counted("stray response", "stray response", "stray response")
    stage.play("bob BYE")
    stage.said("bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-30")
def test_a_response_in_no_known_dialogue_is_dropped(stage: Stage) -> None:
    alice = stage.person("alice")
    alice.send({"Type": "RESPONSE", "Code": 200, "From": "a", "To": "b", "DialogueID": "none", "CSeq": 1})
    stage.said("alice > 200 ?")
    stage.counted("stray response")


@pytest.mark.proves("T-9", "T-10", "X-1")
def test_a_received_request_is_answered_408_after_5_s(stage: Stage) -> None:
    stage.play("alice MESSAGE", "wait 4.9")
    stage.said("alice > MESSAGE", "service MESSAGE")
    stage.play("wait 0.1")
    stage.said("alice < 408 MESSAGE", "service TERM")
    stage.task.answer(stage.received(), 200)
    stage.said()
    stage.counted("late response")


@pytest.mark.proves("T-12", "X-2")
def test_any_provisional_makes_it_60_s(stage: Stage) -> None:
    stage.play("alice MESSAGE", "wait 4", "service 100", "wait 59", "service 183", "wait 0.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("alice < 408 MESSAGE", "service TERM")


@pytest.mark.proves("T-9", "T-11", "X-1")
def test_a_sent_request_gives_a_local_408_after_5_s(stage: Stage) -> None:
    stage.play("service MESSAGE", "wait 4.9")
    stage.said("bob < MESSAGE")
    stage.play("wait 0.1")
    stage.said("service 408 MESSAGE (local)", "service TERM")
    stage.play("bob 200")
    stage.said("bob > 200 MESSAGE")
    stage.counted("stray response")


@pytest.mark.proves("T-13", "X-2")
@pytest.mark.parametrize(("code", "seen"), [(100, []), (180, ["service 180 MESSAGE"])])
def test_a_provisional_response_gives_the_peer_60_s(stage: Stage, code: int, seen: list[str]) -> None:
    stage.play("service MESSAGE", "wait 4", f"bob {code}", "wait 59.9")
    stage.said("bob < MESSAGE", f"bob > {code} MESSAGE", *seen)
    stage.play("wait 0.1")
    stage.said("service 408 MESSAGE (local)", "service TERM")


@pytest.mark.proves("T-14")
def test_a_session_of_one_transaction_ends_with_it(stage: Stage) -> None:
    for method in ("MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS"):
        stage.anew()
        stage.play(f"alice {method}")
        assert stage.node.census()["sessions"] == 1
        stage.play("service 200")
        stage.said(f"alice > {method}", f"service {method}", f"alice < 200 {method}", "service TERM")
        assert stage.node.census()["sessions"] == 0


@pytest.mark.proves("T-14")
def test_a_sent_one_ends_with_its_final_response(stage: Stage) -> None:
    stage.play("service NOTIFY", "bob 100", "bob 180", "bob 404")
    stage.said(
        "bob < NOTIFY", "bob > 100 NOTIFY", "bob > 180 NOTIFY", "service 180 NOTIFY", "bob > 404 NOTIFY",
        "service 404 NOTIFY", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("T-15")
def test_a_received_one_is_one_transaction_only(stage: Stage) -> None:
    stage.play("alice MESSAGE")
    first = stage.received()
    stage.play("alice INFO", "alice MESSAGE", "alice BYE")
    stage.said(
        "alice > MESSAGE", "service MESSAGE", "alice > INFO", "alice < 481 INFO", "alice > MESSAGE",
        "alice < 491 MESSAGE", "alice > BYE", "alice < 481 BYE",
    )  # fmt: skip
    stage.play("alice CANCEL", "alice ACK")
    stage.said("alice > CANCEL", "alice < 481 CANCEL", "alice > ACK")
    stage.counted("stray ACK")
    stage.task.answer(first, 200)
    stage.said("alice < 200 MESSAGE", "service TERM")


@pytest.mark.proves("T-15")
def test_an_invite_in_a_session_of_one_transaction(stage: Stage) -> None:
    stage.play("alice MESSAGE", "alice INVITE")
    stage.said("alice > MESSAGE", "service MESSAGE", "alice > INVITE", "alice < 491 INVITE")
    stage.play("alice ACK")
    stage.said("alice > ACK")
    stage.node.journal.counts.clear()  # whether that INVITE had a transaction is the stack's own business
    stage.play("wait 4", "service 200")
    stage.said("alice < 200 MESSAGE", "service TERM")


@pytest.mark.proves("T-16")
def test_the_service_can_send_nothing_else_in_it(stage: Stage) -> None:
    stage.play("service MESSAGE", "service INFO", "service MESSAGE")
    stage.said("bob < MESSAGE", "service 481 INFO (local)", "service 481 MESSAGE (local)")
    for method in ("BYE", "ACK", "CANCEL"):
        stage.task.request(stage.session, method)
        stage.advance()
        stage.said()
        stage.counted("no INVITE session")
    stage.play("bob 200 MESSAGE")
    stage.said("bob > 200 MESSAGE", "service 200 MESSAGE", "service TERM")


@pytest.mark.proves("T-16")
def test_nor_in_a_received_one(stage: Stage) -> None:
    stage.play("alice MESSAGE", "service MESSAGE")
    stage.said("alice > MESSAGE", "service MESSAGE", "service 481 MESSAGE (local)")
    stage.play("service 200")
    stage.said("alice < 200 MESSAGE", "service TERM")


@pytest.mark.proves("T-15")
def test_a_sent_one_gets_no_request_of_the_peer(stage: Stage) -> None:
    stage.play("service MESSAGE", "bob INFO", "bob MESSAGE", "bob 200 MESSAGE")
    stage.said(
        "bob < MESSAGE", "bob > INFO", "bob < 481 INFO", "bob > MESSAGE", "bob < 491 MESSAGE", "bob > 200 MESSAGE",
        "service 200 MESSAGE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("D-17")
def test_an_instance_that_ends_leaves_its_peer_an_answer(stage: Stage) -> None:
    stage.play("alice MESSAGE")
    stage.task.finish()
    stage.said("alice > MESSAGE", "service MESSAGE", "alice < 500 MESSAGE")


@pytest.mark.proves("D-17")
def test_an_instance_that_ends_waits_for_no_answer(stage: Stage) -> None:
    stage.play("service MESSAGE")
    stage.task.finish()
    stage.said("bob < MESSAGE")


@pytest.mark.proves("T-17")
def test_inside_an_invite_dialogue_they_go_as_info_does(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK")
    stage.forget()
    for method in ("MESSAGE", "SUBSCRIBE", "REGISTER", "OPTIONS", "NOTIFY"):
        stage.play(f"alice {method} text", f"service 200 {method}")
        assert stage.received(method).body == "text"
        stage.said(f"alice > {method}", f"service {method}", f"alice < 200 {method}")
        stage.play(f"service {method} text", f"alice 202 {method}")
        stage.said(f"alice < {method}", f"alice > 202 {method}", f"service 202 {method}")
    stage.play("alice BYE")
    stage.said("alice > BYE", "alice < 200 BYE", "service BYE", "service TERM")


# What can't be delivered.


@pytest.mark.proves("C-31", "T-20")
def test_the_local_480_of_a_user_who_is_not_there(stage: Stage) -> None:
    stage.dial("nobody@gortc.local")
    stage.said("service 480 INVITE (local)", "service TERM")
    assert stage.probe.messages[-2].headers["Desc"] == "Temporarily Unavailable"


@pytest.mark.proves("C-32", "T-20")
def test_the_local_404_of_a_host_that_is_not_ours(stage: Stage) -> None:
    stage.dial("bob@elsewhere.example", "MESSAGE")
    stage.said("service 404 MESSAGE (local)", "service TERM")


@pytest.mark.proves("T-20")
def test_the_service_may_cancel_what_is_not_delivered(stage: Stage) -> None:
    stage.probe.reactions["START"] = lambda task, _: task.cancel(task.open("nobody@gortc.local"))
    stage.start("service")
    stage.said("service 480 INVITE (local)", "service TERM")


@pytest.mark.proves("C-39", "T-20", "X-14")
def test_a_request_in_a_dialogue_of_a_peer_who_has_gone(stage: Stage) -> None:
    stage.play("alice INVITE", "service 200", "alice ACK")
    stage.forget()
    stage.person("alice").leave()
    stage.play("service INFO", "wait 119.9")
    stage.said("service PEER_LOST")
    stage.play("wait 0.1")
    stage.said("service BYE (local)", "service 408 INFO (local)", "service TERM")
    stage.counted("peer gone")


@pytest.mark.proves("C-39")
def test_a_response_to_a_peer_who_never_comes_back(stage: Stage) -> None:
    stage.play("alice MESSAGE")
    stage.person("alice").leave()
    stage.play("service 200")
    stage.said("alice > MESSAGE", "service MESSAGE", "service PEER_LOST", "service TERM")
    stage.play("wait 120")
    stage.said()


@pytest.mark.proves("C-39")
def test_a_peer_never_comes_back_for_the_ack(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200")
    stage.person("bob").leave()
    stage.play("service ACK", "service BYE", "wait 119.9")
    stage.said("bob < INVITE", "bob > 200 INVITE", "service 200 INVITE", "service PEER_LOST")
    stage.play("wait 0.1")
    stage.said("service TERM")
    stage.counted("peer gone")


def test_an_answer_of_the_stack_itself_to_a_peer_who_has_gone(stage: Stage) -> None:
    alice = stage.person("alice")
    lost = alice.channel
    alice.leave()
    bye = b'{"Type": "BYE", "Request-URI": "a", "From": "a", "To": "b", "DialogueID": "x", "CSeq": 1}'
    stage.node.syntax.receive(lost, bye)
    stage.said()


def test_what_was_undeliverable_may_be_over_already(stage: Stage) -> None:
    stage.play("alice MESSAGE")
    request = stage.received()
    stage.play("service 200")
    stage.forget()
    stage.node.transactions.undelivered(request, 480)
    stage.advance()
    stage.said()
