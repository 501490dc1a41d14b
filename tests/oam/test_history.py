"""What calls did: ladders, messages, traces to a file, and figures; in memory."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gortc.client.trace import read
from gortc.oam import history, survey
from gortc.oam.history import is_about
from gortc.oam.pulse import BEATS
from tests.oam.desk import Desk, Phone

ALICE, BOB = "alice@gortc.local", "bob@gortc.local"
BASE = "/runtime/v1/sessions"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A server whose traces are in a folder of the test."""
    made = Desk(tmp_path, trace_folder=str(tmp_path / "traces"), trace_file_max=3000)
    made.server.startService()
    yield made
    made.server.stopService()


def call_bob(desk: Desk) -> tuple[Phone, Phone]:
    """Alice calls Bob, who rings and answers."""
    alice, bob = Phone(desk, ALICE), Phone(desk, BOB)
    alice.say("INVITE", "up", 1, BOB, Body="v=0 alice")
    down = bob.said[-1]["DialogueID"]
    desk.reactor.advance(0.2)
    bob.answer(180)
    desk.reactor.advance(3)
    bob.answer(200, Body="v=0 bob")
    alice.say("ACK", "up", 2, BOB, RelatedID=1)
    assert bob.said[-1]["DialogueID"] == down
    return alice, bob


def hang_up(desk: Desk, alice: Phone, bob: Phone) -> None:
    """Alice does."""
    alice.say("BYE", "up", 3, BOB)
    bob.answer(200)
    desk.reactor.advance(60)
    assert desk.server.node.sessions.count == 0


def test_a_call_that_goes_on_and_one_that_is_over(desk: Desk) -> None:
    """The same ladder, by either leg's DialogueID."""
    alice, bob = call_bob(desk)
    down = bob.said[0]["DialogueID"]
    status, told = desk.ask(f"{BASE}/up")
    assert status == 200
    assert [leg["dialogue"] for leg in told["legs"]] == [down]
    assert [message["message"].get("Code", message["message"]["Type"]) for message in told["messages"]] == [
        "INVITE", "INVITE", 180, 180, 200, 200, "ACK", "ACK",
    ]  # fmt: skip
    assert not any("Body" in message["message"] for message in told["messages"])
    going_on = desk.ask(f"{BASE}/up/ladder.txt")[1]
    hang_up(desk, alice, bob)
    assert desk.ask(f"{BASE}/up")[0] == 404
    over = desk.ask(f"{BASE}/up/ladder.txt")[1]
    assert over == desk.ask(f"{BASE}/{down}/ladder.txt")[1]
    assert over.startswith(going_on.rstrip("\n"))
    assert over.count("- BYE -") == 2
    assert [line.split()[0] for line in over.splitlines()[1:]] == [f"{at:.3f}" for at in (0, 0, 0.2, 0.2, *[3.2] * 8)]
    svg = desk.begin(f"{BASE}/up/ladder.svg").said()
    assert b"image/svg+xml" in svg
    assert svg.count(b"BYE") >= 2
    assert desk.ask(f"{BASE}/up/ladder.mmd")[1].startswith("sequenceDiagram")
    bodies = [said["message"].get("Body") for said in desk.ask(f"{BASE}/up/messages")[1]["messages"]]
    assert bodies.count("v=0 alice") == bodies.count("v=0 bob") == 2
    for path in ("ladder.txt", "ladder.svg", "messages"):
        assert desk.ask(f"{BASE}/nothing/{path}")[0] == 404


def test_the_same_dialogue_id_on_two_channels(desk: Desk) -> None:
    alice, bob = Phone(desk, ALICE), Phone(desk, BOB)
    alice.call("same")
    bob.call("same")
    for path in ("same", "same/ladder.txt", "same/messages"):
        status, answer = desk.ask(f"{BASE}/{path}")
        assert (status, answer["code"]) == (409, 8)
        assert answer["msg"] == f"several channels have it; say which: channel={ALICE}, {BOB}"
        assert desk.ask(f"{BASE}/{path}?channel={BOB}")[0] == 200
        assert desk.ask(f"{BASE}/{path}?channel=sip:bob@GORTC.local")[0] == 200
    ladder = desk.ask(f"{BASE}/same/ladder.txt?channel={BOB}")[1]
    assert "bob" in ladder
    assert "alice" not in ladder


@pytest.mark.parametrize(
    "dialogue", ["with/slash", "with space", "ünïcode", "a%2Fb", 'quo"te', "back\\slash", "ladder.txt"]
)
def test_whatever_a_dialogue_is_called(desk: Desk, dialogue: str) -> None:
    from urllib.parse import quote

    Phone(desk, ALICE).call(dialogue)
    path = quote(dialogue, safe="/") if "%" not in dialogue else "a%252Fb"
    status, told = desk.ask(f"{BASE}/{path}")
    assert (status, told["dialogue"]) == (200, dialogue)
    assert "INVITE" in desk.ask(f"{BASE}/{path}/ladder.txt")[1]
    assert desk.ask(f"{BASE}/{path}", "DELETE")[0] == 200
    desk.reactor.advance(60)
    assert desk.server.node.sessions.count == 0
    assert "INVITE" in desk.ask(f"{BASE}/{path}/ladder.txt")[1]


def test_messages_of_a_party_page_by_page(desk: Desk) -> None:
    alice, bob = call_bob(desk)
    carol = Phone(desk, "carol@gortc.local")
    carol.call("other")
    every = desk.ask("/runtime/v1/messages?party=alice")[1]["messages"]
    assert {message["from"] for message in every} | {message["to"] for message in every} == {ALICE, BOB, "gortc"}
    assert every == desk.ask(f"/runtime/v1/messages?party={BOB}")[1]["messages"]
    assert len(desk.ask("/runtime/v1/messages")[1]["messages"]) == len(every) + len(carol.said) + 1
    paged: list[Any] = []
    after = 0
    while len(paged) < len(every):
        page = desk.ask(f"/runtime/v1/messages?party=alice&limit=3&after={after}")[1]
        paged += page["messages"]
        after = page["next"]
    assert paged == every
    rest = desk.ask(f"/runtime/v1/messages?party=alice&after={after}")[1]
    assert rest["messages"] == []
    hang_up(desk, alice, bob)
    news = desk.ask(f"/runtime/v1/messages?party=alice&after={rest['next']}")[1]["messages"]
    assert [message["message"].get("Code", message["message"]["Type"]) for message in news] == ["BYE", 200, "BYE", 200]
    assert desk.ask("/runtime/v1/messages?limit=0")[1]["messages"] == []


def test_calls_go_on_while_a_long_tape_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "AT_ONCE", 3)
    desk.work_takes_long()
    call_bob(desk)
    waiting = desk.begin(f"{BASE}/up/ladder.txt")
    assert not waiting.said()
    for _ in range(20):
        desk.reactor.advance(0)
    assert waiting.answer()[1].count("INVITE") == 2


def test_calls_go_on_while_many_sessions_are_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "AT_ONCE", 3)
    desk.work_takes_long()
    alice = Phone(desk, ALICE)
    for number in range(10):
        alice.call(f"d{number}")
    for path in ("/metrics", "/runtime/v1/jstack"):
        waiting = desk.begin(path)
        assert not waiting.said()
        for _ in range(5):
            desk.reactor.advance(0)
        assert waiting.answer()[0] == 200
    assert desk.server.node.sessions.count == 10


def test_without_a_tape(tmp_path: Path) -> None:
    desk = Desk(tmp_path, trace_bytes=0)
    Phone(desk, ALICE).call("some")
    assert desk.ask(f"{BASE}/some")[1]["messages"] == []
    assert desk.ask(f"{BASE}/some/ladder.txt") == (409, {"code": 9, "msg": "there is no tape: trace_bytes is 0"})
    desk.server.stopService()


def test_readers_see_no_bodies(desk: Desk) -> None:
    desk.add("read", "r" * 40)
    Phone(desk, ALICE).call("some")
    for path, status in {"some": 200, "some/ladder.svg": 200, "some/messages": 403}.items():
        assert desk.ask(f"{BASE}/{path}", token="r" * 40)[0] == status
    assert desk.ask("/runtime/v1/messages", token="r" * 40)[0] == 403


def test_a_trace_of_a_user(desk: Desk, tmp_path: Path) -> None:
    status, trace = desk.ask("/runtime/v1/traces?party=bob", "POST")
    assert (status, trace["party"], trace["seconds"]) == (200, "bob", 3600)
    alice, bob = call_bob(desk)
    Phone(desk, "carol@gortc.local").call("other")
    hang_up(desk, alice, bob)
    [row] = desk.ask("/runtime/v1/traces")[1]["traces"]
    with open(row["file"], "rb") as file:
        said = read(file, "trace")
    assert len(said) == row["messages"] == 12
    assert {one.source for one in said} == {ALICE, BOB, "gortc"}
    assert stat.S_IMODE(Path(row["file"]).stat().st_mode) == 0o600
    assert desk.ask(f"/runtime/v1/traces/{row['name']}", "DELETE")[0] == 200
    assert desk.ask(f"/runtime/v1/traces/{row['name']}", "DELETE")[0] == 404
    alice.call("after")
    assert len(Path(row["file"]).read_text().splitlines()) == 12
    assert desk.server.node.syntax.trace is None


def test_a_trace_ends_by_itself(desk: Desk) -> None:
    """When its time is up, and when its file is full."""
    first = desk.ask("/runtime/v1/traces?party=nobody&minutes=1", "POST")[1]
    second = desk.ask("/runtime/v1/traces?party=alice", "POST")[1]
    alice = Phone(desk, ALICE)
    for number in range(20):
        alice.call(f"d{number}")
    assert Path(second["file"]).stat().st_size <= 3000
    assert [row["name"] for row in desk.ask("/runtime/v1/traces")[1]["traces"]] == [first["name"]]
    desk.reactor.advance(60)
    assert desk.ask("/runtime/v1/traces")[1]["traces"] == []


@pytest.mark.parametrize("letter", ["\u00e9", "\U0001f600"])
def test_a_traces_file_is_measured_in_bytes(desk: Desk, letter: str) -> None:
    trace = desk.ask("/runtime/v1/traces?party=alice", "POST")[1]
    alice = Phone(desk, ALICE)
    for number in range(40):
        alice.say("MESSAGE", f"d{number}", 1, "echo", Router="gortc.local;type=echo", Body=letter * 100)
    assert 2000 < Path(trace["file"]).stat().st_size <= 3000
    assert desk.ask("/runtime/v1/traces")[1]["traces"] == []


def test_traces_that_can_not_be(desk: Desk, tmp_path: Path) -> None:
    for query in (
        "",
        "party=",
        "party=" + "x" * 257,
        "party=a&minutes=0",
        "party=a&minutes=x",
        "party=a&minutes=99999",
    ):
        assert desk.ask(f"/runtime/v1/traces?{query}", "POST")[0] == 400
    evil = desk.ask("/runtime/v1/traces?party=../../etc/passwd", "POST")[1]
    assert Path(evil["file"]).parent == tmp_path / "traces"
    for _ in range(9):
        assert desk.ask("/runtime/v1/traces?party=a", "POST")[0] == 200
    assert desk.ask("/runtime/v1/traces?party=a", "POST")[0] == 409
    desk.server.management.traces.stop()
    (tmp_path / "file").write_text("")
    desk.server.node.settings = type(desk.server.settings)(trace_folder=str(tmp_path / "file"))
    assert desk.ask("/runtime/v1/traces?party=a", "POST")[0] == 409


@pytest.mark.parametrize(
    ("party", "yes"),
    [("alice", True), (ALICE, True), ("sip:alice@GORTC.local", True), ("%61lice", True), ("pbx:alice", False),
     ("Alice", False), ("%34%30%30", True), ("400", True), ("400@gortc.local", True), ("agent1", True),
     ("carol", False), ("alice@other", False), ("", False)],
)  # fmt: skip
def test_who_a_message_is_about(party: str, yes: bool) -> None:
    message: dict[str, Any] = {
        "From": ALICE,
        "To": "400@gortc.local",
        "Request-URI": "agent1@gortc.local",
        "Body": "carol",
    }
    assert is_about(party, "x@gortc.local", message) is yes


def value(text: str, line: str) -> float:
    """A figure."""
    return float(next(each for each in text.splitlines() if each.startswith(f"{line} ")).rpartition(" ")[2])


def test_figures(desk: Desk) -> None:
    alice, bob = call_bob(desk)
    text = desk.ask("/metrics")[1]
    assert value(text, 'gortc_sessions_by_state{direction="in",service="default",state="confirmed"}') == 1
    assert value(text, 'gortc_sessions_by_state{direction="out",service="default",state="confirmed"}') == 1
    hang_up(desk, alice, bob)
    Phone(desk, "carol@gortc.local").call("other")
    text = desk.ask("/metrics")[1]
    assert "gortc_sessions_by_state{" in text
    received, sent = "gortc_messages_received_total", "gortc_messages_sent_total"
    figures = {
        received + '{code="",type="INVITE"}': 2, sent + '{code="",type="INVITE"}': 1,
        received + '{code="",type="ACK"}': 1, sent + '{code="180",type="RESPONSE"}': 2,
        received + '{code="200",type="RESPONSE"}': 2, "gortc_calls_total": 2, "gortc_sessions": 1,
        'gortc_set_up_seconds_bucket{le="2.0"}': 1, 'gortc_set_up_seconds_bucket{le="4.0"}': 2,
        "gortc_set_up_seconds_count": 2, "gortc_set_up_seconds_sum": 3.2,
        'gortc_post_dial_delay_seconds_bucket{le="0.1"}': 1, 'gortc_post_dial_delay_seconds_bucket{le="0.25"}': 2,
        'gortc_instances{service="echo"}': 1, 'gortc_instances{service="default"}': 0,
        'gortc_instances_started_total{service="default"}': 1,
    }  # fmt: skip
    assert {line: value(text, line) for line in figures} == pytest.approx(figures)


def test_figures_of_a_service_go_on_as_it_is_replaced(desk: Desk) -> None:
    alice = Phone(desk, ALICE)
    alice.call("one")
    assert desk.ask("/slpm/v1/echo", "POST")[0] == 200
    alice.call("two")
    line = 'gortc_instances_started_total{service="echo"}'
    assert value(desk.ask("/metrics")[1], line) == 2
    alice.say("BYE", "one", 2, "echo")
    desk.reactor.advance(1)
    assert [row["retired"] for row in desk.ask("/slpm/v1/slps")[1]["slps"] if row["name"] == "echo"] == [False]
    assert value(desk.ask("/metrics")[1], line) == 2
    assert value(desk.ask("/metrics")[1], 'gortc_instances{service="echo"}') == 1


def test_calls_a_minute_and_users(desk: Desk) -> None:
    alice = Phone(desk, ALICE)
    for number in range(5):
        alice.call(f"d{number}")
        desk.reactor.advance(1)
    assert desk.ask("/runtime/v1/jstack")[1]["calls_a_minute"] == 5
    rows = desk.ask("/runtime/v1/distribute")[1]["dialogues"]
    assert [row["dialogue"] for row in rows] == [f"d{number}" for number in range(5)]
    assert len({row["instance"] for row in rows}) == 5
    for _ in range(BEATS):
        desk.reactor.advance(1)
    assert desk.ask("/runtime/v1/jstack")[1]["calls_a_minute"] == 0
    users = desk.ask("/runtime/v1/users")[1]
    assert (users["online"], [user["name"] for user in users["users"]]) == (1, [ALICE])


def test_ladders_are_json_free(desk: Desk) -> None:
    """Whatever the messages bring: no picture that a peer draws."""
    alice = Phone(desk, ALICE)
    alice.say("INVITE", "<script>", 1, "<b>@x", To="<script>alert(1)</script>")
    svg = desk.begin(f"{BASE}/%3Cscript%3E/ladder.svg").said()
    assert b"<script" not in svg
    assert json.dumps("<b>") not in svg.decode()
