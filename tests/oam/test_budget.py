"""Who makes noise is told as a number, and hides nobody else."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from gortc import Settings
from gortc.admission import Limits, Rate
from gortc.jsip.gate import Guest
from gortc.jsip.message import Request
from gortc.node import Node
from gortc.oam.budget import Budget
from gortc.oam.log import DropLog, Level, Observer

SOME, FEW = Rate(10, 10), Rate(0.2, 5)


class Kept:
    """A budget that is asked, and what it tells."""

    def __init__(self, rate: Rate = SOME, each: Rate = FEW) -> None:
        self.told: list[tuple[str, int]] = []
        self.budget = Budget(rate, each, lambda kind, number: self.told.append((kind, number)))

    def ask(self, now: float, kind: str, source: str, times: int) -> int:
        """How many lines it lets through."""
        return sum(self.budget.admits(now, kind, source) for _ in range(times))


def test_a_noisy_source_hides_nobody() -> None:
    kept = Kept()
    assert kept.ask(0, "bad message", "mallory", 1000) == 5
    assert kept.ask(0, "bad message", "alice", 1) == 1
    assert kept.ask(0, "not admitted", "mallory", 1) == 1
    assert kept.ask(4, "bad message", "mallory", 1000) == 0
    assert kept.ask(5, "bad message", "mallory", 1000) == 1
    assert kept.told[0] == ("bad message", 995)


def test_many_noisy_sources_hide_no_other_kind() -> None:
    kept = Kept()
    assert sum(kept.ask(0, "bad message", f"m{number}", 10) for number in range(1000)) == 10
    assert kept.ask(0, "not admitted", "alice", 1) == 1


def test_what_was_left_out_is_told_once_and_by_kind() -> None:
    kept = Kept(Rate(1, 1), Rate(1, 1))
    kept.ask(0, "a", "x", 4)
    kept.ask(0, "b", "x", 3)
    kept.budget.tell(0.9)
    assert kept.told == []
    kept.budget.tell(1.0)
    assert kept.told == [("a", 3), ("b", 2)]
    kept.budget.tell(9.0)
    assert len(kept.told) == 2


def test_no_row_is_left_and_a_flood_of_names_makes_none() -> None:
    kept = Kept()
    for second in range(30):
        for number in range(1000):
            kept.budget.admits(second, "bad message", f"{second}-{number}")
    # No more than have had a line within the 5 s in which such a bucket fills.
    assert len(kept.budget) <= 2 + 10 + 10 * 7
    kept.budget.tell(60)
    kept.budget.tell(62)
    assert len(kept.budget) == 0


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What an observer writes; made by `lines(settings)`."""
    added: list[Observer] = []

    def make(**settings: Any) -> Log:
        log = Log(Settings(**settings))
        added.append(log.observer)
        globalLogPublisher.addObserver(log.observer)
        return log

    yield make
    for observer in added:
        globalLogPublisher.removeObserver(observer)


class Log:
    """An observer, its clock, and what it has written."""

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock()
        self.out = io.StringIO()
        self.observer = Observer(Level("info"), "json", self.out, settings, self.clock.seconds)

    def say(self, text: str, namespace: str = "slp.chatty", **fields: Any) -> None:
        """An event."""
        base: LogEvent = {"log_time": 0.0, "log_level": LogLevel.info, "log_namespace": namespace, "log_format": text}
        self.observer({**base, **fields})

    def records(self) -> list[dict[str, Any]]:
        """What was written."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def sources(self) -> Counter[str]:
        """Of whom."""
        return Counter(record["source"] for record in self.records())


def test_a_service_that_logs_each_request_in_words_of_the_peers(lines: Any) -> None:
    """All that it says is of one kind, however it says it, and the server's own lines are there."""
    log = lines(log_per_second=10)
    for second in range(600):
        for number in range(50):
            log.say(f"a call of {second}-{number}" + " {" * (number % 2))
        log.say("services: {services}", "gortc.server", services="echo")
        log.clock.advance(1)
    log.observer.tell()
    assert log.sources()["gortc.server"] == 600
    assert log.sources()["slp.chatty"] <= 10 * (600 + 60)
    told = sum(record["count"] for record in log.records() if record["source"] == "gortc.log")
    assert told + log.sources()["slp.chatty"] == 600 * 50


def test_the_log_grows_by_so_much_a_day(lines: Any) -> None:
    """Whatever is done: many kinds, many sources, lines as long as can be. And what is new is there."""
    log = lines(log_bytes_per_second=2000, log_line_max=1024)
    seconds = 600
    for second in range(seconds):
        for kind in range(20):
            for _ in range(20):
                log.say("x" * 5000, f"gortc.{kind}")
        if second % 100 == 99:
            log.say("new {at}", "gortc.new", at=second)
        log.clock.advance(1)
    assert len(log.out.getvalue()) <= 2000 * (seconds + 60)
    assert log.sources()["gortc.new"] == 6


def test_a_service_that_fails_for_each_request(lines: Any) -> None:
    log = lines()
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        failure = Failure()
    for _ in range(100):
        for _ in range(50):
            log.say("service {service} failed", "slp.bad", service="bad", log_failure=failure, channel="mallory@h")
        log.say("service {service} failed", "slp.bad", service="bad", log_failure=failure, channel="alice@h")
        log.clock.advance(5)
    written = Counter(record["channel"] for record in log.records() if "traceback" in record)
    assert written == {"mallory@h": 104, "alice@h": 100}


def test_what_is_traced_is_not_counted(lines: Any) -> None:
    log = lines(log_per_second=1, log_bytes_per_second=1024)
    for _ in range(1000):
        log.say("{direction}", "gortc.trace", direction="<", log_whole=True)
    assert len(log.records()) == 1000


def test_a_drop_is_counted_where_it_is_said_and_not_again(lines: Any) -> None:
    log = lines(log_per_second=1)
    drops = DropLog(log.clock, 10)
    for number in range(8):
        drops.line("bad message", f"m{number}", "no JSON")
    assert len(log.records()) == 8


@pytest.mark.parametrize(
    ("name", "guest", "source"),
    [
        ("10.0.0.1", None, "10.0.0.1"), ("2001:db8::1:2:3:4", None, "2001:db8::/64"),
        ("mallory@gortc.local", None, "mallory@gortc.local"), ("", None, ""),
        ("m@gortc.local", Guest("m@gortc.local", "10.0.0.1", asserted="", limited=True), "10.0.0.1"),
        ("m@gortc.local", Guest("m@gortc.local", "", asserted="", limited=True), "m@gortc.local"),
        ("m@gortc.local", Guest("m@gortc.local", "10.0.0.1", asserted="m@gortc.local"), "m@gortc.local"),
    ],
)  # fmt: skip
def test_whose_noise_it_is(name: str, guest: Guest | None, source: str) -> None:
    """Names that nobody has to prove are one source: their address."""
    node = Node(Settings(auth="none", limits=Limits()), Clock())
    if guest is not None:
        node.channels.of(name).meet(guest)
    assert node.drops.source_of(name) == source


def test_reasons_are_ours() -> None:
    """What is counted by reason has no word of a peer's in it."""
    node = Node(Settings(), Clock())
    channel = node.channels.of("m@gortc.local")
    node.journal.note("bad message", channel.name, Request({"Type": "x\ny"}, "x\ny", 1, "d", "a", "b"))
    assert set(node.journal.counts) == {"bad message"}
