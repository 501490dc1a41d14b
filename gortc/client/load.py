"""Play one scenario many times: open load, that starts calls at its rate however the server is doing.

SCENARIO is a file, or one that is built in: message, call, bridge, hunt, conference, register.
"""

from __future__ import annotations

import argparse
import csv
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import orjson
from attrs import frozen
from twisted.internet.defer import Deferred, ensureDeferred

from gortc.client import running
from gortc.client.figures import per_second, percentile
from gortc.client.play import pairs, where
from gortc.client.player import Outcome, Player
from gortc.client.plot import latency_plot
from gortc.client.scenario import Party, Scenario, ScenarioError, read
from gortc.client.stations import Stations
from gortc.client.venue import Net
from gortc.printable import printable_lines

BUILT_IN = Path(__file__).with_name("scenarios")
SHOWN = 3
"""So many failures are shown with their ladders."""
BEHIND = 0.05
"""A call may start so many seconds late; more, and the figures tell of this machine, not of the server."""
OK = "ok"


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a scenario file, or the name of one built in")
    parser.add_argument("--rate", type=_positive, default=50.0, help="calls a second; %(default)g")
    parser.add_argument("--calls", type=_number, default=1000, help="how many in all; %(default)d")
    parser.add_argument("--users", type=_number, default=100, help="users a party, taken in turn; %(default)d")
    parser.add_argument("--ramp", type=seconds, default=0.0, help="the time to the full rate, such as 10s; none")
    where(parser)
    parser.add_argument("--csv", metavar="FILE", help="write a row for each call")
    parser.add_argument("--json", metavar="FILE", help="write the figures")
    parser.add_argument("--plot", metavar="FILE", help="draw the set-up times, as SVG")


def run(options: argparse.Namespace) -> int:
    """The command. Exit status: 0 where every call went as it should, 1 where one did not, 2 where none could begin."""
    try:
        scenario = find(options.scenario)
        pairs(options.user), pairs(options.set)
    except (ScenarioError, OSError) as error:
        print(printable_lines(f"gortc-ua: {error}"), file=sys.stderr)
        return 2
    return running.run(lambda reactor: load(reactor, scenario, options))


def find(name: str) -> Scenario:
    """The scenario built in under `name`, or the file's. Raises ScenarioError, OSError."""
    built_in = BUILT_IN / f"{name}.yaml"
    scenarios = read(built_in if re.fullmatch(r"\w+", name) and built_in.exists() else name)
    if len(scenarios) != 1:
        raise ScenarioError(f"{name}: load plays one scenario; there are {len(scenarios)} in it")
    return scenarios[0]


def seconds(text: str) -> float:
    """A time such as 10s, 2m, 500ms or 10."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 10s")
    return float(match[1]) * {"ms": 1e-3, "m": 60.0}.get(match[2], 1.0)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def due(number: int, rate: float, ramp: float) -> float:
    """When call `number` (from 0) starts, in seconds: the rate grows evenly from 0 over `ramp` seconds, then stays."""
    grown = rate * ramp / 2  # calls until the ramp's end
    if number < grown:
        return float((2 * ramp * number / rate) ** 0.5)
    return ramp + (number - grown) / rate


@frozen
class Played:
    """One call: when it began and how late that was, its set-up and its whole time (s), and how it went."""

    number: int
    begun: float
    late: float
    setup: float | None
    lasted: float
    result: str


class Load:
    """The calls of one run, and what came of them."""

    def __init__(self, reactor: Any, scenario: Scenario, stations: Stations, options: argparse.Namespace) -> None:
        self.played: list[Played] = []
        self.failures: list[Outcome] = []
        self.started = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.begun = 0.0
        self._reactor = reactor
        self._scenario = scenario
        self._stations = stations
        self._options = options
        self._variables = pairs(options.set)
        self._done: Deferred[None] = Deferred()

    async def play(self) -> None:
        """Start them all, each at its time; until the last one has ended."""
        self.begun = self._reactor.seconds()
        self._start_due()
        await self._done

    def stop(self) -> None:
        """Start no more; what is in flight goes on to its end."""
        self._options.calls = self.started
        self._end()

    def _start_due(self) -> None:
        """Start every call whose time has come, however many are in flight."""
        options = self._options
        while self.started < options.calls:
            wait = self.begun + due(self.started, options.rate, options.ramp) - self._reactor.seconds()
            if wait > 0:
                self._reactor.callLater(wait, self._start_due)
                return
            self._start(-wait)
        self._end()

    def _start(self, late: float) -> None:
        number = self.started
        self.started += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        begun = self._reactor.seconds() - self.begun
        users = self._stations.users(number)
        venue = self._stations.venue(number)
        player = Player(self._scenario, venue, self._options.realm, users, self._variables)

        def ended(outcome: Outcome) -> None:
            result = said(outcome)
            if result != OK and len(self.failures) < SHOWN:
                self.failures.append(outcome)
            setup = outcome.setup
            self.played.append(Played(number, begun, late, setup, outcome.seconds, result))
            self.in_flight -= 1
            self._end()

        ensureDeferred(player.play()).addCallbacks(ended, self._broken)

    def _broken(self, failure: Any) -> None:
        """A mistake of this program's own ends the run with its traceback."""
        if not self._done.called:
            self._done.errback(failure)

    def _end(self) -> None:
        if not self.in_flight and self.started >= self._options.calls and not self._done.called:
            self._done.callback(None)


def said(outcome: Outcome) -> str:
    """How a call went, in a word: ok, the code that it failed with, timeout, closed or unexpected."""
    wrong = outcome.wrong
    if wrong is None:
        return OK
    if wrong.received.startswith("nothing"):
        return "timeout"
    if "closed" in wrong.received or "connect" in wrong.received:
        return "closed"
    return str(outcome.code) if outcome.code is not None and outcome.code >= 300 else "unexpected"


def parties(scenario: Scenario, realm: str, users: int, named: dict[str, str]) -> dict[str, list[str]]:
    """Who plays each party: `users` of them in turn, or the one that the scenario or `named` names."""

    def names(party: Party) -> Iterator[str]:
        one = named.get(party.name) or party.user
        if one is not None:
            yield one if "@" in one else f"{one}@{realm}"
        else:
            yield from (f"{party.name}-{number}@{realm}" for number in range(1, users + 1))

    return {party.name: list(names(party)) for party in scenario.parties}


async def load(reactor: Any, scenario: Scenario, options: argparse.Namespace) -> int:
    """Connect the users, play, and tell the figures. The exit status."""
    cast = parties(scenario, options.realm, options.users, pairs(options.user))
    stations = Stations(Net(reactor, options.url, options.patience), cast)
    try:
        await stations.connect()
    except Exception as error:  # whatever TCP, TLS or HTTP say
        print(printable_lines(f"gortc-ua: can't connect to {options.url}: {error}"), file=sys.stderr)
        return 2
    print(f"{scenario.title}: {options.calls} at {options.rate:g}/s with {stations.count} users connected")
    running_load = Load(reactor, scenario, stations, options)
    previous = signal.signal(signal.SIGINT, lambda *_: reactor.callFromThread(running_load.stop))
    progress = Progress(reactor, running_load, sys.stdout)
    try:
        await running_load.play()
    finally:
        progress.stop()
        signal.signal(signal.SIGINT, previous)
        await stations.close()
    figures = measure(running_load, options, stations.strays)
    print("\n".join(table(figures)))
    for outcome in running_load.failures:
        print(printable_lines(f"\n{outcome.wrong}\n{outcome.ladder.draw()}"))
    write(running_load.played, figures, options, scenario)
    return 0 if figures["calls"]["failed"] == 0 else 1


class Progress:
    """A line a second: the rate, calls in flight, those that went well and those that did not, and set-up times."""

    def __init__(self, reactor: Any, load: Load, out: TextIO) -> None:
        self._reactor = reactor
        self._load = load
        self._out = out
        self._live = out.isatty()
        self._seen = 0
        self._started = 0
        self._timer = reactor.callLater(1.0, self._tell)

    def stop(self) -> None:
        """No more lines."""
        self._timer.cancel()
        if self._live:
            self._out.write("\n")

    def _tell(self) -> None:
        self._timer = self._reactor.callLater(1.0, self._tell)
        line = self.line()
        self._out.write(f"\r{line}\x1b[K" if self._live else f"{line}\n")
        self._out.flush()

    def line(self) -> str:
        """What has happened since the last line, and the sums so far."""
        load = self._load
        played = load.played[self._seen :]
        rate, self._seen, self._started = load.started - self._started, len(load.played), load.started
        results = Counter(call.result for call in load.played)
        setups = sorted(call.setup for call in played if call.setup is not None)
        times = " ".join(f"p{q} {_ms(percentile(setups, q))}" for q in (50, 95, 99)) if setups else "-"
        failed = ", ".join(f"{result} {count}" for result, count in sorted(results.items()) if result != OK)
        return (
            f"{self._reactor.seconds() - load.begun:6.1f} s  {rate}/s  in flight {load.in_flight}  "
            f"ok {results[OK]}  failed {len(load.played) - results[OK]}{f' ({failed})' if failed else ''}  "
            f"set-up ms {times}"
        )


def measure(load: Load, options: argparse.Namespace, strays: int) -> dict[str, Any]:
    """The figures of a run; times in milliseconds."""
    played = load.played
    results = Counter(call.result for call in played)
    return {
        "scenario": options.scenario,
        "asked": {"rate": options.rate, "calls": options.calls, "users": options.users, "ramp": options.ramp},
        "rate": per_second(sorted(call.begun for call in played if call.begun >= options.ramp)),
        "calls": {"started": load.started, "ok": results[OK], "failed": len(played) - results[OK]},
        "failures": {result: count for result, count in sorted(results.items()) if result != OK},
        "most_in_flight": load.most_in_flight,
        "setup_ms": spread([call.setup for call in played if call.setup is not None]),
        "call_ms": spread([call.lasted for call in played]),
        "late_ms": spread([call.late for call in played]),
        "strays": strays,
    }


def spread(times: Sequence[float]) -> dict[str, float]:
    """Percentiles of times in seconds, in milliseconds; nothing of none."""
    if not times:
        return {}
    ordered = sorted(times)
    marks = {f"p{q}": percentile(ordered, q) for q in (50, 95, 99)} | {"max": ordered[-1]}
    return {name: round(value * 1000, 3) for name, value in marks.items()}


def table(figures: dict[str, Any]) -> list[str]:
    """The figures, for people."""
    calls, asked = figures["calls"], figures["asked"]
    reached = f"{figures['rate']:.1f}/s" if figures["rate"] else "-"
    rows = [
        ("calls", f"{calls['started']}: {calls['ok']} ok, {calls['failed']} failed"),
        *((f"  {result}", str(count)) for result, count in figures["failures"].items()),
        ("rate", f"{reached} of {asked['rate']:g}/s asked, {asked['ramp']:g} s ramp"),
        ("in flight", f"{figures['most_in_flight']} at most"),
        *((title, _spread(figures[key])) for title, key in _TIMES),
        ("strays", f"{figures['strays']} messages of no call"),
    ]
    lines = [f"{title:14}{value}" for title, value in rows]
    if figures["late_ms"].get("p99", 0) > BEHIND * 1000:
        lines.append("This machine could not keep up with the rate: calls started late. Read the times with care.")
    return ["", *lines]


_TIMES = (("set-up", "setup_ms"), ("whole call", "call_ms"), ("started late", "late_ms"))


def _spread(times: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.1f}" for name, value in times.items()) + " ms" if times else "-"


def _ms(value: float) -> str:
    return f"{value * 1000:.1f}"


def write(played: Sequence[Played], figures: dict[str, Any], options: argparse.Namespace, scenario: Scenario) -> None:
    """The files that were asked for."""
    ordered = sorted(played, key=lambda call: call.number)
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(("call", "begun_s", "late_ms", "setup_ms", "call_ms", "result"))
            for call in ordered:
                setup = "" if call.setup is None else _ms(call.setup)
                times = (f"{call.begun:.3f}", _ms(call.late), setup, _ms(call.lasted))
                rows.writerow((call.number + 1, *times, call.result))
    if options.json:
        Path(options.json).write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    if options.plot:
        points = [(call.begun, call.setup, call.result) for call in ordered]
        title = f"{scenario.title}: {options.calls} at {options.rate:g}/s"
        Path(options.plot).write_text(latency_plot(points, title=title), encoding="utf-8")
