"""`gortcctl`: asks a server's management API, and prints tables for people or JSON for scripts.

Exit status: 0 where it went well, 1 where the server says no, 2 where the command line can't be followed, 3 where no
server answers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from rich.console import Console
from rich.table import Table

from gortc import __version__

URL = "http://127.0.0.1:2539"
TIMEOUT = 10.0
"""Seconds that a server may take."""


class Failed(Exception):
    """The server says no (exit status 1), or nothing (3)."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Client:
    """Asks the API at `url`, with the first token of `token_file`."""

    def __init__(self, url: str, token_file: str) -> None:
        self._url = url.rstrip("/")
        self._token_file = token_file
        self._opener = build_opener(ProxyHandler({}))  # a token is for the server itself

    def ask(self, method: str, path: str, **query: Any) -> Any:
        """The answer: JSON, or a text. Raises Failed."""
        fields = {name: value for name, value in query.items() if value is not None}
        headers = {"Authorization": f"Bearer {self._token()}"}
        try:
            url = self._url + path + (f"?{urlencode(fields)}" if fields else "")
            with self._opener.open(Request(url, method=method, headers=headers), timeout=TIMEOUT) as answer:
                data, kind = answer.read(), answer.headers.get_content_type()
        except HTTPError as refused:
            raise Failed(1, told(refused.read())) from None
        except (URLError, HTTPException, OSError, ValueError) as error:
            raise Failed(3, f"{self._url}: {getattr(error, 'reason', error)}") from None
        return json.loads(data) if kind == "application/json" else data.decode()

    def _token(self) -> str:
        try:
            with open(self._token_file, encoding="utf-8") as file:
                lines = [line.split() for line in file if line.strip() and not line.startswith("#")]
            return lines[0][1]
        except (OSError, IndexError, UnicodeDecodeError) as error:
            raise Failed(3, f"no token in {self._token_file}: {error}") from None


def told(body: bytes) -> str:
    """Why the server says no."""
    try:
        return str(json.loads(body)["msg"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


# commands: what to ask, from the options


def session_path(options: argparse.Namespace) -> str:
    """Of one session."""
    return f"/runtime/v1/sessions/{quote(options.channel, safe='')}/{quote(options.dialogue, safe='')}"


def ask(client: Client, options: argparse.Namespace) -> Any:
    """The answer to the command."""
    paging = {"limit": getattr(options, "limit", None), "offset": getattr(options, "offset", None)}
    match options.command:
        case "status":
            return {**client.ask("GET", "/runtime/v1/drain"), **client.ask("GET", "/runtime/v1/jstack")}
        case "sessions":
            return client.ask("GET", "/runtime/v1/sessions", channel=options.channel, service=options.service, **paging)
        case "session":
            return client.ask("DELETE" if options.end else "GET", session_path(options))
        case "channels":
            return client.ask("GET", "/runtime/v1/channels", **paging)
        case "close":
            return client.ask("DELETE", f"/runtime/v1/channels/{quote(options.channel, safe='')}")
        case "services":
            return client.ask("GET", "/slpm/v1/slps")
        case "drain":
            return client.ask({"show": "GET", "begin": "POST", "cancel": "DELETE"}[options.what], "/runtime/v1/drain")
        case "which":
            return client.ask("GET", "/runtime/v1/which", uri=options.uri, router=options.router)
        case "settings":
            return client.ask("GET", "/runtime/v1/settings")
        case _:
            return client.ask("GET", "/runtime/v1/stack")


# what is printed


def show(answer: Any, console: Console) -> None:
    """For people: rows as a table, the rest as names and values."""
    if isinstance(answer, str):
        console.print(answer, end="", markup=False, highlight=False)
        return
    plain = {name: value for name, value in answer.items() if name not in ("code", "msg")}
    tables = {name: value for name, value in plain.items() if is_rows(value)}
    values = {name: value for name, value in plain.items() if name not in tables and name != "more"}
    if values:
        grid = Table(show_header=False, box=None)
        for name, value in flat(values):
            grid.add_row(name, value)
        console.print(grid)
    for name, rows in tables.items():
        table = Table(*rows[0], title=name, box=None, title_justify="left", header_style="bold")
        for row in rows:
            table.add_row(*map(text, row.values()))
        console.print(table)
    if answer.get("more"):
        console.print("there are more: --offset, --limit")


def is_rows(value: Any) -> bool:
    """Whether it is a table."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Names and values, those inside of others with dots."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{before}{name}.")
        else:
            rows.append((f"{before}{name}", text(value)))
    return rows


def text(value: Any) -> str:
    """A value in a table; no markup, whoever has chosen it."""
    if value is None:
        return "-"
    shown = (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
    return "".join(char if char.isprintable() else "?" for char in shown)


# the command line


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = argparse.ArgumentParser(prog="gortcctl", description="Looks after a gortc server, by its management API.")
    made.add_argument("--version", action="version", version=f"gortcctl {__version__}")
    made.add_argument("--url", default=URL, help=f"where the API is (default {URL})")
    made.add_argument("--token-file", default="gortc.token", help="the server's token file (default gortc.token)")
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("status", help="how many of everything, load, lag, counters, whether it drains")
    sessions = commands.add_parser("sessions", help="sessions")
    sessions.add_argument("--channel", help="of this channel")
    sessions.add_argument("--service", help="of instances of this service")
    session = commands.add_parser("session", help="one session, with the other legs of its instance")
    session.add_argument("channel")
    session.add_argument("dialogue")
    session.add_argument("--end", action="store_true", help="end its instance")
    channels = commands.add_parser("channels", help="channels: users and next hops")
    for one in (sessions, channels):
        one.add_argument("--limit", help="so many rows")
        one.add_argument("--offset", help="after so many")
    close = commands.add_parser("close", help="close a channel's connection")
    close.add_argument("channel")
    commands.add_parser("services", help="the loaded services")
    drain = commands.add_parser("drain", help="begin to drain, cancel it, or show how far it is")
    drain.add_argument("what", choices=("begin", "cancel", "show"), nargs="?", default="show")
    which = commands.add_parser("which", help="which service would get a first request, and why")
    which.add_argument("uri", help="its Request-URI")
    which.add_argument("--router", help="its Router")
    commands.add_parser("settings", help="the settings")
    commands.add_parser("stack", help="instances and what they await, timers, threads")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    options = parser().parse_args(words)
    try:
        answer = ask(Client(options.url, options.token_file), options)
    except Failed as failed:
        sys.stderr.write(f"gortcctl: {failed}\n")
        return failed.status
    if options.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
    else:
        show(answer, Console(width=None if sys.stdout.isatty() else 10_000, markup=False, highlight=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
