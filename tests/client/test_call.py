"""`gortc-ua call`: the terminal by itself, the command against a server in this process, and the whole as a program."""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gortc.client import call
from gortc.client.terminal import CLEAR, Terminal
from gortc.server import Server
from tests.client.kit import url_of

PATIENCE = 30.0
"""How long a line may take, in seconds: for a slow machine."""


ALICE = "alice@gortc.local"


class Paper:
    """What a terminal has printed; `wait_for` waits for a line that has `text` in it, after those waited for before."""

    def __init__(self) -> None:
        self.text = ""
        self._read = 0
        self._wanted: tuple[str, Deferred[None]] | None = None

    def print(self, data: bytes) -> None:
        """More is printed."""
        self.text += data.decode()
        if self._wanted is not None and self._found(self._wanted[0]):
            wanted, self._wanted = self._wanted[1], None
            wanted.callback(None)

    async def wait_for(self, text: str) -> None:
        """Wait for it."""
        if not self._found(text):
            wanted: Deferred[None] = Deferred()
            self._wanted = (text, wanted)
            limit = reactor.callLater(PATIENCE, wanted.cancel)
            try:
                await wanted
            except Exception:
                raise AssertionError(f"{text!r} did not come:\n{self.text}") from None
            limit.cancel()

    def _found(self, text: str) -> bool:
        at = self.text.find(text, self._read)
        if at >= 0:
            self._read = at + len(text)
        return at >= 0


class Screen(StringTransport):
    """A terminal's other side in this process."""

    def __init__(self, paper: Paper, terminal: Terminal) -> None:
        super().__init__()
        self._paper = paper
        self._terminal = terminal

    def write(self, data: bytes) -> None:
        """Print."""
        super().write(data)
        self._paper.print(data)

    def loseConnection(self) -> None:  # noqa: N802
        """All is printed."""
        self._terminal.connectionLost(Failure(ConnectionDone()))


class Sitting:
    """The command in this process, under the hands of a test."""

    def __init__(self, server: Server | str, user: str, *options: str) -> None:
        url = server if isinstance(server, str) else url_of(server)
        parser = argparse.ArgumentParser()
        call.arguments(parser)
        self.handset = call.Handset(parser.parse_args([f"{user}@gortc.local", "--url", url, *options]))
        self.paper = Paper()
        self.status = ensureDeferred(self.handset.use(reactor, self._attach))

    def _attach(self, terminal: Terminal) -> None:
        terminal.makeConnection(Screen(self.paper, terminal))

    def type(self, line: str) -> None:
        """Type a line."""
        self.handset.terminal.dataReceived(f"{line}\n".encode())


class Program(ProcessProtocol):
    """The command as a program, with pipes."""

    def __init__(self, *arguments: str) -> None:
        self.paper = Paper()
        self.errors = Paper()
        self.status: Deferred[int] = Deferred()
        command = [sys.executable, "-m", "gortc.client.main", "call", *arguments]
        reactor.spawnProcess(self, sys.executable, command, env=None)

    def type(self, line: str) -> None:
        """Type a line."""
        self.transport.write(f"{line}\n".encode())  # type: ignore[union-attr]

    def kill(self) -> None:
        """The end of a test that failed."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")  # type: ignore[union-attr]

    def outReceived(self, data: bytes) -> None:  # noqa: N802
        """A part of what it prints."""
        self.paper.print(data)

    def errReceived(self, data: bytes) -> None:  # noqa: N802
        """A part of what it complains of."""
        self.errors.print(data)

    def processEnded(self, reason: Failure) -> None:  # noqa: N802
        """Its end."""
        self.status.callback(getattr(reason.value, "exitCode", None) or 0)


# the terminal


def terminal(prompting: bool = False) -> tuple[Terminal, StringTransport, list[str]]:
    typed: list[str] = []
    made = Terminal(typed.append, lambda: typed.append("(left)"), (lambda: "idle> ") if prompting else None)
    screen = StringTransport()
    made.makeConnection(screen)
    return made, screen, typed


def test_lines_in_and_out() -> None:
    made, screen, typed = terminal()
    made.dataReceived(b"call b")
    made.dataReceived(b"ob\nhang up\n")
    made.say("bye")
    assert typed == ["call bob", "hang up"]
    assert screen.value() == b"bye\n"


def test_a_prompt_makes_room() -> None:
    made, screen, _ = terminal(prompting=True)
    made.say("somebody calls")
    made.dataReceived(b"answer\n")
    made.close()
    assert screen.value().decode() == f"idle> {CLEAR}somebody calls\nidle> {CLEAR}idle> {CLEAR}"
    assert screen.disconnecting


def test_what_peers_send_can_not_drive_the_terminal() -> None:
    made, screen, _ = terminal()
    made.say("bob says: \x1b[2J\x07\r\nfake \u202e \ud800")
    assert screen.value().decode() == "bob says: \ufffd[2J\ufffd\ufffd\ufffdfake \ufffd \ufffd\n"


def test_the_end_of_the_input() -> None:
    """Its last line may have no end; what is to be said still is, until nobody reads any more."""
    made, screen, typed = terminal()
    made.dataReceived(b"hang up")
    made.readConnectionLost()
    made.say("over")
    assert typed == ["hang up", "(left)"]
    assert screen.value() == b"over\n"
    made.readConnectionLost()
    made.writeConnectionLost()
    made.connectionLost()
    assert made.closed.called


def test_a_line_without_an_end() -> None:
    made, screen, typed = terminal()
    made.dataReceived(b"message " + b"x" * 20000)
    made.dataReceived(b"\nhelp\n")
    assert screen.value() == b"the line is too long\n"
    assert typed[-1] == "help"


# the command


@pytest_twisted.ensureDeferred
async def test_a_call_with_its_ladder(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "trace"
    alice, bob = Sitting(server, "alice", "--trace", str(file)), Sitting(server, "bob", "--answer", "0.01")
    await alice.paper.wait_for("alice                               gortc\n")
    await bob.paper.wait_for("bob")
    alice.type("call bob")
    await alice.paper.wait_for("-- talking to bob@gortc.local\n")
    alice.type("h")
    await alice.paper.wait_for("-- the call with bob@gortc.local is over\n")
    await bob.paper.wait_for("-- the call with alice@gortc.local is over\n")
    rungs = [line[9:].strip() for line in alice.paper.text.splitlines() if "|" in line]
    assert {len(rung) for rung in rungs} == {call.WIDTH + 1}
    assert [re.sub("-+", "-", rung) for rung in rungs] == [
        "|- INVITE ->|", "|<- 180 Ringing -|", "|<- 200 OK -|", "|- ACK ->|", "|- BYE ->|", "|<- 200 OK (BYE) -|"
    ]  # fmt: skip
    alice.type("quit")
    bob.type("quit")
    assert (await alice.status, await bob.status) == (0, 0)
    assert not any(server.node.census().values())
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    kinds = [(line["from"], line["to"], line["message"].get("Code") or line["message"]["Type"]) for line in lines]
    out, back = (ALICE, "gortc"), ("gortc", ALICE)
    assert kinds == [
        (*out, "INVITE"), (*back, 180), (*back, 200), (*out, "ACK"), (*out, "BYE"), (*back, 200)
    ]  # fmt: skip
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


@pytest_twisted.ensureDeferred
async def test_it_calls_at_once(server: Server) -> None:
    alice = Sitting(server, "alice", "--to", "carol")
    await alice.paper.wait_for("-- carol@gortc.local: 480 Temporarily Unavailable\n")
    alice.type("quit")
    assert await alice.status == 0


@pytest_twisted.ensureDeferred
async def test_an_interrupt_hangs_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reactor does before it stops."""
    triggers: list[Any] = []
    monkeypatch.setattr(reactor, "addSystemEventTrigger", lambda phase, event, call: triggers.append(call))
    bob = Sitting(server, "bob", "--answer", "0.01")
    await bob.paper.wait_for("gortc")
    alice = Sitting(server, "alice", "--to", "bob")
    await alice.paper.wait_for("-- talking to bob@gortc.local\n")
    left = triggers[1]()
    await bob.paper.wait_for("-- the call with alice@gortc.local is over\n")
    assert await alice.status == 0
    await left
    await triggers[0]()
    assert await bob.status == 0


@pytest_twisted.ensureDeferred
async def test_the_connection_is_lost(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Another one connects under the same name; the server stops."""
    bob = Sitting(server, "bob", "--answer", "0.01")
    await bob.paper.wait_for("gortc")
    first = Sitting(server, "alice", "--to", "bob")
    await first.paper.wait_for("-- talking to bob@gortc.local\n")
    second = Sitting(server, "alice")
    assert await first.status == 1
    await first.paper.wait_for("-- the call with bob@gortc.local is over\n")
    bob.type("quit")
    await bob.status
    assert capsys.readouterr().err == "gortc-ua: the connection is lost: 4001 replaced\n"
    await second.paper.wait_for("gortc")
    await server.stopService()
    assert await second.status == 1
    assert capsys.readouterr().err == "gortc-ua: the connection is lost: 1001 the server is stopping\n"


@pytest_twisted.ensureDeferred
async def test_no_connection(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = url_of(server)
    assert await Sitting(server, "x" * 255).status == 1
    error = capsys.readouterr().err
    assert error.startswith(f"gortc-ua: no connection to {url}: ")
    assert "400" in error
    await server.stopService()
    refused = Sitting(url, "alice")
    assert await refused.status == 1
    error = capsys.readouterr().err
    assert error.startswith(f"gortc-ua: no connection to {url}: Connection was refused")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["alice"], "not user@host: 'alice'"),
        (["a b@c"], "not a URI: 'a b@c'"),
        ([ALICE, "--to", "b c"], "not a URI: 'b c@gortc.local'"),
        ([ALICE, "--url", "http://127.0.0.1"], "invalid WebSocket URL"),
        ([ALICE, "--trace", "/nowhere/at/all"], "No such file or directory"),
    ],
)
def test_what_can_not_be(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    call.arguments(parser)
    assert call.run(parser.parse_args(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("gortc-ua: ")
    assert why in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_times_that_can_not_be(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    call.arguments(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([ALICE, f"--answer={text}"])
    assert "--answer" in capsys.readouterr().err


# the program


@pytest_twisted.ensureDeferred
async def test_two_programs_in_a_call(server: Server) -> None:
    url = ("--url", url_of(server))
    bob = Program("bob@gortc.local", *url)
    try:
        await bob.paper.wait_for("gortc\n")
        alice = Program(ALICE, "--to", "bob", *url)
        try:
            await bob.paper.wait_for("-- alice@gortc.local calls: answer or reject\n")
            bob.type("answer")
            await alice.paper.wait_for("-- talking to bob@gortc.local\n")
            alice.type("message hello")
            await bob.paper.wait_for("-- alice@gortc.local says: hello\n")
            alice.transport.closeStdin()  # type: ignore[union-attr]
            assert await alice.status == 0
            await bob.paper.wait_for("-- the call with alice@gortc.local is over\n")
        finally:
            alice.kill()
        bob.transport.signalProcess("INT")  # type: ignore[union-attr]
        assert await bob.status == 0
        assert (alice.errors.text, bob.errors.text) == ("", "")
    finally:
        bob.kill()


@pytest_twisted.ensureDeferred
async def test_a_program_without_a_server(server: Server) -> None:
    url = url_of(server)
    await server.stopService()
    alice = Program(ALICE, "--url", url)
    assert await alice.status == 1
    assert alice.paper.text == ""
    assert alice.errors.text.startswith(f"gortc-ua: no connection to {url}: Connection was refused")
    assert alice.errors.text.count("\n") == 1
