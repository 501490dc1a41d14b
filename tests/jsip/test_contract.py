"""Rules of docs/jsip.md that no other test is about: routing, names, numbers, bounds at their edges."""

from __future__ import annotations

import re

import pytest

from gortc.client.dialogue import opening
from tests.jsip.kit import Stage, reconnect

RECEIVED = ("alice INVITE", "service 200", "alice ACK")


# 1. Channel


@pytest.mark.proves("C-22", "C-23")
def test_a_dialogue_goes_on_over_the_connection_that_replaces_its_own(stage: Stage) -> None:
    stage.play(*RECEIVED)
    old = stage.person("alice")
    stage.forget()
    reconnect(stage, "alice")
    assert old.closed == 4001
    stage.play("service INFO", "alice 200", "alice BYE")
    stage.said(
        "alice < INFO", "alice > 200 INFO", "service 200 INFO", "alice > BYE", "alice < 200 BYE", "service BYE",
        "service TERM",
    )  # fmt: skip
    assert [message["Type"] for message in old.inbox] == ["RESPONSE"]


@pytest.mark.proves("C-24", "C-34", "C-37")
def test_a_dialogue_waits_for_its_peer_to_come_back(stage: Stage) -> None:
    stage.play(*RECEIVED)
    stage.forget()
    stage.person("alice").leave()
    stage.play("service INFO", "wait 60")
    stage.said("service PEER_LOST")
    reconnect(stage, "alice")
    stage.play("alice 200", "alice BYE")
    stage.said(
        "alice < INFO", "service PEER_RESUMED", "alice > 200 INFO", "service 200 INFO", "alice > BYE",
        "alice < 200 BYE", "service BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("C-27")
@pytest.mark.parametrize(
    ("router", "callee"),
    [(None, "bob"), ("carol@gortc.local", "carol"), ("carol@gortc.local;x=1, dave@gortc.local", "carol")],
)
def test_a_first_request_goes_to_the_first_router_uri_else_to_the_request_uri(
    stage: Stage, router: str | None, callee: str
) -> None:
    for name in ("bob", "carol", "dave"):
        stage.person(name)
    headers = {} if router is None else {"Router": router}
    stage.dial("bob@gortc.local", "MESSAGE", headers=headers)
    stage.said(f"{callee} < MESSAGE")
    assert stage.person(callee).inbox[0]["Request-URI"] == "bob@gortc.local"
    stage.play("wait 5")
    stage.said("service 408 MESSAGE (local)", "service TERM")


@pytest.mark.proves("C-30")
@pytest.mark.parametrize(
    ("connected", "uri"),
    [
        ("sip:bob@gortc.local", "bob@gortc.local"),
        ("bob@gortc.local", "SIPS:%62ob@gortc.local"),
        ("pbx:bob@gortc.local", "PBX:bob@gortc.local"),
        ("bob@elsewhere.example", "bob@ELSEWHERE.example:5060;transport=ws"),
    ],
)
def test_a_connected_channel_by_its_name_in_any_spelling(stage: Stage, connected: str, uri: str) -> None:
    user = stage.user(connected)
    stage.dial(uri, "MESSAGE")
    user.expect("MESSAGE")
    stage.forget()
    stage.play("wait 5")
    stage.forget()


@pytest.mark.proves("C-30")
def test_another_prefix_is_another_channel(stage: Stage) -> None:
    plain, prefixed = stage.user("bob@gortc.local"), stage.user("pbx:bob@gortc.local")
    stage.dial("pbx:bob@gortc.local", "MESSAGE")
    prefixed.expect("MESSAGE")
    stage.play("wait 5")
    stage.forget()
    stage.dial("im:bob@gortc.local", "MESSAGE")
    stage.said("service 480 MESSAGE (local)", "service TERM")
    plain.expect_nothing()
    prefixed.expect_nothing()


@pytest.mark.proves("C-33")
def test_later_messages_follow_the_channel_whatever_their_request_uri_says(stage: Stage) -> None:
    carol = stage.person("carol")
    stage.play(*RECEIVED)
    stage.forget()
    stage.task.request(stage.session, "INFO", headers={"Request-URI": carol.name, "Router": carol.name})
    stage.play("alice 200 INFO", f"alice INFO Request-URI={carol.name} Router={carol.name}", "service 200 INFO")
    stage.said(
        "alice < INFO", "alice > 200 INFO", "service 200 INFO", "alice > INFO", "service INFO", "alice < 200 INFO",
    )  # fmt: skip
    stage.play("alice BYE")
    stage.forget()


# 2. Message


@pytest.mark.proves("M-6")
def test_who_opens_a_dialogue_makes_its_id(stage: Stage) -> None:
    bob = stage.person("bob")
    stage.probe.reactions["START"] = lambda task, _: [task.open(bob.name, "MESSAGE") for _ in range(100)]
    stage.start("service")
    ids = {message["DialogueID"] for message in bob.inbox}
    assert len(ids) == 100
    assert all(re.fullmatch("dlg_gortc.local_[0-9a-f]{32}", one) for one in ids)
    stage.play("wait 5")
    stage.forget()


@pytest.mark.proves("M-7", "M-8")
def test_each_request_of_ours_has_a_new_number_and_its_response_repeats_it(stage: Stage) -> None:
    stage.play("service INVITE", "service INFO", "service CANCEL", "bob 487 INVITE")
    numbers = [(message["Type"], message["CSeq"]) for message in stage.person("bob").inbox]
    assert numbers == [("INVITE", 1), ("INFO", 2), ("CANCEL", 3), ("ACK", 4)]
    assert [message.get("RelatedID") for message in stage.person("bob").inbox] == [None, None, 1, 1]
    stage.play("wait 5")
    stage.forget()


@pytest.mark.proves("M-8")
def test_without_related_id_the_latest_invite_of_that_side_is_meant(stage: Stage) -> None:
    stage.play(*RECEIVED, "alice INVITE offer")
    again = stage.received("INVITE")
    stage.forget()
    stage.talks["alice"].send("CANCEL")
    stage.said("alice > CANCEL", "alice < 200 CANCEL", "alice < 487 INVITE", "service CANCEL")
    assert getattr(stage.probe.messages[-1], "related", None) is again
    stage.talks["alice"].send("ACK")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("M-10")
@pytest.mark.parametrize("method", ["SUBSCRIBE", "REGISTER"])
def test_expire_is_from_0_where_it_is_no_session_interval(stage: Stage, method: str) -> None:
    stage.play(f"alice {method} Expire=0", "service 200 Expire=0")
    stage.said(f"alice > {method}", f"service {method}", f"alice < 200 {method}", "service TERM")
    assert stage.person("alice").inbox[-1]["Expire"] == 0


@pytest.mark.proves("M-18")
@pytest.mark.parametrize(("length", "code"), [(1024, 486), (1025, 400)])
@pytest.mark.parametrize("header", ["Request-URI", "Router"])
def test_a_uri_has_1024_characters_at_most(stage: Stage, header: str, length: int, code: int) -> None:
    stage.probe.reactions["INVITE"] = lambda task, invite: task.answer(invite, 486)
    alice = stage.person("alice")
    text = "host;type=service;x="
    alice.send(opening("INVITE", alice.name, "service@gortc.local") | {header: text + "x" * (length - len(text))})
    answer = alice.inbox[-1]
    assert answer["Code"] == code
    if code == 400:
        assert header in answer["Reason"]
    stage.play("wait 5")
    stage.forget()
    stage.node.journal.counts.clear()  # how a bad one is counted is another test's concern


@pytest.mark.proves("M-30")
def test_well_formed_messages_to_nothing_are_no_garbage(stage: Stage) -> None:
    alice = stage.person("alice")
    for _ in range(30):
        for kind in ("ACK", "BYE", "CANCEL", "INFO"):
            alice.send(opening(kind, alice.name, "x"))
        alice.send({**opening("RESPONSE", alice.name, "x"), "Code": 200})
        alice.open("MESSAGE", "x", Router="h;type=nobody")
    assert alice.closed is None
    assert set(stage.node.journal.counts) == {"stray ACK", "stray response"}
    stage.node.journal.counts.clear()
    stage.forget()


# 3. Transaction


@pytest.mark.proves("T-18", "T-19")
def test_100_requests_of_a_peer_may_be_open_in_a_dialogue(stage: Stage) -> None:
    stage.play(*RECEIVED, *["service INFO"] * 10)  # ours don't count
    stage.forget()
    stage.play(*["alice INFO"] * 101)
    alice = stage.person("alice")
    assert stage.lines.count("service INFO") == 100
    assert [(message["Code"], message["CSeq"]) for message in alice.inbox if message.get("Code", 0) > 200] == [
        (503, 103)
    ]
    stage.forget()
    stage.play("alice BYE")
    assert stage.lines.count("alice < 487 INFO") == 100
    assert stage.lines[:2] == ["alice > BYE", "alice < 200 BYE"]
    stage.forget()


# 4. INVITE session


@pytest.mark.proves("S-40")
def test_a_ringing_invite_is_no_exchange_of_either_side(stage: Stage) -> None:
    stage.play("alice INVITE", "service 183", "alice PRACK", "service 200 PRACK", "service UPDATE", "alice 200 UPDATE")
    stage.said(
        "alice > INVITE", "service INVITE", "alice < 183 INVITE", "alice > PRACK", "service PRACK", "alice < 200 PRACK",
        "alice < UPDATE", "alice > 200 UPDATE", "service 200 UPDATE",
    )  # fmt: skip
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-43")
@pytest.mark.parametrize("way", [("alice INVITE",), ("alice INVITE", "service 180"), ("service INVITE", "bob 180")])
def test_the_service_can_not_offer_anew_before_the_answer(stage: Stage, way: tuple[str, ...]) -> None:
    stage.play(*way)
    stage.forget()
    stage.play("service INVITE")
    stage.said("service 491 INVITE (local)")
    stage.task.finish()
    stage.play("wait 100")
    stage.forget()


@pytest.mark.proves("S-8", "S-33")
def test_a_call_whose_re_invite_was_cancelled_too_late_ends_as_any(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200", "service ACK", "service INVITE offer", "service CANCEL")
    stage.forget()
    stage.play("bob 200 INVITE answer", "bob 200 CANCEL")
    stage.said("bob > 200 INVITE", "bob < ACK", "service 200 INVITE", "bob > 200 CANCEL")
    assert stage.probe.messages[-1].body == "answer"
    stage.play("service BYE", "bob 200 BYE")
    stage.said("bob < BYE", "bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-12", "S-13")
def test_what_the_peer_has_open_is_answered_before_our_ack_and_bye(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200", "bob INFO", "bob INVITE")
    stage.forget()
    stage.play("service BYE")
    stage.said("bob < 487 INFO", "bob < 487 INVITE", "bob < ACK", "bob < BYE")
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-61")
def test_a_200_to_our_re_invite_crosses_our_bye(stage: Stage) -> None:
    stage.play(*RECEIVED, "service INVITE offer", "service BYE")
    stage.forget()
    stage.play("alice 200 INVITE")
    stage.said("alice > 200 INVITE", "alice < ACK", "service 487 INVITE (local)")
    assert stage.person("alice").inbox[-1]["RelatedID"] == stage.invited().cseq
    stage.play("alice 200 BYE")
    stage.said("alice > 200 BYE", "service TERM")


# 5. Times


@pytest.mark.proves("X-5")
def test_the_time_of_a_cancelled_invite_runs_from_the_cancel(stage: Stage) -> None:
    stage.play("service INVITE", "wait 50", "service CANCEL", "wait 31.9")
    stage.said("bob < INVITE", "bob < CANCEL")
    stage.play("wait 0.1")
    stage.said("service 487 INVITE (local)", "service TERM")


@pytest.mark.proves("X-10")
def test_a_day_is_the_longest_interval_for_who_refreshes_as_well(stage: Stage) -> None:
    stage.play(*RECEIVED, f"alice UPDATE Expire={10**9}")  # without Expire before, so it is we who refresh
    stage.forget()
    stage.play("wait 28799.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("alice < UPDATE")
    assert stage.arrived("alice", "UPDATE")["Expire"] == 86_400
    stage.play("alice 200 UPDATE", "alice BYE")
    stage.forget()


# 6. Which service logic gets it


@pytest.mark.proves("D-18")
def test_a_server_that_stops(stage: Stage) -> None:
    ringing, talking = (stage.person(name).call("service") for name in ("alice", "carol"))
    stage.task.answer(stage.received(), 200)
    talking.ack()
    stage.forget()
    stage.node.stop()
    stage.said("alice < 503 INVITE", "carol < BYE")
    ringing.ack()
    talking.reply(200, to=stage.arrived("carol", "BYE"))
    stage.said("alice > ACK", "carol > 200 BYE")
