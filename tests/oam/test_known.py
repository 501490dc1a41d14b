"""Who shows a good token fills no log, and hides neither others nor himself, in memory."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from gortc import Settings
from gortc.admission import Rate
from gortc.oam.known import CHANGED, LOOKED, REFUSED, done
from gortc.oam.log import Level, Observer
from tests.oam.desk import Desk

READER, OLGA = "r" * 40, "o" * 40


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One with an access log, and few lines for each name."""
    made = Desk(tmp_path, access_log=str(tmp_path / "access"), api_log_of_one=Rate(1, 5))
    made.add("read", READER)
    made.add("operate", f"{OLGA} olga")
    yield made
    made.server.stopService()


def rows(desk: Desk) -> list[Any]:
    """Of the access log."""
    return [json.loads(line) for line in Path(desk.server.settings.access_log).read_text().splitlines()]


def pass_by(desk: Desk, seconds: float = 1) -> None:
    """The time after which it is told what was left out."""
    desk.reactor.advance(seconds)
    desk.server.tell_log()


def test_a_reader_hides_no_operator(desk: Desk, of_the_api: list[LogEvent]) -> None:
    """Whatever the reader does: look, or be refused."""
    for number in range(300):
        desk.ask(f"/runtime/v1/channels/{number}", "DELETE", token=READER)
        desk.ask("/runtime/v1/jstack", token=READER)
        desk.ask(f"/runtime/v1/channels/{number}", token=READER)
    desk.ask("/runtime/v1/drain", "POST", token=OLGA)
    desk.ask("/runtime/v1/channels/bob", "DELETE", token=OLGA)
    assert Counter((row["who"], row["method"], row["status"]) for row in rows(desk)) == {
        ("read", "DELETE", 403): 3, ("read", "GET", 404): 2, ("read", "GET", 200): 5, ("olga", "POST", 200): 1,
        ("olga", "DELETE", 404): 1,
    }  # fmt: skip
    said = [str(formatEvent(event)) for event in of_the_api if event["log_level"] is LogLevel.info]
    assert said[-2:] == [
        "olga at 192.168.1.1: POST /runtime/v1/drain: 200",
        "olga at 192.168.1.1: DELETE /runtime/v1/channels/bob: 404",
    ]


@pytest.mark.parametrize("noise", [("GET", "/runtime/v1/jstack"), ("DELETE", "/runtime/v1/channels/x")])
def test_nobody_hides_what_he_has_done_himself(desk: Desk, of_the_api: list[LogEvent], noise: tuple[str, str]) -> None:
    for _ in range(100):
        desk.ask(noise[1], noise[0], token=OLGA)
    desk.ask("/runtime/v1/drain", "POST", token=OLGA)
    assert (rows(desk)[-1]["who"], rows(desk)[-1]["method"], len(rows(desk))) == ("olga", "POST", 6)
    assert formatEvent(of_the_api[-1]) == "olga at 192.168.1.1: POST /runtime/v1/drain: 200"


def test_what_was_left_out_is_told(desk: Desk, of_the_api: list[LogEvent]) -> None:
    """By name, role and kind; so the rows of the access log add up."""
    for _ in range(20):
        desk.ask("/runtime/v1/jstack", token=READER)
        desk.ask("/runtime/v1/channels/x", "DELETE", token=READER)
        desk.ask("/runtime/v1/channels/x", "DELETE", token=OLGA)
    pass_by(desk)
    told = [(str(formatEvent(event)), event["log_level"]) for event in of_the_api if "count" in event]
    assert told == [
        ("read (read) has looked: 15 more were left out", LogLevel.debug),
        ("read (read) was refused: 15 more were left out", LogLevel.warn),
        ("olga (operate) was refused: 15 more were left out", LogLevel.warn),
    ]
    left_out = [(row["kind"], row["left_out"]) for row in rows(desk) if "left_out" in row]
    assert left_out == [
        ("read (read) has looked", 15),
        ("read (read) was refused", 15),
        ("olga (operate) was refused", 15),
    ]
    assert sum(row.get("left_out", 1) for row in rows(desk)) == 60
    pass_by(desk)
    assert len([event for event in of_the_api if "count" in event]) == 3


def test_what_was_left_out_is_told_at_the_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path, access_log=str(tmp_path / "access"), api_log_of_one=Rate(1, 5))
    for _ in range(50):
        desk.ask("/runtime/v1/jstack")
    desk.server.management.stop()
    assert sum(row.get("left_out", 1) for row in rows(desk)) == 50


def test_who_asks_as_dashboards_do_has_every_row(tmp_path: Path) -> None:
    """By default: ten requests a second for a minute, and a script that asks a thousand things at once."""
    desk = Desk(tmp_path, access_log=str(tmp_path / "access"))
    for _ in range(60):
        for _ in range(10):
            desk.ask("/runtime/v1/drain")
        pass_by(desk)
    for _ in range(1000):
        desk.ask("/runtime/v1/drain")
    assert len(rows(desk)) == 1600
    assert not [row for row in rows(desk) if "left_out" in row]
    desk.server.stopService()


def test_the_access_log_grows_by_so_much(tmp_path: Path) -> None:
    """Of one name that asks without end, in any way."""
    desk = Desk(tmp_path, access_log=str(tmp_path / "access"), api_log_of_one=Rate(2, 10))
    desk.add("read", READER)
    for second in range(30):
        for _ in range(20):
            for method in ("GET", "DELETE", "PATCH", "HEAD"):
                desk.begin("/runtime/v1/" + "%C3%A9" * 32, method, token=READER).leave()
        pass_by(desk)
        assert len(rows(desk)) <= 10 + 2 * (second + 1) + (second + 1)  # a line each second says what was left out
    desk.server.stopService()


def test_nobody_is_remembered(desk: Desk) -> None:
    for number in range(100):
        desk.add("read", f"{number:040} reader{number}")
        desk.ask("/runtime/v1/drain", token=f"{number:040}")
    pass_by(desk, 100)
    pass_by(desk)
    assert len(desk.server.management.known._budget) == 0


def test_each_name_has_its_bytes_of_the_log(desk: Desk) -> None:
    """However many lines a reader may have, what an operator has changed is in the log."""
    out = StringIO()
    settings = Settings(log_bytes_per_second=1024, log_line_max=1024, log_per_second=1)
    observer: Any = Observer(Level("info"), "text", out, settings, desk.reactor.seconds)
    desk.server.node.settings = Settings(api_log_of_one=Rate(10**6, 10**6))
    globalLogPublisher.addObserver(observer)
    for _ in range(2000):
        desk.ask("/runtime/v1/channels/" + "y" * 150, "DELETE", token=READER)
    for _ in range(3):
        desk.ask("/runtime/v1/channels/bob", "DELETE", token=OLGA)
    globalLogPublisher.removeObserver(observer)
    assert 50 < out.getvalue().count("read at 192.168.1.1") < 2000
    assert out.getvalue().count("olga at 192.168.1.1: DELETE /runtime/v1/channels/bob: 404") == 3


@pytest.mark.parametrize(
    ("method", "status", "kind"),
    [
        ("GET", 200, LOOKED), ("HEAD", 200, LOOKED), ("GET", 500, LOOKED), ("GET", 499, LOOKED), ("GET", 404, REFUSED),
        ("POST", 200, CHANGED), ("DELETE", 499, CHANGED), ("POST", 504, CHANGED), ("PUT", 500, CHANGED),
        ("PATCH", 405, REFUSED), ("DELETE", 403, REFUSED),
    ],
)  # fmt: skip
def test_what_has_come_of_it(method: str, status: int, kind: str) -> None:
    """Who hangs up has changed something all the same."""
    assert done(method, status) == kind
