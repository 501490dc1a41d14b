"""Draw the ladder of a saved trace: one that `--trace` wrote, or the log of a server that runs with `--trace`.

TRACE is a file, or - for standard input; lines that trace no message are skipped. Exit status: 0, or 2 where there is
nothing to draw.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from gortc.client.ladder import SERVER, Ladder, as_text
from gortc.client.ladder_mermaid import as_mermaid
from gortc.client.ladder_svg import as_svg
from gortc.jsip.message import Headers
from gortc.jsip.uri import is_party
from gortc.printable import printable_lines

FORMATS: dict[str, Callable[[Ladder], str]] = {"text": as_text, "mermaid": as_mermaid, "svg": as_svg}
ROWS_MAX = 5000
PARTIES_MAX = 100
"""More can't be read as a picture, and would not fit into memory as one."""
LOGGER = "gortc.trace"
"""What the server's log calls the source of its trace."""
_AS_TEXT = re.compile(r"(\S+) info +\[gortc\.trace\] ([<>]) (\S+) (\{.*\})")


class TraceError(Exception):
    """There is nothing to draw; the text says where and why."""


class Said(NamedTuple):
    """A message of a trace: the time in seconds, who said it to whom."""

    time: float
    source: str
    target: str
    message: Headers

    def is_of(self, party: str) -> bool:
        """Whether that party, a name with or without its host, has sent or received it."""
        return any(is_party(party, name) for name in (self.source, self.target))


# writing


def line(time: float, source: str, target: str, message: Headers) -> str:
    """The line of a trace (without its end) that says that `source` has sent `message` to `target` at `time`.

    Raises TypeError where the message is not JSON.
    """
    said = {"time": round(time, 6), "from": source, "to": target, "message": message}
    return orjson.dumps(said).decode()


class Recorder:
    """Adds lines to the file at `path`. Each is written whole and at once, so that several may share a file.

    Raises OSError where it can't be opened.
    """

    def __init__(self, path: str) -> None:
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def add(self, time: float, source: str, target: str, message: Headers) -> None:
        """`source` sends `message` to `target` at `time`, in seconds since 1970. As `Ladder.add`."""
        self._file.write(line(time, source, target, message).encode() + b"\n")

    def close(self) -> None:
        """No more lines."""
        self._file.close()


# reading


def read(lines: Iterable[bytes], name: str) -> list[Said]:
    """The messages of a trace in order of time; `name` is its file's. Raises TraceError where there is none."""
    found: list[Said] = []
    first = None
    for number, data in enumerate(lines, 1):
        said = _read(data)
        if said is not None:
            found.append(said)
        elif first is None and data.strip():
            first = number
    if not found:
        why = "it is empty" if first is None else "no line traces a message, this one is the first"
        raise TraceError(f"{name}:{first or 1}: {why}")
    return sorted(found, key=lambda said: said.time)


def _read(data: bytes) -> Said | None:
    text = data.decode(errors="replace").strip()
    try:
        if not text.startswith("{"):
            match = _AS_TEXT.fullmatch(text)
            return None if match is None else _logged(match[1], match[2], match[3], _headers(match[4]))
        record = orjson.loads(text)
        if record.get("source") == LOGGER:
            return _logged(record["time"], record["direction"], record["channel"], record["headers"])
        return _said(record["time"], record["from"], record["to"], record["message"])
    except (ArithmeticError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        return None


def _headers(text: str) -> Any:
    """JSON; older servers wrote Python."""
    try:
        return orjson.loads(text)
    except ValueError:
        return ast.literal_eval(text)


def _logged(time: Any, direction: Any, channel: Any, headers: Any) -> Said:
    """A message of the server's log: `<` has come from the channel, `>` has gone to it."""
    source, target = (channel, SERVER) if direction == "<" else (SERVER, channel)
    return _said(datetime.fromisoformat(str(time).replace("Z", "+00:00")).timestamp(), source, target, headers)


def _said(time: Any, source: Any, target: Any, message: Any) -> Said:
    if not (type(time) in (int, float) and isinstance(source, str) and isinstance(target, str)):
        raise ValueError("not a message's line")
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return Said(time, source, target, message)


def choose(trace: Iterable[Said], dialogues: Sequence[str], parties: Sequence[str]) -> list[Said]:
    """The messages of these dialogues and of these parties; none given: of all."""
    return [
        said
        for said in trace
        if (not dialogues or said.message.get("DialogueID") in dialogues)
        and (not parties or any(said.is_of(party) for party in parties))
    ]


# the command


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("trace", metavar="TRACE", help="the file, or - for standard input")
    parser.add_argument("--format", choices=sorted(FORMATS), default="text", help="what to draw; %(default)s")
    parser.add_argument("--output", metavar="FILE", help="where to; standard output")
    parser.add_argument("--dialogue", action="append", default=[], metavar="ID", help="that DialogueID's messages only")
    parser.add_argument("--party", action="append", default=[], metavar="NAME", help="what NAME said and heard only")


def run(options: argparse.Namespace) -> int:
    """The command."""
    try:
        drawing = draw(options)
        if options.output:
            Path(options.output).write_text(drawing, encoding="utf-8")
        else:
            sys.stdout.write(drawing)
    except (TraceError, OSError) as error:
        print(printable_lines(f"gortc-ua: {error}"), file=sys.stderr)
        return 2
    return 0


def draw(options: argparse.Namespace) -> str:
    """The drawing. Raises TraceError, OSError."""
    name = "standard input" if options.trace == "-" else options.trace
    trace = read(_lines(options.trace), name)
    chosen = choose(trace, options.dialogue, options.party)
    parties = {party for said in chosen for party in (said.source, said.target)}
    if not chosen:
        raise TraceError(f"{name}: none of its {len(trace)} messages is of that dialogue and party")
    if len(chosen) > ROWS_MAX or len(parties) > PARTIES_MAX:
        what = f"{len(chosen)} messages between {len(parties)} parties are too many to draw"
        raise TraceError(f"{name}: {what}; choose some with --dialogue or --party")
    ladder = Ladder()
    for said in chosen:
        ladder.add(*said)
    return FORMATS[options.format](ladder).rstrip("\n") + "\n"


def _lines(trace: str) -> Iterator[bytes]:
    if trace == "-":
        yield from sys.stdin.buffer
    else:
        with open(trace, "rb") as file:
            yield from file
