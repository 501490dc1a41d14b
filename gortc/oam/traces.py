"""Traces: the messages of a user or number, written to a file, for as long as an operator wants."""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from gortc.client.ladder import SERVER
from gortc.client.trace import line
from gortc.jsip.message import Headers
from gortc.jsip.timers import Timers
from gortc.oam.doors import uri
from gortc.oam.files import Lines, encoded, make_folder
from gortc.oam.history import is_about
from gortc.oam.route import BAD_PATH, BAD_VALUE, NOT_NOW, OPERATE, READ, Answer, Problem, Query, Route, number

if TYPE_CHECKING:
    from gortc.node import Node

TRACES_MAX: Final = 10
"""So many at a time."""
MINUTES: Final = 60
MINUTES_MAX: Final = 7 * 24 * 60

_log = Logger(namespace="gortc.api")


class Trace:
    """One. `until` is on the timers' clock; `left` is how many bytes its file may still grow by."""

    def __init__(self, traces: Traces, party: str, lines: Lines, until: float, left: int) -> None:
        self.traces = traces
        self.party = party
        self.lines = lines
        self.until = until
        self.left = left
        self.messages = 0

    @property
    def name(self) -> str:
        """What it is called: its file, without folder and ending."""
        return os.path.basename(self.lines.path).removesuffix(".jsonl")


class Traces:
    """Of one node."""

    def __init__(self, node: Node, timers: Timers) -> None:
        """`timers` are not those of calls."""
        self.by_name: dict[str, Trace] = {}
        self._node = node
        self._timers = timers
        self._now = timers.clock.seconds

    def begin(self, party: str, minutes: int) -> Trace:
        """Write what `party` says and hears. Raises Problem."""
        if not party or len(party) > 256:
            raise Problem(400, BAD_VALUE, "party must be a user or a number")
        if not 0 < minutes <= MINUTES_MAX:
            raise Problem(400, BAD_VALUE, f"minutes must be from 1 to {MINUTES_MAX}")
        if len(self.by_name) >= TRACES_MAX:
            raise Problem(409, NOT_NOW, f"there are {TRACES_MAX} already; end one")
        settings = self._node.settings
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        name = f"{re.sub('[^A-Za-z0-9@_-]', '-', uri(party, READ))[:80]}-{stamp}.jsonl"
        try:
            make_folder(settings.trace_folder, 0o750)
            lines = Lines(os.path.join(settings.trace_folder, name), 0o600, new=True)
        except OSError as error:
            raise Problem(409, NOT_NOW, f"{settings.trace_folder}: {error.strerror}") from None
        trace = Trace(self, party, lines, self._now() + 60 * minutes, settings.trace_file_max)
        self.by_name[trace.name] = trace
        self._node.trace(self.note, True)
        self._timers.start(60.0 * minutes, end, trace)
        _log.info("trace of {party} begins: {path}", party=party, path=lines.path)
        return trace

    def end(self, name: str, why: str) -> None:
        """No more of it. Raises KeyError where there is none of that name."""
        trace = self.by_name.pop(name)
        trace.lines.close()
        if not self.by_name:
            self._node.trace(self.note, False)
        _log.info("trace of {party} ends, {why}: {path}", party=trace.party, why=why, path=trace.lines.path)

    def stop(self) -> None:
        """The server stops."""
        for name in list(self.by_name):
            self.end(name, "the server stops")

    def note(self, direction: str, channel: str, headers: Headers) -> None:
        """A message has come by."""
        for trace in list(self.by_name.values()):
            if is_about(trace.party, channel, headers):
                ways = (channel, SERVER) if direction == "<" else (SERVER, channel)
                self._write(trace, line(self._now(), *ways, headers) + "\n")

    def _write(self, trace: Trace, text: str) -> None:
        trace.left -= len(encoded(text))
        if trace.left < 0:
            self.end(trace.name, "its file is full")
            return
        try:
            trace.lines.write(text)
        except OSError as error:
            self.end(trace.name, str(error.strerror))
        else:
            trace.messages += 1

    # management

    def routes(self) -> list[Route]:
        """Everything below /runtime/v1/traces."""
        asked = {"party": "A user or a number, with or without its host.", "minutes": "For so long."}
        base = "/runtime/v1/traces"
        return [
            Route("GET", base, READ, "The traces that are written.", self._list),
            Route("POST", base, OPERATE, "Write the messages of a user or number to a file.", self._begin, asked),
            Route("DELETE", f"{base}/<name>", OPERATE, "End a trace; its file stays.", self._end),
        ]

    def _row(self, trace: Trace, role: str) -> dict[str, Any]:
        left = max(0.0, trace.until - self._now())
        row = {"name": trace.name, "party": uri(trace.party, role), "file": trace.lines.path}
        return {**row, "messages": trace.messages, "seconds": round(left)}

    def _list(self, query: Query) -> Answer:
        return {"traces": [self._row(trace, query.role) for trace in self.by_name.values()]}

    def _begin(self, query: Query) -> Answer:
        trace = self.begin(query.get("party", ""), number(query, "minutes", MINUTES, MINUTES_MAX))
        return self._row(trace, query.role)

    def _end(self, query: Query) -> Answer:
        try:
            self.end(query["name"], "told to")
        except KeyError:
            raise Problem(404, BAD_PATH, "no such trace") from None
        return {}


def end(trace: Trace) -> None:
    """Its time is up, unless it has ended before."""
    if trace.traces.by_name.get(trace.name) is trace:
        trace.traces.end(trace.name, "its time is up")
