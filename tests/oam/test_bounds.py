"""However many there are of something, an answer has a size, and calls go on while it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gortc.client.ladder import Ladder
from gortc.oam import history, runtime
from gortc.oam.history import AT_ONCE, NAMES_MAX, PAGE_MAX, PARSED, PARTIES_MAX, SEARCHED
from gortc.oam.runtime import LEGS_MAX
from tests.oam.desk import Desk, Phone

BASE = "/runtime/v1/sessions"
BODY = 50_000


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, api_answer_max=4 * BODY)
    yield made
    made.server.stopService()


def turns(desk: Desk, path: str) -> tuple[int, Any]:
    """How many turns of the reactor an answer takes, and the answer."""
    desk.work_takes_long()
    number = 1
    reactor: Any = desk.reactor
    later = reactor.callLater

    def counted(delay: float, *args: Any) -> Any:
        nonlocal number
        number += delay == 0
        return later(delay, *args)

    reactor.callLater = counted
    waiting = desk.begin(path)
    reactor.advance(0)
    reactor.callLater = later
    status, answer = waiting.answer()
    assert status == 200
    return number, answer


def conference(desk: Desk, members: int, prefix: str = "d") -> None:
    """So many meet: an instance with a leg each."""
    for at in range(members):
        phone = Phone(desk, f"user{at}@gortc.local")
        phone.say("INVITE", f"{prefix}{at}", 1, "room", Router=f"gortc.local;type=conference;relid={prefix}")
        phone.say("ACK", f"{prefix}{at}", 2, "room")


def test_a_ladder_with_many_parties(desk: Desk) -> None:
    """The session's own party and the first ones have a line, the others are counted."""
    members = PARTIES_MAX + 20
    conference(desk, members)
    for drawing in ("txt", "mmd", "svg"):
        _, last = turns(desk, f"{BASE}/d{members - 1}/ladder.{drawing}")
        _, first = turns(desk, f"{BASE}/d0/ladder.{drawing}")
        assert "and 20 others, with " in first
        assert "and 19 others, with " in last
        assert f"user{members - 1}" in last
        assert f"user{members - 1}" not in first


def test_a_ladder_is_drawn_bit_by_bit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "DRAWN", 2)
    conference(desk, 20)
    rows = desk.server.node.tape.number if desk.server.node.tape else 0
    assert turns(desk, f"{BASE}/d0/ladder.txt")[0] > rows // 2


@pytest.mark.parametrize(
    "path", ["/runtime/v1/messages?limit=1000", f"{BASE}/long/messages", f"{BASE}/long/ladder.txt"]
)
def test_large_messages_are_read_a_few_a_turn(desk: Desk, path: str) -> None:
    talk(desk, 40)
    number, _ = turns(desk, path)
    assert number > 40 * BODY / (AT_ONCE * PARSED + BODY)


def talk(desk: Desk, number: int) -> None:
    """A dialogue of so many large messages."""
    phone = Phone(desk, "alice@gortc.local")
    phone.say("INVITE", "long", 1, "room", Router="gortc.local;type=conference;relid=r")
    phone.say("ACK", "long", 2, "room")
    for at in range(number):
        phone.say("INFO", "long", 3 + at, "room", Body="x" * BODY)


def test_an_answer_has_so_many_bytes(desk: Desk) -> None:
    """The last ones; page by page all of them."""
    talk(desk, 10)
    for path in ("/runtime/v1/messages?limit=1000", f"{BASE}/long/messages"):
        _, answer = turns(desk, path)
        large = [row["number"] for row in answer["messages"] if len(row["message"].get("Body") or "") == BODY]
        assert len(large) == 3
        assert answer["messages"][-1]["message"]["Type"] == "RESPONSE"
        assert answer.get("more", True)
    found: list[int] = []
    after = 0
    while True:
        _, answer = turns(desk, f"/runtime/v1/messages?limit=1000&after={after}")
        if not answer["messages"]:
            break
        assert sum(len(row["message"].get("Body") or "") for row in answer["messages"]) <= 4 * BODY
        found += [row["number"] for row in answer["messages"]]
        after = answer["next"]
    tape = desk.server.node.tape
    assert tape is not None
    assert found == list(range(tape.number))


def test_one_that_is_larger_than_an_answer(tmp_path: Path) -> None:
    """It is told all the same: nobody would get past it."""
    desk = Desk(tmp_path, api_answer_max=100)
    talk(desk, 1)
    after, seen = 0, 0
    while answer := turns(desk, f"/runtime/v1/messages?after={after}")[1]:
        if not answer["messages"]:
            break
        assert len(answer["messages"]) == 1
        after, seen = answer["next"], seen + 1
    assert desk.server.node.tape is not None
    assert seen == desk.server.node.tape.number
    desk.server.stopService()


def test_what_can_be_read_but_not_written(desk: Desk) -> None:
    """A message that was refused, for it is nested too deeply, keeps nobody from the others."""
    phone = Phone(desk, "alice@gortc.local")
    phone.call("some")
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    for name in ("Body", "Type", "Desc", "Router"):
        phone.say("INFO", "some", 5, "echo", **{name: deep})
    assert [message.get("Code") for message in phone.said][-4:] == [400] * 4
    for path in ("/runtime/v1/messages", f"{BASE}/some/messages", f"{BASE}/some"):
        _, answer = turns(desk, path)
        assert len(answer["messages"]) >= 8
    for drawing in ("txt", "mmd", "svg"):
        assert "INVITE" in turns(desk, f"{BASE}/some/ladder.{drawing}")[1]


def test_an_instance_with_many_legs(desk: Desk) -> None:
    conference(desk, LEGS_MAX + 5)
    _, one = turns(desk, f"{BASE}/d0")
    assert (len(one["legs"]), one["more_legs"]) == (LEGS_MAX, 4)
    [row] = turns(desk, "/runtime/v1/distribute")[1]["relids"]
    assert (len(row["legs"]), row["more_legs"]) == (LEGS_MAX, 5)
    which = turns(desk, "/runtime/v1/which?uri=x&router=x%3Btype%3Dconference%3Brelid%3Dd")[1]
    assert (len(which["legs"]), which["more_legs"]) == (LEGS_MAX, 5)
    assert "and 5 more\n" in turns(desk, "/runtime/v1/stack")[1]
    _, room = turns(desk, "/runtime/v1/sessions?limit=1000")
    assert len(room["sessions"]) == LEGS_MAX + 5


@pytest.mark.parametrize(
    "path", [BASE, "/runtime/v1/channels", "/runtime/v1/users", "/runtime/v1/channels/alice@gortc.local"]
)
def test_rows_are_made_a_few_a_turn(desk: Desk, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "AT_ONCE", 3)
    conference(desk, 30)
    phone = Phone(desk, "alice@gortc.local")
    for at in range(30):
        phone.call(f"more{at}")
    number, answer = turns(desk, f"{path}?limit=1000")
    assert number > 10
    assert answer["more"] is False
    assert len(answer.get("sessions") or answer.get("channels") or answer.get("users")) >= 30
    some = turns(desk, f"{path}?limit=7&offset=20")[1]
    assert some["more"] is True


def test_instances_that_are_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "STACK_MAX", 5)
    phone = Phone(desk, "alice@gortc.local")
    for at in range(12):
        phone.call(f"d{at}")
    _, stack = turns(desk, "/runtime/v1/stack")
    assert stack.count("instance of echo") == 5
    assert "and 7 more instances\n" in stack


def test_many_channels_with_one_dialogue_id(desk: Desk) -> None:
    """So few are named that the answer is a line; a page of them is as long as one says."""
    for at in range(NAMES_MAX + 5):
        Phone(desk, f"user{at}@gortc.local").call("same")
    status, answer = desk.ask(f"{BASE}/same")
    assert status == 409
    assert answer["msg"].count("@") == NAMES_MAX
    assert answer["msg"].endswith(", ...")


def test_rooms_and_members_page_by_page(tmp_path: Path) -> None:
    desk = Desk(tmp_path, start=True)
    for at in range(3):
        conference(desk, 4, f"room{at}")
    for path, name in (("/conference/v1/rooms", "rooms"), ("/conference/v1/rooms/room1", "members")):
        whole = desk.ask(path)[1]
        assert whole["more"] is False
        pages = [desk.ask(f"{path}?limit=2&offset={offset}")[1] for offset in (0, 2)]
        assert pages[0][name] + pages[1][name] == whole[name]
        assert pages[0]["more"] is True
        for query in (f"limit={PAGE_MAX + 1}", "limit=x", "limit=-1", "offset=-1", "limit=", f"limit={'9' * 5000}"):
            assert desk.ask(f"{path}?{query}")[0] == 400
    desk.server.stopService()


# ladders have bytes, too


KINDS = ("txt", "svg", "mmd")


def test_a_ladder_keeps_of_a_message_what_it_draws(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many headers it has, and however long they are."""
    kept: list[dict[str, Any]] = []
    add = Ladder.add

    def seen(ladder: Ladder, time: float, source: str, target: str, message: dict[str, Any]) -> None:
        kept.append(message)
        add(ladder, time, source, target, message)

    monkeypatch.setattr(Ladder, "add", seen)
    phone = Phone(desk, "alice@gortc.local")
    phone.call("some")
    for at in range(3):
        phone.say("INFO", "some", 5 + at, "echo", Desc="y" * 20_000, **{f"{n:x}": 1 for n in range(3000)})
        phone.say("MESSAGE" + "x" * 5000, "some", 15 + at, "echo")
    for kind in KINDS:
        assert turns(desk, f"{BASE}/some/ladder.{kind}")[1].count("INFO") >= 3
    assert len(kept) > 3 * 9
    for message in kept:
        assert message.keys() <= {"Type", "Code", "Desc", "DialogueID", "CSeq"}
        assert all(len(str(value)) <= 100 for value in message.values())
    assert len({id(message["DialogueID"]) for message in kept}) == len(KINDS)


def told_before(text: str) -> int:
    """How many messages a ladder says it has left out."""
    found = re.search(r"(\d+) before these are left out", text)
    return int(found[1]) if found else 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [10_000, 30_000])
def test_a_ladder_has_so_many_bytes(tmp_path: Path, kind: str, most: int) -> None:
    """The last messages, and how many there were before."""
    desk = Desk(tmp_path, api_answer_max=most)
    phone = Phone(desk, "älice@gortc.local")
    phone.call("some")
    for at in range(700):
        desk.reactor.advance(0.7)  # so that a diagram tells the time between some
        phone.say(f"INFO{at}" + "ü" * (at % 7), "some", 5 + at, "echo")
    _, text = turns(desk, f"{BASE}/some/ladder.{kind}")
    assert len(text.encode()) <= most
    all_of_them = sum(entry.channel == phone.name for entry in desk.server.node.tape.entries())  # type: ignore[union-attr]
    drawn = {"svg": text.count('class="rung"'), "mmd": text.count(">>"), "txt": text.count("--")}[kind]
    if kind != "txt":
        assert told_before(text) + drawn == all_of_them
    assert 0 < told_before(text) < all_of_them
    assert "INFO699" in text
    assert "INFO1ü" not in text
    desk.server.stopService()


def test_a_ladder_without_room_has_one_message(tmp_path: Path) -> None:
    desk = Desk(tmp_path, api_answer_max=1)
    Phone(desk, "alice@gortc.local").call("some")
    for kind in KINDS:
        _, text = turns(desk, f"{BASE}/some/ladder.{kind}")
        assert told_before(text) == desk.server.node.tape.number - 1  # type: ignore[union-attr]
        assert "200 " in text
    desk.server.stopService()


def test_a_ladder_with_many_messages_says_how_many_were_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "ROWS_MAX", 7)
    talk(desk, 10)
    said = desk.server.node.tape.number  # type: ignore[union-attr]
    for kind in KINDS:
        _, text = turns(desk, f"{BASE}/long/ladder.{kind}")
        assert told_before(text) == said - 7


@pytest.mark.parametrize("members", [2, 15])
def test_what_is_searched_counts(desk: Desk, members: int) -> None:
    """By its bytes, for each DialogueID that is looked for, also where none is found."""
    conference(desk, members)
    phone = Phone(desk, "mallory@gortc.local")
    phone.call("other")
    for at in range(60):
        phone.say("INFO", "other", 3 + at, "echo", Body="a" * BODY)
    number, _ = turns(desk, f"{BASE}/d1/ladder.txt")
    assert 2 * BODY > AT_ONCE * SEARCHED
    assert number > 60
