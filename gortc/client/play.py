"""Play scenarios against a server, and say of each whether it went as it should.

Exit status: 0 where all did, 1 where one did not, 2 where a script can't be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults

from gortc.client import junit, running
from gortc.client.match import BadPattern
from gortc.client.player import Outcome, Player, Wrong
from gortc.client.scenario import Scenario, ScenarioError, read
from gortc.client.trace import Recorder
from gortc.client.venue import PATIENCE, Net
from gortc.printable import printable_lines
from gortc.service.registry import ServiceError, discover
from gortc.settings import SettingsError
from gortc.testing import lab_for

URL = "ws://127.0.0.1:8080/rtc"
REALM = "gortc.local"

Scripts = Sequence[tuple[str, Scenario]]
"""Scenarios, each with its file's name."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("scripts", nargs="+", metavar="SCRIPT", help="a scenario file, or a folder of them")
    where(parser)
    parser.add_argument("--together", action="store_true", help="connect all, then play all at the same time")
    parser.add_argument("--memory", action="store_true", help="play in memory, in virtual time, with the plugins here")
    parser.add_argument("--ladder", action="store_true", help="draw every ladder, not those of failures only")
    parser.add_argument("--trace", metavar="FILE", help="add each message to FILE, a line of JSON each")
    parser.add_argument("--junit", metavar="FILE", help="write a JUnit report")


def where(parser: argparse.ArgumentParser) -> None:
    """The options that name the server and who connects."""
    parser.add_argument("--url", default=URL, help="where the server is; %(default)s")
    parser.add_argument("--realm", default=REALM, help="the server's realm; %(default)s")
    parser.add_argument("--user", action="append", default=[], metavar="PARTY=USERID", help="who a party connects as")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the scenario's")
    text = "how long a message may take; %(default)g"
    parser.add_argument("--patience", type=float, default=PATIENCE, metavar="SECONDS", help=text)


def run(options: argparse.Namespace) -> int:
    """The command."""
    try:
        scripts = [found for script in options.scripts for found in collect(Path(script))]
        users, variables = pairs(options.user), pairs(options.set)
        recorder = Recorder(options.trace) if options.trace else None
    except (ScenarioError, OSError) as error:
        print(printable_lines(f"gortc-ua: {error}"), file=sys.stderr)
        return 2
    how = {"users": users, "variables": variables, "watch": recorder.add if recorder is not None else None}
    try:
        if options.memory:
            return tell(in_memory(scripts, how), options)
        return running.run(lambda reactor: play(reactor, scripts, options, how))
    except (BadPattern, SettingsError, ServiceError) as error:
        print(printable_lines(f"gortc-ua: {error}"), file=sys.stderr)
        return 2
    finally:
        if recorder is not None:
            recorder.close()


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE options. Raises ScenarioError."""
    for text in texts:
        if "=" not in text:
            raise ScenarioError(f"{text!r} is not NAME=VALUE")
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def collect(path: Path) -> Iterator[tuple[str, Scenario]]:
    """The scenarios of a file, or of the files in a folder, with their file's name. Raises ScenarioError, OSError."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in (".yaml", ".yml", ".json"))
        if not files:
            raise ScenarioError(f"{path}: there is no scenario file in it")
    else:
        files = [path]
    for file in files:
        for scenario in read(file):
            yield str(file), scenario


async def play(reactor: Any, scripts: Scripts, options: argparse.Namespace, how: dict[str, Any]) -> int:
    """Play over sockets, and report; `how` is given to the players. The exit status. Raises BadPattern."""
    net = Net(reactor, options.url, options.patience)
    players = [Player(scenario, net, options.realm, **how) for _, scenario in scripts]
    outcomes: list[Outcome] = []
    if options.together:
        await gatherResults([ensureDeferred(player.connect()) for player in players])
        outcomes = await gatherResults([ensureDeferred(player.play()) for player in players])
    else:
        for (file, _), player in zip(scripts, players, strict=True):
            outcomes.append(await player.play())
            print(said(file, outcomes[-1], options.ladder), flush=True)
    names = [file for file, _ in scripts]
    return tell(zip(names, outcomes, strict=True), options, already=not options.together)


def in_memory(scripts: Scripts, how: dict[str, Any]) -> Iterator[tuple[str, Outcome]]:
    """Play in memory, each with a server of its own, of which nothing may be left."""
    for file, scenario in scripts:
        lab = lab_for(scenario, discover())
        outcome = lab.perform(scenario, **how)
        if outcome.wrong is None:
            try:
                lab.check_empty()
            except AssertionError as left:
                outcome.wrong = Wrong(scenario.title, "nothing is left in the server", str(left).partition("\n")[0])
        yield file, outcome


def tell(outcomes: Iterable[tuple[str, Outcome]], options: argparse.Namespace, already: bool = False) -> int:
    """Say how it went, unless that is said `already`, and write the report. The exit status."""
    played = []
    for file, outcome in outcomes:
        played.append((file, outcome))
        if not already:
            print(said(file, outcome, options.ladder), flush=True)
    if options.junit:
        Path(options.junit).write_text(junit.report(played), encoding="utf-8")
    failed = sum(outcome.wrong is not None for _, outcome in played)
    print(f"\n{len(played)} played, {failed} failed")
    return 1 if failed else 0


def said(file: str, outcome: Outcome, ladder: bool) -> str:
    """What is said of one: a line; of a failure the step, what was expected and received, and the ladder so far."""
    wrong = outcome.wrong
    rows = [f"{'ok  ' if wrong is None else 'FAIL'}  {file}: {outcome.scenario.title} ({outcome.seconds:.2f} s)"]
    if wrong is not None:
        rows.append(indent(str(wrong), "      "))
    if ladder or wrong is not None:
        rows.append(indent(outcome.ladder.draw(), "      "))
    return printable_lines("\n".join(rows))
