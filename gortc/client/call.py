"""A phone in the terminal: place, answer, reject, hold, message, hang up, with the ladder as it grows.

With --to it calls at once, else it waits. Type `help` for what can be said. Ctrl-C, or the end of the input, hangs up
and leaves.

Exit status: 0 where it was left, 1 where there is no connection (any more), 2 where an address can't be one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from math import inf
from typing import Any

from autobahn.websocket.util import parse_url
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.stdio import StandardIO

from gortc.client import running
from gortc.client.endpoint import Endpoint
from gortc.client.ladder import SERVER, Ladder, Rung
from gortc.client.phone import Disconnected, Phone
from gortc.client.terminal import Terminal
from gortc.client.trace import Recorder
from gortc.client.wire import Wire, connect
from gortc.jsip.message import Headers
from gortc.printable import printable_lines

URL = "ws://127.0.0.1:8080/rtc"
WIDTH = 36
"""Characters between the two columns of the ladder."""

Attach = Callable[[Terminal], object]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("user", metavar="USER", help="whose phone it is, such as alice@gortc.local")
    parser.add_argument("--to", metavar="URI", help="whom to call, such as 400@gortc.local")
    parser.add_argument("--url", default=URL, help="where the server is; %(default)s")
    parser.add_argument("--answer", type=seconds, metavar="SECONDS", help="answer calls after so many seconds")
    parser.add_argument("--trace", metavar="FILE", help="add each message to a file, a line of JSON each")


def run(options: argparse.Namespace) -> int:
    """The command."""
    try:
        parse_url(options.url)
        handset = Handset(options, sys.stdin.isatty() and sys.stdout.isatty())
    except (ValueError, OSError) as error:
        print(printable_lines(f"gortc-ua: {error}"), file=sys.stderr)
        return 2
    return running.run(lambda reactor: handset.use(reactor, StandardIO))


def seconds(text: str) -> float:
    """An option's time. Raises ValueError where it can't be waited for."""
    value = float(text)
    if not 0 <= value < inf:
        raise ValueError(text)
    return value


class Handset:
    """A phone with a terminal and a connection to a server."""

    def __init__(self, options: argparse.Namespace, prompting: bool = False) -> None:
        """Raises BadURI, and OSError where the trace can't be written."""
        self.url: str = options.url
        self.phone = Phone(options.user, lambda line: self.terminal.say(f"-- {line}"), options.to, options.answer)
        self._trace = Recorder(options.trace) if options.trace else None
        prompt = (lambda: f"{self.phone.state}> ") if prompting else None
        self.terminal = Terminal(self.phone.obey, self.phone.quit, prompt)

    async def use(self, reactor: Any, attach: Attach) -> int:
        """Connect, and let the phone be used until it is left; `attach` connects the terminal. The exit status."""
        phone, terminal = self.phone, self.terminal
        ladder = Ladder(phone.user, SERVER)
        begin = reactor.seconds()

        def show(direction: str, _: str, message: Headers) -> None:
            now = reactor.seconds()
            source, target = (phone.user, SERVER) if direction == ">" else (SERVER, phone.user)
            ladder.add(now, source, target, message)
            rung = ladder.rows.pop()
            assert isinstance(rung, Rung)
            terminal.say(row(now - begin, rung.label, direction == ">"))
            if self._trace is not None:
                self._trace.add(now, source, target, message)

        endpoint = Endpoint(phone.user, phone.logic, reactor, show)

        def lost(closed: tuple[int, str]) -> None:
            endpoint.lost(wire)
            phone.lost("{} {}".format(*closed).strip())

        try:
            wire: Wire = await connect(reactor, self.url, phone.user, lambda data: endpoint.receive(wire, data))
        except (ConnectError, ConnectionClosed, DNSLookupError, ImportError) as error:
            return _fail(f"no connection to {self.url}: {error}")
        wire.closed.addCallback(lost)
        endpoint.connect(wire)
        attach(terminal)
        terminal.say(f"{'':9}{phone.user.partition('@')[0][: WIDTH - 2]:^{WIDTH}}{SERVER:^{WIDTH}}".rstrip())
        if phone.to is not None:
            phone.obey("call")
        left: Deferred[None] = Deferred()

        def interrupted() -> Deferred[None]:
            phone.quit()
            return left

        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        broken: Disconnected | None = None
        try:
            await phone.gone
        except Disconnected as why:
            broken = why
        wire.close()
        await wire.closed
        terminal.close()
        await terminal.closed
        if self._trace is not None:
            self._trace.close()
        left.callback(None)
        return 0 if broken is None else _fail(f"the connection is lost: {broken}")


def row(at: float, label: str, sent: bool) -> str:
    """A rung of the ladder of two: what we have sent, or received, so many seconds (`at`) after the begin."""
    shaft = f" {label} "[: WIDTH - 3].center(WIDTH - 2, "-")
    return f"{at:8.3f} {'':{WIDTH // 2}}|{f'{shaft}>' if sent else f'<{shaft}'}|"


def _fail(why: str) -> int:
    print(printable_lines(f"gortc-ua: {why}"), file=sys.stderr)
    return 1
