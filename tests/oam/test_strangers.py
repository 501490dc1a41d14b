"""Who shows no good token fills no log, and hides nobody, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from gortc import Settings
from gortc.admission import Rate
from gortc.oam.log import Level, Observer
from tests.oam.desk import Desk
from tests.oam.test_exchange import HOST, Wire

BAD = "x" * 40


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One with an access log."""
    made = Desk(tmp_path, access_log=str(tmp_path / "access"), drop_log_per_second=10, drop_log_of_one=Rate(0.2, 5))
    yield made
    made.server.stopService()


def ask(desk: Desk, path: str, address: str, method: str = "GET", token: str = BAD) -> None:
    """From an address."""
    head = f"{method} {path} HTTP/1.1\r\n{HOST}\r\nAuthorization: Bearer {token}\r\n\r\n"
    desk.connect(head.encode(), Wire(address)).leave()


def rows(desk: Desk) -> list[Any]:
    """Of the access log."""
    return [json.loads(line) for line in Path(desk.server.settings.access_log).read_text().splitlines()]


def pass_by(desk: Desk) -> None:
    """The time after which it is told what was left out."""
    desk.reactor.advance(1)
    desk.server.tell_log()


def test_who_polls_hides_no_other(desk: Desk, of_the_api: list[LogEvent]) -> None:
    """Neither at the same path, nor at one that is open."""
    for _ in range(1000):
        ask(desk, "/runtime/v1/jstack", "10.0.0.1")
        ask(desk, "/healthz", "10.0.0.3")
    ask(desk, "/runtime/v1/drain", "10.0.0.2", "POST")
    said = [str(formatEvent(event)) for event in of_the_api]
    assert sum("10.0.0.1: GET /runtime/v1/jstack: 401" in line for line in said) == 5
    assert sum("10.0.0.3: GET /healthz: 200" in line for line in said) == 5
    assert said[-1] == "API 401: a stranger at 10.0.0.2: POST /runtime/v1/drain: 401"


def test_many_who_look_hide_none_who_is_refused(desk: Desk, of_the_api: list[LogEvent]) -> None:
    for number in range(1000):
        ask(desk, "/readyz", f"10.1.{number % 4}.{number // 4}")
    ask(desk, "/runtime/v1/drain", "10.0.0.2")
    assert [event["reason"] for event in of_the_api] == ["API open"] * 10 + ["API 401"]
    assert [event["log_level"] for event in of_the_api] == [LogLevel.debug] * 10 + [LogLevel.info]


def test_what_was_left_out_is_told_by_time(desk: Desk, of_the_api: list[LogEvent]) -> None:
    """In the log, where it is of somebody who was refused; in the access log all of it, so that its rows add up."""
    for _ in range(50):
        ask(desk, "/runtime/v1/drain", "10.0.0.1", "POST")
        ask(desk, "/healthz", "10.0.0.1")
    for _ in range(20):
        desk.ask("/runtime/v1/drain", "DELETE")  # whom we know is logged all the same
    pass_by(desk)
    told = [(str(formatEvent(event)), event["log_level"]) for event in of_the_api if "count" in event]
    assert told == [
        ("API 401: 45 more of strangers were left out", LogLevel.warn),
        ("API open: 45 more of strangers were left out", LogLevel.debug),
    ]
    assert sum(row.get("left_out", 1) for row in rows(desk)) == 120
    assert [row for row in rows(desk) if "left_out" in row] == [
        {**row, "kind": kind, "left_out": 45}
        for row, kind in zip(rows(desk)[-2:], ("API 401", "API open"), strict=True)
    ]
    pass_by(desk)
    assert len([event for event in of_the_api if "count" in event]) == 2


def test_what_was_left_out_is_told_at_the_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path, access_log=str(tmp_path / "access"))
    for _ in range(50):
        ask(desk, "/", "10.0.0.1")
    desk.server.management.stop()
    assert sum(row.get("left_out", 1) for row in rows(desk)) == 50


def test_a_network_is_one(desk: Desk, of_the_api: list[LogEvent]) -> None:
    """An IPv6 /64."""
    for number in range(20):
        ask(desk, "/", f"2001:db8::{number + 1:x}")
    assert len(of_the_api) == 5


def test_other_settings(desk: Desk, of_the_api: list[LogEvent]) -> None:
    assert desk.ask("/runtime/v1/settings?drop_log_per_second=3", "PUT")[0] == 200
    of_the_api.clear()
    for number in range(20):
        ask(desk, "/", f"10.0.0.{number}")
    assert len(of_the_api) == 3


def test_nobody_is_remembered(desk: Desk) -> None:
    for number in range(200):
        ask(desk, "/", f"10.0.0.{number}")
        desk.reactor.advance(0.3)
    desk.reactor.advance(100)
    pass_by(desk)
    pass_by(desk)
    assert len(desk.server.management.strangers._budget) == 0


NEVER = {
    "a path that is no ASCII": ("GET /é HTTP/1.1\r\n\r\n".encode(), 400),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    "a head without an end": (b"x" * 20000, 400),
    "half a head": (b"GET / HT", 408),
}


@pytest.mark.parametrize(("data", "status"), NEVER.values(), ids=NEVER)
def test_what_never_becomes_a_request(desk: Desk, of_the_api: list[LogEvent], data: bytes, status: int) -> None:
    """A line of its own kind, in the log and the access log, by address; within the strangers' budgets."""
    for address in ["10.0.0.1"] * 20 + ["10.0.0.2"]:
        desk.connect(data, Wire(address))
    desk.reactor.advance(desk.server.settings.api_request_seconds)
    said = [str(formatEvent(event)) for event in of_the_api if "count" not in event]
    assert said == [f"API {status}: a stranger at 10.0.0.{n}: - -: {status}" for n in (1, 1, 1, 1, 1, 2)]
    assert [(row["address"], row["who"], row["status"]) for row in rows(desk) if "status" in row] == [
        (f"10.0.0.{n}", "nobody", status) for n in (1, 1, 1, 1, 1, 2)
    ]
    pass_by(desk)
    assert sum(row.get("left_out", 1) for row in rows(desk)) == 21


def test_half_a_request_of_who_is_known(desk: Desk) -> None:
    """It is named, and takes nothing of what strangers have."""
    head = f"POST /conference/v1/rooms HTTP/1.1\r\n{HOST}\r\nAuthorization: Bearer {desk.token}\r\n"
    for _ in range(20):
        desk.connect(head.encode() + b"Content-Length: 5\r\n\r\n{", Wire())
    desk.reactor.advance(desk.server.settings.api_request_seconds)
    assert [(row["who"], row["status"]) for row in rows(desk)] == [("admin", 408)] * 20


def test_operators_and_strangers_share_no_lines(desk: Desk) -> None:
    """However many bytes strangers have, who has changed what is in the log."""
    out = StringIO()
    settings = Settings(log_bytes_per_second=1024, log_line_max=1024, log_per_second=1, drop_log_per_second=10**6)
    observer: Any = Observer(Level("info"), "text", out, settings, desk.reactor.seconds)
    desk.ask("/runtime/v1/settings?drop_log_per_second=1000000", "PUT")
    globalLogPublisher.addObserver(observer)
    for number in range(3000):
        ask(desk, "/" + "y" * 150, f"10.{number >> 8}.{number & 255}.1", "POST")
    desk.ask("/runtime/v1/drain", "DELETE")
    globalLogPublisher.removeObserver(observer)
    assert 50 < out.getvalue().count("API 401: a stranger") < 3000
    assert "admin at 192.168.1.1: DELETE /runtime/v1/drain: 409" in out.getvalue()
