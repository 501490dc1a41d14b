"""The session timer: the last bullets of docs/jsip.md section 4."""

from __future__ import annotations

import pytest

from gortc.jsip.timers import IDLE_MAX
from gortc.jsip.times import Times
from tests.jsip.kit import Stage, reconnect


def sent(stage: Stage, expire: int = 300) -> None:
    """A confirmed call of ours."""
    stage.dial("bob", headers={"Expire": expire})
    stage.play("bob 200", "service ACK")
    stage.forget()


def received(stage: Stage, expire: str = "Expire=300") -> None:
    """A confirmed call of alice's."""
    stage.play(f"alice INVITE {expire}", "service 200", "alice ACK")
    stage.forget()


# The value.


@pytest.mark.proves("S-49", "X-9")
@pytest.mark.parametrize("expire", [0, 1, 9])
def test_less_than_10_gets_423_with_min_expire(stage: Stage, expire: int) -> None:
    stage.play(f"alice INVITE Expire={expire}")
    stage.said("alice > INVITE", "alice < 423 INVITE")
    assert stage.person("alice").inbox[-1]["Min-Expire"] == 10
    stage.play("alice ACK")
    stage.said("alice > ACK")


@pytest.mark.proves("S-49")
@pytest.mark.parametrize("request_", ["INVITE offer", "UPDATE offer", "UPDATE"])
def test_so_it_does_in_a_call_which_stays_as_it_was(stage: Stage, request_: str) -> None:
    received(stage)
    method = request_.split()[0]
    stage.play(f"alice {request_} Expire=9")
    stage.said(f"alice > {method}", f"alice < 423 {method}")
    stage.play("alice UPDATE offer")  # nothing is left open
    stage.said("alice > UPDATE", "service UPDATE")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-50", "X-9", "X-10", "X-11")
@pytest.mark.parametrize(("expire", "taken"), [(10, 10), (86400, 86400), (86401, 86400), (2**53 - 1, 86400)])
def test_more_is_taken_as_the_most(stage: Stage, expire: int, taken: int) -> None:
    received(stage, f"Expire={expire}")
    stage.play(f"wait {taken + 4.9}")
    stage.said()
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-51", "X-8")
def test_we_always_send_expire(stage: Stage) -> None:
    stage.play("service INVITE", "bob 200", "service ACK", "service INVITE", "bob 200", "service ACK", "service UPDATE")
    asked = [message for message in stage.person("bob").inbox if message["Type"] in ("INVITE", "UPDATE")]
    assert [message["Expire"] for message in asked] == [600, 600, 600]
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-51")
def test_the_services_own_expire_goes_out(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 60})
    assert stage.person("bob").inbox[0]["Expire"] == 60
    stage.play("bob 486")
    stage.forget()


def test_the_times_are_settings() -> None:
    with Stage(times=Times(session=30, session_min=20, session_max=40, session_margin=1)) as stage:
        stage.play("alice INVITE Expire=19", "alice ACK")
        assert stage.person("alice").inbox[-1]["Min-Expire"] == 20
        stage.anew()
        received(stage, "Expire=100")
        stage.play("wait 40.9")
        stage.said()
        stage.play("wait 0.1", "alice 200 BYE")
        stage.forget()
        stage.anew()
        stage.play("service INVITE", "bob 486")
        assert stage.person("bob").inbox[0]["Expire"] == 30
        stage.forget()


# The INVITE's sender refreshes.


@pytest.mark.proves("S-53")
def test_it_refreshes_by_update_every_third_of_expire(stage: Stage) -> None:
    sent(stage)
    stage.play("wait 99.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("bob < UPDATE")
    update = stage.person("bob").inbox[-1]
    assert update["Expire"] == 300
    assert "Body" not in update
    stage.play("bob 200", "wait 99.9")
    stage.said("bob > 200 UPDATE")
    stage.play("wait 0.1", "bob 200 UPDATE")
    stage.said("bob < UPDATE", "bob > 200 UPDATE")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-54")
def test_not_while_a_re_invite_is_open(stage: Stage) -> None:
    sent(stage, 30)
    stage.play("service INVITE", "wait 59")
    stage.said("bob < INVITE")
    stage.play("bob 200", "service ACK", "wait 10")
    stage.said("bob > 200 INVITE", "service 200 INVITE", "bob < ACK", "bob < UPDATE")
    stage.play("bob 200 UPDATE", "bob INVITE", "wait 10")
    stage.said("bob > 200 UPDATE", "bob > INVITE", "service INVITE")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-54")
def test_but_while_an_update_is_open(stage: Stage) -> None:
    sent(stage, 10)
    stage.play("service UPDATE offer", "wait 4")
    stage.said("bob < UPDATE", "bob < UPDATE")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-55")
@pytest.mark.parametrize("code", [200, 400, 405, 423, 488, 491, 500, 603])
def test_any_answer_but_481_and_408_proves_life(stage: Stage, code: int) -> None:
    sent(stage)
    for _ in range(10):
        stage.play("wait 100", f"bob {code} UPDATE")
        stage.said("bob < UPDATE", f"bob > {code} UPDATE")
    stage.play("bob BYE")
    stage.forget()


@pytest.mark.proves("S-27")
@pytest.mark.parametrize("code", [408, 481])
def test_481_and_408_end_the_session(stage: Stage, code: int) -> None:
    sent(stage)
    stage.play("wait 100", f"bob {code} UPDATE")
    stage.said("bob < UPDATE", f"bob > {code} UPDATE", "bob < BYE", "service BYE (local)")
    stage.play("bob 481 BYE")
    stage.said("bob > 481 BYE", "service TERM")


@pytest.mark.proves("S-66")
@pytest.mark.parametrize(("least", "then"), [(900, 900), (86_400, 86_400), (86_401, 300), (299, 300), ("900", 300)])
def test_423_to_a_refresh(stage: Stage, least: object, then: int) -> None:
    """The next one has the interval that the peer wants, where that can be."""
    sent(stage)
    stage.play("wait 100")
    stage.talks["bob"].reply(423, to=stage.arrived("bob", "UPDATE"), Min_Expire=least)
    stage.play("wait 100")
    assert stage.person("bob").inbox[-1]["Expire"] == then
    stage.play("bob 200 UPDATE", "bob BYE")
    stage.forget()


@pytest.mark.proves("S-56")
def test_three_in_a_row_unanswered(stage: Stage) -> None:
    sent(stage)
    stage.play("wait 105", "wait 100", "wait 95")
    stage.said("bob < UPDATE", "bob < UPDATE", "bob < UPDATE")
    stage.play("wait 5")
    stage.said("bob < BYE", "service BYE (local)")
    assert stage.person("bob").inbox[-1]["Reason"] == "session expired"
    assert stage.probe.messages[-1].headers["Reason"] == "session expired"
    stage.play("bob 200 BYE")
    stage.said("bob > 200 BYE", "service TERM")


@pytest.mark.proves("S-55", "S-56")
def test_two_in_a_row_and_an_answer(stage: Stage) -> None:
    sent(stage)
    stage.play("wait 105", "wait 100", "wait 95", "bob 200 UPDATE", "wait 100", "wait 100", "wait 10")
    assert stage.lines.count("bob < UPDATE") == 5
    assert "bob < BYE" not in stage.lines
    stage.play("bob BYE")
    stage.forget()


def test_provisional_responses_to_a_refresh_are_absorbed(stage: Stage) -> None:
    sent(stage)
    stage.play("wait 100", "bob 100 UPDATE", "bob 180 UPDATE", "bob 183 UPDATE", "bob 200 UPDATE")
    stage.said(
        "bob < UPDATE", "bob > 100 UPDATE", "bob > 180 UPDATE", "bob > 183 UPDATE", "bob > 200 UPDATE",
    )  # fmt: skip
    stage.play("bob BYE")
    stage.forget()


def test_a_session_that_ends_while_a_refresh_is_open(stage: Stage) -> None:
    sent(stage)
    stage.play("wait 100", "bob BYE")
    stage.said("bob < UPDATE", "bob > BYE", "bob < 200 BYE", "service BYE", "service TERM")


@pytest.mark.proves("S-56")
@pytest.mark.proves("C-38")
def test_a_peer_that_is_away_is_not_asked_to_refresh(stage: Stage) -> None:
    sent(stage)
    stage.person("bob").leave()
    stage.play("wait 119")
    stage.said("service PEER_LOST")
    reconnect(stage, "bob")
    stage.said("service PEER_RESUMED")
    stage.play("wait 99.9")
    stage.said()
    stage.play("wait 0.1", "bob 200", "service BYE", "bob 200")
    stage.said(
        "bob < UPDATE", "bob > 200 UPDATE", "bob < BYE", "bob > 200 BYE", "service TERM",
    )  # fmt: skip


@pytest.mark.proves("C-38")
def test_a_peer_that_is_away_need_not_refresh(stage: Stage) -> None:
    received(stage)
    stage.play("wait 300")
    stage.person("alice").leave()
    stage.play("wait 119")
    stage.said("service PEER_LOST")
    reconnect(stage, "alice")
    stage.said("service PEER_RESUMED")
    stage.play("wait 304.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("alice < BYE", "service BYE (local)")
    stage.play("alice 200 BYE")
    stage.said("alice > 200 BYE", "service TERM")


# The receiver waits for them.


@pytest.mark.proves("S-57", "X-11")
def test_the_receiver_sees_no_refresh_for_expire_and_5_s(stage: Stage) -> None:
    received(stage)
    stage.play("wait 304.9")
    stage.said()
    stage.play("wait 0.1")
    stage.said("alice < BYE", "service BYE (local)")
    assert stage.person("alice").inbox[-1]["Reason"] == "session expired"
    stage.play("alice 200 BYE")
    stage.said("alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-52")
def test_it_runs_from_the_200(stage: Stage) -> None:
    stage.play("alice INVITE Expire=10", "wait 50", "service 200", "wait 14.9")
    stage.said("alice > INVITE", "service INVITE", "alice < 200 INVITE")
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


REFRESHES = [("alice UPDATE",), ("alice UPDATE offer", "service 200"), ("alice INVITE", "service 200", "alice ACK")]


@pytest.mark.proves("S-59")
@pytest.mark.parametrize("refresh", REFRESHES)
def test_refresh_and_re_invite_restart_the_clock(stage: Stage, refresh: tuple[str, ...]) -> None:
    received(stage)
    stage.play("wait 300", *refresh, "wait 304.9")
    stage.forget()
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-60")
def test_a_refresh_may_change_the_interval(stage: Stage) -> None:
    received(stage)
    stage.play("alice UPDATE Expire=20", "wait 24.9")
    stage.said("alice > UPDATE", "alice < 200 UPDATE")
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-37", "S-45", "S-60")
@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
@pytest.mark.parametrize("code", [488, 500, None], ids=["refused", "failed", "not answered"])
def test_an_offer_that_fails_changes_no_interval(stage: Stage, method: str, code: int | None) -> None:
    received(stage)
    stage.play(f"alice {method} offer Expire=20", f"service {code}" if code else "wait 60")
    if method == "INVITE":
        stage.play("alice ACK")
    stage.play("wait 235")
    stage.forget()
    stage.play("alice UPDATE", "wait 304.9")
    stage.said("alice > UPDATE", "alice < 200 UPDATE")
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-37", "S-60")
def test_an_exchange_that_fails_keeps_what_a_refresh_has_changed_before(stage: Stage) -> None:
    received(stage)
    stage.play("alice UPDATE Expire=20", "alice UPDATE offer", "service 488", "wait 24.9")
    stage.forget()
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-59")
def test_our_re_invite_restarts_it_too(stage: Stage) -> None:
    received(stage)
    stage.play("wait 300")
    stage.task.request(stage.session, "INVITE", headers={"Expire": 300})
    stage.play("alice 200 INVITE", "wait 304.9")
    stage.forget()
    stage.play("wait 0.1", "alice 200 BYE")
    assert stage.lines[-2:] == ["alice > 200 BYE", "service TERM"]
    stage.forget()


@pytest.mark.proves("S-58", "X-8")
def test_an_invite_without_expire_is_refreshed_by_its_receiver(stage: Stage) -> None:
    received(stage, "")
    stage.play("wait 199.9")
    stage.said()
    stage.play("wait 0.1", "alice 200 UPDATE")
    stage.said("alice < UPDATE", "alice > 200 UPDATE")
    stage.play("wait 1000")
    assert stage.lines == ["alice < UPDATE"] * 3 + ["alice < BYE", "service BYE (local)", "service TERM"]
    stage.forget()


@pytest.mark.proves("S-52")
def test_an_early_refresh_starts_no_clock(stage: Stage) -> None:
    stage.play("alice INVITE Expire=300", "service 180", "alice UPDATE Expire=20", "wait 50")
    stage.said("alice > INVITE", "service INVITE", "alice < 180 INVITE", "alice > UPDATE", "alice < 200 UPDATE")
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-60")
def test_ten_thousand_intervals_leave_nothing_behind(stage: Stage) -> None:
    received(stage)
    for expire in range(10, 10_010):
        stage.play(f"alice UPDATE Expire={expire}")
    assert len(stage.node.timers._named) <= 1 + IDLE_MAX
    stage.play("alice BYE")
    stage.forget()


@pytest.mark.proves("S-59")
def test_what_fails_is_no_refresh(stage: Stage) -> None:
    """RFC 4028 section 10: the session has another time from a 2xx on."""
    received(stage)
    stage.play(*["wait 60", "alice UPDATE offer", "service 488"] * 5, "wait 4.9")
    stage.forget()
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-53", "S-59")
def test_nor_is_what_we_ask_in_vain(stage: Stage) -> None:
    stage.dial("bob", headers={"Expire": 30})
    stage.play("bob 200", "service ACK", *["wait 4", "service UPDATE offer", "bob 488 UPDATE"] * 2, "wait 1.9")
    stage.forget()
    stage.play("wait 0.1")
    stage.said("bob < UPDATE")
    stage.play("bob 200 UPDATE", "bob BYE")
    stage.forget()


@pytest.mark.proves("S-54", "S-57")
def test_no_refresh_is_missed_while_a_re_invite_is_open(stage: Stage) -> None:
    """Who sends it sends no other."""
    stage.play("alice INVITE Expire=30", "service 200", "alice ACK", "alice INVITE offer")
    stage.forget()
    stage.play("wait 50", "service 200", "alice ACK", "wait 34.9")
    stage.said("alice < 200 INVITE", "alice > ACK", "service ACK")
    stage.play("wait 0.1", "alice 200 BYE")
    stage.said("alice < BYE", "service BYE (local)", "alice > 200 BYE", "service TERM")


@pytest.mark.proves("S-54", "S-57")
@pytest.mark.parametrize("code", [488, 200])
def test_a_re_invite_that_is_open_for_too_long_must_be_accepted(stage: Stage, code: int) -> None:
    stage.play("alice INVITE Expire=30", "service 200", "alice ACK", "wait 20", "service INVITE offer", "wait 20")
    stage.forget()
    stage.play(f"alice {code} INVITE")
    if code == 200:
        stage.play("service ACK")
        stage.said("alice > 200 INVITE", "service 200 INVITE", "alice < ACK")
        stage.play("alice BYE")
    else:
        stage.said(
            "alice > 488 INVITE", "alice < ACK", "service 488 INVITE", "alice < BYE", "service BYE (local)",
        )  # fmt: skip
        assert stage.person("alice").inbox[-1]["Reason"] == "session expired"
        stage.play("alice 200 BYE")
    stage.forget()
