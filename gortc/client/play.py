"""Play scenarios against a server, and say of each whether it went as it should.

Exit status: 0 where all did, 1 where one did not, 2 where a script can't be read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults

from gortc.client import junit, running
from gortc.client.player import Outcome, Player
from gortc.client.scenario import Scenario, ScenarioError, read
from gortc.client.venue import PATIENCE, Net

URL = "ws://127.0.0.1:8080/rtc"
REALM = "gortc.local"

Played = list[tuple[str, Outcome]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("scripts", nargs="+", metavar="SCRIPT", help="a scenario file, or a folder of them")
    where(parser)
    parser.add_argument("--together", action="store_true", help="play all at the same time, not one after the other")
    parser.add_argument(
        "--ladder", action="store_true", help="draw every ladder, not those of failures only"
    )
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
        scenarios = [found for script in options.scripts for found in collect(Path(script))]
        pairs(options.user), pairs(options.set)
    except (ScenarioError, OSError) as error:
        print(f"gortc-ua: {error}", file=sys.stderr)
        return 2
    return running.run(lambda reactor: play(reactor, scenarios, options))


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


async def play(reactor: Any, scenarios: Sequence[tuple[str, Scenario]], options: argparse.Namespace) -> int:
    """Play the scenarios, and report. The exit status."""
    net = Net(reactor, options.url, options.patience)
    users, variables = pairs(options.user), pairs(options.set)
    players = [(file, Player(scenario, net, options.realm, users, variables)) for file, scenario in scenarios]
    outcomes: Played = []
    if options.together:
        ended = await gatherResults([ensureDeferred(player.play()) for _, player in players])
        outcomes = [(file, outcome) for (file, _), outcome in zip(players, ended, strict=True)]
        for file, outcome in outcomes:
            print(told(file, outcome, options.ladder))
    else:
        for file, player in players:
            outcome = await player.play()
            outcomes.append((file, outcome))
            print(told(file, outcome, options.ladder), flush=True)
    if options.junit:
        Path(options.junit).write_text(junit.report(outcomes), encoding="utf-8")
    failed = sum(outcome.wrong is not None for _, outcome in outcomes)
    print(f"\n{len(outcomes)} played, {failed} failed")
    return 1 if failed else 0


def told(file: str, outcome: Outcome, ladder: bool) -> str:
    """What is said of one: a line; of a failure the step, what was expected and received, and the ladder so far."""
    wrong = outcome.wrong
    lines = [f"{'ok  ' if wrong is None else 'FAIL'}  {file}: {outcome.scenario.title} ({outcome.seconds:.2f} s)"]
    if wrong is not None:
        lines.append(indent(str(wrong), "      "))
    if ladder or wrong is not None:
        lines.append(indent(outcome.ladder.draw(), "      "))
    return "\n".join(lines)
