"""The user agent and the server in one process, over real sockets."""

from __future__ import annotations

from collections import Counter

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import ConnectionClosed, ConnectionRefusedError

from gortc.client import demo
from gortc.client.agent import Unexpected, UserAgent
from gortc.jsip.message import Headers
from gortc.server import Server
from tests.client.kit import url_of

ECHO = {"Router": "gortc.local;type=echo"}


@pytest_twisted.ensureDeferred
async def test_a_call_to_echo(server: Server) -> None:
    said: list[tuple[bool, str | int]] = []

    def watch(name: str, sent: bool, message: Headers) -> None:
        assert name == "alice@gortc.local"
        said.append((sent, message.get("Code") or message["Type"]))

    alice = await UserAgent(reactor, "alice@gortc.local", watch).connect(url_of(server))
    call = alice.call("echo@gortc.local", "an offer", **ECHO)
    await call.expect(180)
    await call.expect(200, Body="an offer")
    call.ack()
    call.bye()
    await call.expect(200)
    assert said == [
        (True, "INVITE"), (False, 180), (False, 200), (True, "ACK"), (True, "BYE"), (False, 200)
    ]  # fmt: skip
    await alice.disconnect()
    assert not any(server.node.census().values())


@pytest_twisted.ensureDeferred
async def test_what_is_expected_and_does_not_come(server: Server) -> None:
    alice = await UserAgent(reactor, "alice@gortc.local").connect(url_of(server))
    talk = alice.open("MESSAGE", "echo@gortc.local", "hello", **ECHO)
    with pytest.raises(Unexpected, match=r"expected 404 .*'Code': 200"):
        await talk.expect(404)
    await talk.expect(200, Body="hello")
    with pytest.raises(Unexpected, match="expected 200, nothing came"):
        await alice.expect(200, within=0.01)
    await alice.disconnect()


@pytest_twisted.ensureDeferred
async def test_a_server_that_refuses(server: Server) -> None:
    with pytest.raises(ConnectionClosed):
        await UserAgent(reactor, "not, a name").connect(url_of(server))


@pytest_twisted.ensureDeferred
async def test_no_server(server: Server) -> None:
    url = url_of(server)
    await server.stopService()
    with pytest.raises(ConnectionRefusedError):
        await UserAgent(reactor, "alice@gortc.local").connect(url)


@pytest_twisted.ensureDeferred
async def test_a_server_that_stops_ends_its_calls(server: Server) -> None:
    """503 to what rings, BYE to what talks, and its connections closed."""
    alice, bob = [await UserAgent(reactor, f"{name}@gortc.local").connect(url_of(server)) for name in ("alice", "bob")]
    talking = alice.call("echo@gortc.local", **ECHO)
    await talking.expect(180)
    await talking.expect(200)
    talking.ack()
    ringing = alice.call("bob@gortc.local")
    leg = await bob.answering()
    leg.reply(180)
    await ringing.expect(180)
    await server.stopService()
    assert (await ringing.expect(503))["Reason"] == "the server is stopping"
    assert (await talking.expect("BYE"))["Reason"] == "the server is stopping"
    await leg.expect("CANCEL")


@pytest_twisted.ensureDeferred
async def test_the_demonstration(capsys: pytest.CaptureFixture[str]) -> None:
    """Four legs, one instance, nothing left; and each line of its ladder."""
    await demo.play(reactor)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2:] == ["4 legs in 1 instance", "0 sessions, 0 transactions, 0 tasks, 0 timers left"]
    labels = Counter("".join(filter(str.isalnum, line[9:])) for line in printed if "|" in line)
    assert labels == {
        "INVITE": 4, "486BusyHere": 1, "180Ringing": 4, "CANCEL": 1, "200OK": 2, "200OKCANCEL": 1,
        "200OKBYE": 2, "487RequestTerminated": 1, "ACK": 4,
        "BYE": 2,
    }  # fmt: skip
