"""What opens a door is not told to who may only read: relids, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent, globalLogPublisher

from gortc.oam.doors import HIDDEN, for_readers, hide, mark, told
from tests.oam.desk import Desk, Phone

READER, OPERATOR = "r" * 40, "o" * 40
CHOSEN = "a-room-of-ours"
ROUTERS = (
    "x%3Brelid={}", "x%3Btype=conference%3Brelid={}", "%20x%3Brelid={}%2Cy",
    "gortc.local%3Btype=echo%3Brelid={}",
)  # fmt: skip
FOREIGN = "rel_other.example_0123456789abcdef0123456789abcdef"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, start=True, trace_folder=str(tmp_path / "traces"))
    made.add("read", READER)
    made.add("operate", OPERATOR)
    yield made
    made.server.stopService()


def busy(desk: Desk) -> tuple[str, str]:
    """A call whose instance has minted a relid, which all sorts of headers carry, and a conference. The relid, and what
    no reader may see of it."""
    alice = Phone(desk, "alice@gortc.local")
    dispatch = desk.server.node.dispatch
    alice.call("first")
    [session] = desk.server.node.channels.sessions()
    owner: Any = session.owner
    relid = dispatch.mint(owner)
    reason = f"come to {relid}, or to {FOREIGN}"
    router = f"gortc.local;type=echo;relid={relid};key=k3y;lr, b.example;RELID={CHOSEN};TYPE=x"
    carried = {"Reason": reason, "Token": relid, "Body": relid, "X": {"deep": [relid]}}
    to = f"echo@gortc.local;relid={CHOSEN}"
    alice.say("INVITE", "second", 1, to, Router=router, **carried)
    room = f"gortc.local;type=conference;relid={CHOSEN}"
    alice.say("INVITE", "third", 1, "room", Router=room)
    alice.say("ACK", "third", 2, "room")
    alice.say("INVITE", "fourth", 1, "x", Router=f"gortc.local;type=nothing;relid={relid}", Desc=reason)
    return relid, relid.rpartition("_")[2]


def told_to(desk: Desk, token: str) -> dict[str, str]:
    """All that can be asked for by GET, as text."""
    described = desk.ask("/openapi.json")[1]["paths"]
    paths = []
    for path, operations in described.items():
        if "get" in operations:
            named = path.replace("{name}", "alice@gortc.local")
            paths += [named.replace("{dialogue}", one) for one in ("first", "second", "third", "fourth")]
    paths += ["/conference/v1/rooms", "/runtime/v1/traces", "/runtime/v1/which?uri=x&router=x%3Btype%3Decho"]
    found = {}
    for path in dict.fromkeys(paths):
        waiting = desk.begin(path, token=token)
        for _ in range(50):
            desk.reactor.advance(0)
        found[path] = waiting.said().decode()
    return found


def test_a_reader_sees_no_relid(desk: Desk) -> None:
    relid, secret = busy(desk)
    answers = told_to(desk, READER)
    assert sum(" 200 " in answer.partition("\r\n")[0] for answer in answers.values()) > 20
    for path, answer in answers.items():
        for hidden in (secret, CHOSEN, FOREIGN[-32:]):
            assert hidden not in answer, path
    assert relid in "".join(told_to(desk, OPERATOR).values())


def test_what_a_reader_sees_instead(desk: Desk) -> None:
    """Rows can be told apart, and found again."""
    relid, secret = busy(desk)
    rows = desk.ask("/runtime/v1/distribute", token=READER)[1]["relids"]
    assert [row["relid"] for row in rows] == [f"rel_gortc.local_{mark(secret)}", mark(CHOSEN)]
    rows = desk.ask("/runtime/v1/distribute", token=OPERATOR)[1]["relids"]
    assert [row["relid"] for row in rows] == [relid, CHOSEN]
    [room] = desk.ask("/conference/v1/rooms", token=READER)[1]["rooms"]
    assert room == {"room": mark(CHOSEN), "members": 1}
    one = desk.ask(f"/conference/v1/rooms/{mark(CHOSEN).replace('#', '%23')}", token=READER)[1]
    assert (one["room"], one["members"]) == (mark(CHOSEN), ["alice@gortc.local"])
    assert desk.ask("/conference/v1/rooms/%23123456789abc", token=READER)[0] == 404


def test_messages_for_readers_and_for_operators(desk: Desk) -> None:
    relid, secret = busy(desk)
    [message] = [row["message"] for row in desk.ask("/runtime/v1/sessions/second", token=READER)[1]["messages"]
                 if row["message"]["Type"] == "INVITE" and row["message"]["DialogueID"] == "second"]  # fmt: skip
    shown = f"rel_gortc.local_{mark(secret)}"
    assert message == {
        "Type": "INVITE", "Request-URI": f"echo@gortc.local;relid={mark(CHOSEN)}", "From": "alice@gortc.local",
        "To": f"echo@gortc.local;relid={mark(CHOSEN)}", "DialogueID": "second", "CSeq": 1,
        "Reason": f"come to {shown}, or to rel_other.example_{mark(FOREIGN[-32:])}", "Token": HIDDEN, "X": HIDDEN,
        "Router": f"gortc.local;type=echo;relid={shown};key={HIDDEN};lr, b.example;RELID={mark(CHOSEN)};TYPE=x",
    }  # fmt: skip
    [message] = [row["message"] for row in desk.ask("/runtime/v1/sessions/second", token=OPERATOR)[1]["messages"]
                 if row["message"]["Type"] == "INVITE" and row["message"]["DialogueID"] == "second"]  # fmt: skip
    assert (message["Token"], "Body" in message) == (relid, False)


def test_a_reader_can_check_no_guess(desk: Desk) -> None:
    """Whether a relid is one is not told to who is not told it: right ones and wrong ones are the same."""
    minted, _ = busy(desk)
    room = {row["room"] for row in desk.ask("/conference/v1/rooms", token=READER)[1]["rooms"]}
    [shown] = room
    assert desk.ask(f"/conference/v1/rooms/%23{shown[1:]}", token=READER)[0] == 200
    assert desk.ask(f"/conference/v1/rooms/{CHOSEN}", token=OPERATOR)[0] == 200
    for right, wrong in ((CHOSEN, "another"), (minted, FOREIGN)):
        for path in ("/conference/v1/rooms/{}", *(f"/runtime/v1/which?uri=x&router={one}" for one in ROUTERS)):
            answers = [desk.ask(path.format(relid), token=READER) for relid in (right, wrong)]
            assert answers[0] == answers[1], path
            assert answers[0][0] in (403, 404)
    found = desk.ask(f"/runtime/v1/which?uri=x&router=x%3Brelid={minted}", token=OPERATOR)[1]
    assert "first" in found["legs"]
    assert desk.ask("/runtime/v1/which?uri=x&router=x%3Btype=echo", token=READER)[0] == 200


def test_no_log_has_a_minted_relid(desk: Desk) -> None:
    _, secret = busy(desk)
    events: list[str] = []
    observer: Any = lambda event: events.append(str(formatEvent(event)))  # noqa: E731
    globalLogPublisher.addObserver(observer)
    try:
        assert desk.ask(f"/conference/v1/rooms/rel_gortc.local_{secret}/x", "DELETE")[0] == 404
        assert desk.ask(f"/conference/v1/rooms/rel_gortc.local_{secret}", token="x" * 40)[0] == 401
    finally:
        globalLogPublisher.removeObserver(observer)
    assert sum("/conference/v1/rooms/rel_gortc.local_#" in line for line in events) == 2
    assert not [line for line in events if secret in line]


@given(st.text(max_size=40), st.sampled_from(["", "rel_a_", ";relid=", ",x;relid=", ";RELID="]), st.text(max_size=40))
def test_whatever_stands_around_it(before: str, how: str, after: str) -> None:
    """A minted one is never seen; one that a URI names is not, whatever it is."""
    minted = "rel_gortc.local_00112233445566778899aabbccddeeff"
    assert minted[-32:] not in hide(f"{before}{how}{minted}").replace(before, "")
    chosen = "".join(letter for letter in after if letter not in ";," and not letter.isspace())
    if len(chosen) > 12 and how.endswith("="):
        assert chosen not in hide(f"x{how}{chosen}")
    assert told(after, "read") != after or not after
    assert told(after, "operate") == after


def test_a_reader_sees_what_no_parameter_says(desk: Desk) -> None:
    """Of any URI, wherever it stands; nor does the name of a trace's file say it."""
    name = "alice@gortc.local;pin=5ecre7;PIN=5ecre7=5ecre7;lr"
    alice = Phone(desk, name)
    to = "room@gortc.local;pin=5ecre7"
    asserted = {"P-Asserted-Identity": name}
    alice.say("INVITE", "first", 1, to, Router="gortc.local;type=conference;relid=r;pin=5ecre7", **asserted)
    alice.say("ACK", "first", 2, to)
    assert desk.ask(f"/runtime/v1/traces?party={quote(to)}", "POST")[0] == 200
    desk.server.node.channels.lost(desk.server.node.channels.by_name[name], alice)
    Phone(desk, name)
    room = f"/conference/v1/rooms/{mark('r').replace('#', '%23')}"
    for path in (
        "stack", "jstack", "sessions", "distribute", "users", "channels", "traces", "metrics",
        f"channels/{quote(name)}", room, "/conference/v1/rooms", "/slpm/v1/slps",
    ):  # fmt: skip
        waiting = desk.begin(path if path.startswith("/") else f"/runtime/v1/{path}", token=READER)
        for _ in range(50):
            desk.reactor.advance(0)
        assert "5ecre7" not in waiting.said().decode(), path
    shown = f"alice@gortc.local;pin={HIDDEN};PIN={HIDDEN};lr"
    row = desk.ask("/runtime/v1/sessions/first", token=READER)[1]
    assert (row["channel"], row["caller"], row["callee"]) == (shown, shown, f"room@gortc.local;pin={HIDDEN}")
    assert row["messages"][0]["message"]["From"] == shown
    assert "5ecre7" not in str([{**row, "messages": 0}, [each["message"] for each in row["messages"]]])
    assert desk.ask(room, token=READER)[1]["members"] == [shown]
    [trace] = desk.ask("/runtime/v1/traces", token=READER)[1]["traces"]
    assert trace["party"] == f"room@gortc.local;pin={HIDDEN}"
    row = desk.ask("/runtime/v1/sessions/first", token=OPERATOR)[1]
    assert (row["channel"], row["caller"], row["callee"]) == (name, name, to)
    assert desk.ask("/conference/v1/rooms/r", token=OPERATOR)[1]["members"] == [name]
    assert desk.ask("/runtime/v1/traces", token=OPERATOR)[1]["traces"][0]["party"] == to


def test_what_readers_see_is_flat_and_short() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    shown = for_readers({"Type": deep, "Desc": "x" * 60000, "Code": 200, "CSeq": {"a": 1}, "Body": deep, "Y": "z"})
    assert shown == {"Type": HIDDEN, "Desc": "x" * 1024, "Code": 200, "CSeq": HIDDEN, "Y": HIDDEN}
