"""`gortcctl`: asks a server's management API, and prints tables for people or JSON for scripts.

Exit status: 0 where it went well, 1 where the server says no, 2 where the command line can't be followed, 3 where no
server answers, or none of gortc's.
"""

from __future__ import annotations

import argparse
import codecs
import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import shtab
from attrs import field, frozen
from rich.console import Console

from gortc import __version__
from gortc.ctl import live
from gortc.ctl.client import EMPTY, Client, Failed, named
from gortc.ctl.show import show
from gortc.printable import printable, printable_lines

URL = "http://127.0.0.1:2539"
LADDERS = {"text": "txt", "mermaid": "mmd", "svg": "svg"}
Options = argparse.Namespace


@frozen
class Command:
    """One: what it is for, its options (name -> what `add_argument` is told), and what it asks the server: an answer,
    several, or None where it has shown them itself."""

    help: str
    ask: Callable[[Client, Options], Any]
    options: Mapping[str, Mapping[str, Any]] = field(factory=dict)


def session(client: Client, options: Options) -> Any:
    """One session: what it is, and its ladder; or one of them; or end it."""
    path = f"/runtime/v1/sessions/{named(options.dialogue)}"
    if options.end:
        return client.ask("DELETE", path, channel=options.channel)
    if options.ladder:
        return client.text(f"{path}/ladder.{LADDERS[options.ladder]}", channel=options.channel)
    told = client.ask("GET", path, channel=options.channel)
    if not options.json and told.pop("messages"):
        return told, "\n" + client.text(f"{path}/ladder.txt", channel=options.channel)
    return told


def services(client: Client, options: Options) -> Any:
    """Those that are loaded; or load or remove one."""
    return plugins(client, options, "/slpm/v1", "slps")


def apis(client: Client, options: Options) -> Any:
    """The same for API plugins."""
    return plugins(client, options, "/apim/v1", "apis")


def plugins(client: Client, options: Options, base: str, rows: str) -> Any:
    """Of one kind."""
    if options.what == "ls":
        return client.ask("GET", f"{base}/{rows}")
    if options.name is None:
        raise Failed(2, f"{options.what} needs a NAME")
    if options.what == "load":
        return client.ask("POST", f"{base}/{named(options.name)}", file=options.plugin)
    return client.ask("DELETE", f"{base}/{named(options.name)}")


def which(client: Client, options: Options) -> Any:
    """Of a message, or of its Request-URI and Router."""
    uri, router = options.message, options.router
    if uri.startswith("{"):
        try:
            message = json.loads(uri)
            uri, router = message["Request-URI"], message.get("Router")
        except (ValueError, KeyError, RecursionError) as error:
            raise Failed(2, f"the message can't be read: {error!r}") from None
    return client.ask("GET", "/runtime/v1/which", uri=uri, router=router)


def set_(client: Client, options: Options) -> Any:
    """Change settings."""
    pairs = [pair.partition("=") for pair in options.setting]
    if not all(equals for _, equals, _ in pairs):
        raise Failed(2, "say NAME=VALUE")
    return client.ask("PUT", "/runtime/v1/settings", **{name: value for name, _, value in pairs})


def trace(client: Client, options: Options) -> Any:
    """As it happens; or to a file of the server's."""
    if not options.party:
        raise Failed(2, EMPTY)
    if options.file:
        return client.ask("POST", "/runtime/v1/traces", party=options.party, minutes=options.minutes)
    if options.end:
        return client.ask("DELETE", f"/runtime/v1/traces/{named(options.party)}")

    def say(said: dict[str, Any]) -> None:
        sys.stdout.write((printable(json.dumps(said)) if options.json else live.line(said)) + "\n")
        sys.stdout.flush()

    live.trace(client, options.party, say, options.rounds)
    return None


def top(client: Client, options: Options) -> Any:
    """As it happens."""
    live.top(client, console(), options.every, options.rounds, options.json)


def get(path: str, *fields: str) -> Callable[[Client, Options], Any]:
    """A command that asks for a path, with these of its options."""
    return lambda client, options: client.ask("GET", path, **{name: getattr(options, name) for name in fields})


def seconds(text: str) -> float:
    """A time that can be waited for. Raises ValueError."""
    value = float(text)
    if not 0 <= value <= 86400:
        raise ValueError(text)
    return value


PAGING: Mapping[str, Mapping[str, Any]] = {"--limit": {"help": "so many rows"}, "--offset": {"help": "after so many"}}
ROUNDS: Mapping[str, Mapping[str, Any]] = {"--rounds": {"type": int, "help": argparse.SUPPRESS}}
PLUGIN: Mapping[str, Mapping[str, Any]] = {
    "what": {"choices": ("ls", "load", "rm"), "nargs": "?", "default": "ls"},
    "name": {"nargs": "?", "help": "what it is loaded under"},
    "plugin": {"nargs": "?", "help": "the plugin's name, where that is another one"},
}
VERBS = {"show": "GET", "begin": "POST", "cancel": "DELETE"}
COMMANDS: dict[str, Command] = {
    "status": Command(
        "how many of everything, load, lag, counters, whether it drains",
        lambda client, _: {**client.ask("GET", "/runtime/v1/drain"), **client.ask("GET", "/runtime/v1/jstack")},
    ),
    "top": Command(
        "the same and the services, as it goes on",
        top,
        {"--every": {"type": seconds, "default": 2.0, "metavar": "SECONDS", "help": "between two looks"}, **ROUNDS},
    ),
    "sessions": Command(
        "sessions",
        get("/runtime/v1/sessions", "channel", "service", "limit", "offset"),
        {"--channel": {"help": "of this channel"}, "--service": {"help": "of instances of this service"}, **PAGING},
    ),
    "session": Command(
        "one session, with the other legs of its instance, and their ladder; also of one that is over",
        session,
        {
            "dialogue": {"metavar": "ID", "help": "its DialogueID"},
            "--channel": {"help": "on this channel, where several have that DialogueID"},
            "--ladder": {"choices": tuple(LADDERS), "help": "the ladder only"},
            "--end": {"action": "store_true", "help": "end its instance"},
        },
    ),
    "users": Command("users that are online", get("/runtime/v1/users", "limit", "offset"), PAGING),
    "channels": Command("channels: users and next hops", get("/runtime/v1/channels", "limit", "offset"), PAGING),
    "close": Command(
        "close a channel's connection",
        lambda client, options: client.ask("DELETE", f"/runtime/v1/channels/{named(options.channel)}"),
        {"channel": {}},
    ),
    "services": Command("the loaded services; load or replace one, remove one", services, PLUGIN),
    "apis": Command("the same of API plugins", apis, PLUGIN),
    "drain": Command(
        "begin to drain, cancel it, or show how far it is",
        lambda client, options: client.ask(VERBS[options.what], "/runtime/v1/drain"),
        {"what": {"choices": tuple(VERBS), "nargs": "?", "default": "show"}},
    ),
    "trace": Command(
        "what a user or number says and hears, as it happens, or to a file",
        trace,
        {
            "party": {"metavar": "USER", "help": "with its host or without; with --end the trace's name"},
            "--file": {"action": "store_true", "help": "have the server write it to a file"},
            "--minutes": {"help": "for so long, with --file"},
            "--end": {"action": "store_true", "help": "end a trace to a file"},
            **ROUNDS,
        },
    ),
    "traces": Command("the traces to files", get("/runtime/v1/traces")),
    "which": Command(
        "which service would get a first request, and why",
        which,
        {
            "message": {"help": "the message, JSON; or its Request-URI"},
            "--router": {"help": "its Router"},
        },
    ),
    "settings": Command("the settings", get("/runtime/v1/settings")),
    "set": Command(
        "change settings, until the configuration is read again",
        set_,
        {"setting": {"metavar": "NAME=VALUE", "nargs": "+"}},
    ),
    "reload": Command(
        "read the configuration again, as SIGHUP does", lambda client, _: client.ask("POST", "/runtime/v1/reload")
    ),
    "stack": Command(
        "instances and what they await, timers, threads", lambda client, _: client.text("/runtime/v1/stack")
    ),
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="gortcctl", description="Looks after a gortc server, by its management API.")
    made.add_argument("--version", action="version", version=f"gortcctl {__version__}")
    made.add_argument("--url", default=URL, help=f"where the API is (default {URL})")
    tokens: Any = made.add_argument(
        "--token-file", default="gortc.token", help="the server's token file (default gortc.token)"
    )
    ca: Any = made.add_argument("--ca", help="the certificates to be trusted, where the API is https")
    tokens.complete = ca.complete = shtab.FILE
    made.add_argument("--json", action="store_true", help="print the answer as JSON")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.help, description=command.help)
        for option, how in command.options.items():
            one.add_argument(option, **how)
    source = "source <(gortcctl completion bash)"
    completion = commands.add_parser("completion", help=f"what lets a shell complete: {source}")
    completion.add_argument("shell", choices=shtab.SUPPORTED_SHELLS)
    return made


def console() -> Console:
    """Where tables go: as wide as they are where nobody reads them."""
    return Paper(width=None if sys.stdout.isatty() else 10_000, markup=False, highlight=False, emoji=False)


class Paper(Console):
    """A console whose reader may go."""

    def on_broken_pipe(self) -> None:
        """`main` knows what to do."""
        raise


def escaped(error: UnicodeError) -> tuple[str, int]:
    """What the output has no letter for, as in JSON."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def main(words: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    made = parser()
    options = made.parse_args(words)
    codecs.register_error("gortcctl", escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="gortcctl")
    try:
        if options.command == "completion":
            sys.stdout.write(shtab.complete(made, options.shell) + "\n")
        else:
            run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # whoever read it has seen enough
        hush()
        return 0
    except Failed as failed:
        return say(failed)
    except OSError as error:
        hush()
        return say(Failed(3, str(error)))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        return say(Failed(3, f"{options.url}: the answer is none of a gortc server's: {error!r}"))
    return 0


def run(options: Options) -> None:
    """Ask, and print what is answered. Raises Failed; and whatever comes of an answer that is none."""
    answer = COMMANDS[options.command].ask(Client(options.url, options.token_file, options.ca), options)
    for one in answer if isinstance(answer, tuple) else () if answer is None else (answer,):
        if options.json and not isinstance(one, str):
            sys.stdout.write(printable_lines(json.dumps(one, indent=2)) + "\n")
        else:
            show(one, console())


def say(failed: Failed) -> int:
    """Why it did not go well; the exit status."""
    sys.stderr.write(printable(f"gortcctl: {failed}") + "\n")
    return failed.status


def hush() -> None:
    """What is still to be written goes nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
