"""Load: its calls start at their times, share users without mixing, and every outcome is told."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
import pytest_twisted
from twisted.internet import reactor

from gortc.client import load
from gortc.client.main import main
from gortc.client.scenario import ScenarioError, parse
from gortc.client.stations import Stations
from gortc.client.venue import Net
from gortc.server import Server
from tests.client.kit import url_of

BUILT_IN = sorted(path.stem for path in load.BUILT_IN.glob("*.yaml"))


def options(server: Server | None, scenario: str, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    load.arguments(parser)
    return parser.parse_args([scenario, "--url", url_of(server), *more])


async def play(server: Server, scenario: str, *more: str) -> int:
    chosen = options(server, scenario, *more)
    return await load.load(reactor, load.find(chosen.scenario), chosen)


# when calls start


def test_without_a_ramp_calls_start_evenly() -> None:
    assert [load.due(number, 10, 0) for number in range(4)] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_with_a_ramp_the_rate_grows_evenly() -> None:
    """After t of R seconds, r * t^2 / 2R calls have started; half of r * R at its end."""
    times = [load.due(number, 100, 10) for number in range(1000)]
    assert times == sorted(times)
    assert load.due(125, 100, 10) == pytest.approx(5)
    assert load.due(500, 100, 10) == pytest.approx(10)
    assert load.due(600, 100, 10) == pytest.approx(11)
    assert sum(time < 5 for time in times) == 125


@pytest.mark.parametrize(("text", "value"), [("10s", 10), ("10", 10), ("1.5s", 1.5), ("500ms", 0.5), ("2m", 120)])
def test_times_have_units(text: str, value: float) -> None:
    assert load.seconds(text) == value


# whole runs


@pytest.mark.parametrize("name", BUILT_IN)
@pytest_twisted.ensureDeferred
async def test_what_is_built_in_plays(server: Server, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """More calls than users at once: each message finds its call."""
    status = await play(server, name, "--rate", "1000", "--calls", "30", "--users", "3")
    said = capsys.readouterr().out
    assert status == 0, said
    assert "30: 30 ok, 0 failed" in said
    assert "0 messages of no call" in said
    assert not any(server.node.census().values())


def test_the_names_that_the_help_tells() -> None:
    assert BUILT_IN == ["bridge", "call", "conference", "hunt", "message", "register"]
    assert all(name in str(load.__doc__) for name in BUILT_IN)


@pytest_twisted.ensureDeferred
async def test_files_are_written(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {kind: tmp_path / f"run.{kind}" for kind in ("csv", "json", "plot")}
    named = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    assert await play(server, "bridge", "--rate", "500", "--calls", "20", "--ramp", "10ms", *named) == 0
    rows = list(csv.DictReader(files["csv"].open()))
    assert [row["call"] for row in rows] == [str(number) for number in range(1, 21)]
    assert {row["result"] for row in rows} == {"ok"}
    assert all(float(row["setup_ms"]) <= float(row["call_ms"]) for row in rows)
    figures = json.loads(files["json"].read_text())
    assert figures["calls"] == {"started": 20, "ok": 20, "failed": 0}
    times = figures["setup_ms"]
    assert 0 < times["p50"] <= times["p95"] <= times["p99"] <= times["max"]
    assert ElementTree.parse(files["plot"]).getroot().tag.endswith("svg")


@pytest_twisted.ensureDeferred
async def test_failures_are_counted_by_what_came(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bob refuses; his caller had hoped for a 200. The first ladders are shown."""
    script = tmp_path / "refused.yaml"
    script.write_text("""
        parties: [alice, bob]
        steps:
          - {send: alice MESSAGE, to: bob}
          - {expect: bob MESSAGE}
          - {send: bob 603}
          - {expect: alice 200}
    """)
    results = tmp_path / "run.json"
    assert await play(server, str(script), "--calls", "5", "--rate", "500", "--json", str(results)) == 1
    figures = json.loads(results.read_text())
    assert figures["failures"] == {"603": 5}
    said = capsys.readouterr().out
    assert said.count("it is no 200") == load.SHOWN
    assert "603 Decline" in said


@pytest_twisted.ensureDeferred
async def test_what_does_not_come_is_a_timeout(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "silent.yaml"
    script.write_text("{parties: [alice, bob], steps: [{expect: bob MESSAGE, within: 0.01}]}")
    results = tmp_path / "run.json"
    assert await play(server, str(script), "--calls", "2", "--rate", "500", "--json", str(results)) == 1
    figures = json.loads(results.read_text())
    assert figures["failures"] == {"timeout": 2}
    assert figures["setup_ms"] == {}


@pytest_twisted.ensureDeferred
async def test_messages_without_a_mark_go_to_who_waits(server: Server, tmp_path: Path) -> None:
    """A service that carries no header on: the first call that waits on that user's connection gets it."""
    script = tmp_path / "unmarked.yaml"
    script.write_text("""
        parties: [alice, bob]
        steps:
          - {send: alice MESSAGE, to: bob, X-Load: null}
          - {expect: bob MESSAGE}
          - {send: bob 200}
          - {expect: alice 200}
    """)
    stations = Stations.station

    def unmarked(self: Any, user: str) -> Any:
        station = stations(self, user)
        plain = station.arrived

        def arrived(message: Any) -> None:
            plain({name: value for name, value in message.items() if name != "X-Load"})

        station.line._arrived = arrived
        return station

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stations, "station", unmarked)
        assert await play(server, str(script), "--calls", "3", "--rate", "500", "--users", "1") == 0


@pytest.mark.parametrize(
    "message",
    [
        {"Type": "RESPONSE", "Code": 200, "DialogueID": "over"},
        {"Type": "BYE", "DialogueID": "over", "X-Load": "7"},
        {"Type": "MESSAGE", "DialogueID": "new"},
        "no JSON",
    ],
)
def test_messages_of_no_call_are_counted(message: Any) -> None:
    stations = Stations(Net(reactor, ""), {"alice": ["alice@r"]})
    stations.station("alice@r").arrived(message)
    assert stations.strays == 1


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = options(None, "message")
    assert await load.load(reactor, load.find("message"), chosen) == 2
    assert "can't connect to ws://127.0.0.1:9/rtc: Connection was refused" in capsys.readouterr().err


@pytest_twisted.ensureDeferred
async def test_stopped_it_starts_no_more_and_ends_what_it_has(server: Server) -> None:
    chosen = options(server, "bridge", "--rate", "100", "--calls", "1000000")
    scenario = load.find("bridge")
    cast = load.parties(scenario, "gortc.local", 2, {})
    stations = Stations(Net(reactor, chosen.url), cast)
    await stations.connect()
    running = load.Load(reactor, scenario, stations, chosen)
    plays = running._start

    def third(late: float) -> None:
        plays(late)
        if running.started == 3:
            running.stop()

    running._start = third  # type: ignore[method-assign]
    await running.play()
    await stations.close()
    assert [call.result for call in running.played] == ["ok"] * 3


# what is asked


def test_the_line_of_progress() -> None:
    clock: Any = type("Clock", (), {"callLater": lambda *_: None, "seconds": lambda _: 2.0})()
    chosen = options(None, "message")
    running = load.Load(clock, load.find("message"), None, chosen)  # type: ignore[arg-type]
    running.started, running.in_flight = 4, 1
    running.played = [load.Played(n, 0.0, 0.0, setup, 1.0, result) for n, (setup, result) in enumerate(
        [(0.010, "ok"), (0.020, "486"), (None, "timeout")]
    )]  # fmt: skip
    progress = load.Progress(clock, running, open("/dev/null", "w"))  # noqa: SIM115
    assert progress.line() == (
        "   2.0 s  4/s  in flight 1  ok 1  failed 2 (486 1, timeout 1)  set-up ms p50 10.0 p95 20.0 p99 20.0"
    )
    running.started = 6
    assert "2/s" in progress.line()
    assert "set-up ms -" in progress.line()


def test_a_late_client_says_so() -> None:
    chosen = options(None, "message")
    running = load.Load(None, load.find("message"), None, chosen)  # type: ignore[arg-type]
    running.played = [load.Played(0, 0.0, 0.2, 0.01, 0.01, "ok")]
    assert "could not keep up" in load.table(load.measure(running, chosen, 0))[-1]


@pytest.mark.parametrize(
    "words",
    [["message", "--rate", "0"], ["message", "--rate", "inf"], ["message", "--calls", "0"], ["message", "--ramp", "x"]],
)  # fmt: skip
def test_wrong_options(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["load", *words])
    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err


def test_no_such_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "nothing-like-it"]) == 2
    assert main(["load", "message", "--set", "x"]) == 2
    two = tmp_path / "two.yaml"
    two.write_text("{steps: []}\n---\n{steps: []}\n")
    with pytest.raises(ScenarioError, match="there are 2 in it"):
        load.find(str(two))
    assert "No such file" in capsys.readouterr().err


def test_parties_are_users_in_turn_or_the_one_named() -> None:
    scenario = parse("{parties: {alice: , bob: {user: bob@x}, carol: }, steps: []}", "x")[0]
    assert load.parties(scenario, "r", 2, {"carol": "c"}) == {
        "alice": ["alice-1@r", "alice-2@r"], "bob": ["bob@x"], "carol": ["c@r"]
    }  # fmt: skip
    assert orjson.dumps(load.spread([])) == b"{}"
