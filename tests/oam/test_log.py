"""One line an event, as text and as JSON; few lines about what is dropped."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from gortc.jsip.message import Request
from gortc.oam import log

EVENT: LogEvent = {
    "log_time": 0.25,
    "log_level": LogLevel.warn,
    "log_namespace": "gortc.stack",
    "log_format": "{reason}: {detail}",
    "reason": "bad message",
    "detail": "not JSON",
    "isError": 0,
}


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    seen: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def test_text() -> None:
    assert log.as_text(EVENT) == "1970-01-01T00:00:00.250Z warn  [gortc.stack] bad message: not JSON\n"
    assert log.as_text({**EVENT, "log_format": ""}) is None


def test_json() -> None:
    line = log.as_json({**EVENT, "peer": object, "numbers": {1: 2}})
    assert line is not None
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "warn",
        "source": "gortc.stack",
        "event": "bad message: not JSON",
        "reason": "bad message",
        "detail": "not JSON",
        "peer": "<class 'object'>",
        "numbers": {"1": 2},
    }


def test_a_failure_has_its_traceback() -> None:
    event = {**EVENT, "log_failure": Failure(ZeroDivisionError("oh"))}
    assert "ZeroDivisionError: oh" in json.loads(log.as_json(event) or "")["traceback"]
    assert "ZeroDivisionError: oh" in (log.as_text(event) or "")


@pytest.mark.parametrize("form", ["text", "json"])
def test_level_and_file(tmp_path: Path, form: str) -> None:
    path = tmp_path / "gortc.log"
    observe = log.observer(log.Level("warn"), form, str(path))
    observe({**EVENT, "log_level": LogLevel.info})
    observe(EVENT)
    (line,) = path.read_text().splitlines()
    assert "bad message: not JSON" in line
    assert line.startswith("{") == (form == "json")


def test_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    log.observer(log.Level("info"), "text", "-")(EVENT)
    assert out.getvalue().endswith("bad message: not JSON\n")


@pytest.mark.proves("M-28")
def test_lines_about_what_is_dropped_are_few(events: list[LogEvent]) -> None:
    clock = Clock()
    clock.advance(100)
    drops = log.DropLog(clock, 2)
    for number in range(5):
        drops.line("bad message", "alice@gortc.local", f"number {number}")
    assert [event["detail"] for event in events] == ["number 0", "number 1"]
    clock.advance(1)
    drops.line(
        "stray ACK",
        "alice@gortc.local",
        Request({"Type": "ACK", "DialogueID": "d", "CSeq": 7}, "ACK", 7, "d", "a", "b"),
    )
    silent, named = events[2:]
    assert silent["count"] == 3
    assert (named["Type"], named["DialogueID"], named["CSeq"]) == ("ACK", "d", 7)
    assert log.as_text(named or {}) is not None


def test_a_defect_of_ours_is_logged_with_its_traceback(events: list[LogEvent]) -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        log.DropLog(Clock(), 1).failed()
    (event,) = events
    assert event["log_failure"].check(ZeroDivisionError)
    assert isinstance(event["log_logger"], Logger)
