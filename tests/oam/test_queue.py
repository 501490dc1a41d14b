"""All that is asked of the API is done in one queue, a bit at a time; in memory, turn by turn of the reactor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gortc.admission.rounds import Rounds
from gortc.oam import survey
from gortc.oam.turns import Work
from tests.oam.desk import Desk, Phone, Waiting
from tests.oam.test_exchange import HOST, Wire

MOMENT = 1e-6
CALLS = 10
READER = "r" * 40


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """One where a look at all sessions takes ten bits, and a bit all of a turn."""
    made = Desk(tmp_path)
    later = made.reactor.callLater
    monkeypatch.setattr(made.reactor, "callLater", lambda delay, *args: later(max(delay, MOMENT), *args))
    monkeypatch.setattr(survey, "AT_ONCE", 1)
    made.add("read", f"{READER} reader")
    alice = Phone(made, "alice@gortc.local")
    for at in range(CALLS):
        alice.call(f"d{at}")
    made.reactor.advance(1)
    made.work_takes_long()
    yield made
    made.server.stopService()


def ask(desk: Desk, path: str, token: str = "", address: str = "10.0.0.1") -> Waiting:
    """From an address."""
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    return desk.connect(f"GET {path} HTTP/1.1\r\n{HOST}\r\n{shown}\r\n".encode(), Wire(address))


def turns(desk: Desk, number: int) -> None:
    """So many of the reactor's."""
    for _ in range(number):
        desk.reactor.advance(2 * MOMENT)


def said(*some: Waiting) -> list[bool]:
    """Who has been answered."""
    return [b"HTTP/1.1 200 OK" in one.said() for one in some]


LONG = "/runtime/v1/jstack"


def test_so_many_ask_and_a_turn_has_one_bit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they ask for, with a token or without."""
    bits = 0
    take = Work.take_turn

    def counted(work: Work) -> None:
        nonlocal bits
        bits += 1
        take(work)

    monkeypatch.setattr(Work, "take_turn", counted)
    some = [ask(desk, LONG, READER) for _ in range(30)]
    some += [ask(desk, path, address=f"10.0.1.{at}") for at in range(10) for path in ("/metrics", "/healthz")]
    for number in range(1, 60 * CALLS):
        turns(desk, 1)
        assert bits <= number
    assert all(said(*some))
    assert desk.server.management.door.waiting == 0


def test_who_asks_much_keeps_no_other_waiting(desk: Desk) -> None:
    """Neither another token, nor a stranger."""
    many = [ask(desk, LONG, READER) for _ in range(50)]
    turns(desk, 20)
    mine, probe = ask(desk, LONG, desk.token), ask(desk, "/healthz", address="10.0.0.2")
    turns(desk, 8)
    assert said(probe) == [True]
    turns(desk, 6 * CALLS)
    assert said(mine) == [True]
    assert sum(said(*many)) < len(many) // 2
    turns(desk, 60 * CALLS)
    assert all(said(*many))


def test_strangers_keep_no_operator_waiting(desk: Desk) -> None:
    """Whom one address has sent, however many they are, are one. Who is polled by all of them takes turns with them."""
    many = [ask(desk, "/metrics", address="10.0.0.9") for _ in range(90)]
    mine = ask(desk, LONG, desk.token, "10.0.0.9")
    turns(desk, 6 * CALLS)
    assert said(mine) == [True]
    assert sum(said(*many)) < 10
    turns(desk, 100 * CALLS)
    assert all(said(*many))


def test_what_one_asks_for_is_done_one_after_the_other(desk: Desk) -> None:
    """The oldest first; what is short does not wait behind it."""
    many = [ask(desk, LONG, READER) for _ in range(10)]
    short = ask(desk, "/healthz", READER)
    turns(desk, 2 * len(many) + 4)
    assert said(short) == [True]
    assert sum(said(*many)) <= 2
    done = 0
    while not all(said(*many)):
        turns(desk, 1)
        assert said(*many) == sorted(said(*many), reverse=True)
        done += 1
    assert done > CALLS


def test_who_has_gone_waits_no_longer(desk: Desk) -> None:
    many = [ask(desk, LONG, READER) for _ in range(20)]
    turns(desk, 3)
    for one in many:
        one.leave()
    assert desk.server.management.door.waiting == 0
    mine = ask(desk, "/healthz")
    turns(desk, 1)
    assert said(mine) == [True]


def test_the_server_stops_while_some_wait(desk: Desk) -> None:
    many = [ask(desk, LONG, READER) for _ in range(20)]
    desk.server.stopService()
    desk.site.stopFactory()
    turns(desk, 50)
    assert not any(one.is_open for one in many)
    assert desk.server.management.door.waiting == 0


def test_a_new_setting_holds_from_now_on(desk: Desk) -> None:
    door: Any = desk.server.management.door
    desk.worked = lambda: 0.0
    assert desk.ask("/runtime/v1/settings?api_connections=7&api_request_seconds=3", "PUT")[0] == 200
    assert (door._room, door.seconds) == (7, 6)


def test_who_is_ahead_is_the_next_of_his_own_only() -> None:
    rounds: Rounds[str] = Rounds()
    for one in ("a1", "b1", "a2", "b2"):
        rounds.add(one, one[0])
    rounds.add("a3", "a", ahead=True)
    rounds.add("c1", "c", ahead=True)
    assert [rounds.take() for _ in range(len(rounds))] == ["a3", "b1", "c1", "a1", "b2", "a2"]
