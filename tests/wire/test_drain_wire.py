"""An administrator's signals, with calls up: section 1 of docs/jsip.md, "Draining"."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wire.kit import Node, Peer, Process, Talk, ended_well

CONFIG = """
from gortc import Times
from gortc.tap import configure, make_application
settings = configure(rtc=("tcp:0:interface=127.0.0.1",), log_format="json", times=Times(drain={drain}),
    load_high=9.0, lag_high=1e9)
application = make_application(settings)
"""


class Call:
    """A node with a call from Alice to Bob."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.node = Node(process, process.ports()[0], "gortc.local")
        self.alice, self.bob = Peer(self.node, "alice"), Peer(self.node, "bob")
        self.up = self.alice.open("INVITE", self.bob.name)
        self.down = self.bob.answering()
        self.down.reply(200)
        self.up.expect(200)
        self.up.ack()
        self.down.expect("ACK")

    def signal(self, number: signal.Signals, says: str) -> None:
        """Send a signal, and wait until the log says so."""
        before = len(self.process.events)
        self.process.signal(number)
        self.process.wait_for(lambda events: any(says in event["event"] for event in events[before:]) or None)

    def talk(self) -> None:
        """They go on talking."""
        asked = self.up.send("INFO", Body="still there?")
        self.down.reply(200, self.down.expect("INFO"))
        self.up.expect(200, CSeq=asked["CSeq"])

    def hang_up(self) -> None:
        """Alice hangs up."""
        bye = self.up.send("BYE")
        self.down.reply(200, self.down.expect("BYE"))
        self.up.expect(200, CSeq=bye["CSeq"])

    def try_another(self) -> Talk:
        """Bob sends a message to Alice."""
        return self.bob.open("MESSAGE", self.alice.name, Body="hi")


@pytest.fixture
def call(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Call]:
    """One on a node with so many seconds to drain."""
    (tmp_path / "some.tac").write_text(CONFIG.format(drain=getattr(request, "param", 60)))
    process = Process(tmp_path, "gortc", "--config", "some.tac")
    try:
        yield Call(process)
    finally:
        ended_well(process)


@pytest.mark.proves("C-59", "C-60", "C-61", "C-62")
def test_it_leaves_with_the_last_call(call: Call) -> None:
    """Users who have lost their connection meanwhile may come back."""
    call.signal(signal.SIGTERM, "draining: 2 sessions, 60 s at most")
    refused = call.try_another().expect(503, Reason="the server is stopping")
    assert 0 < refused["Retry-After"] <= 60
    call.bob.vanish()
    call.bob = call.down.peer = Peer(call.node, "bob")
    call.talk()
    call.hang_up()
    assert call.alice.closed() == call.bob.closed() == (1012, "the server is stopping")
    assert call.process.wait() == -signal.SIGTERM


@pytest.mark.proves("C-61")
@pytest.mark.parametrize("call", [0.5], indirect=True)
def test_the_time_is_up(call: Call) -> None:
    call.signal(signal.SIGTERM, "draining: 2 sessions")
    call.up.expect("BYE", Reason="the server is stopping")
    call.down.expect("BYE", Reason="the server is stopping")
    assert call.alice.closed() == call.bob.closed() == (1012, "the server is stopping")
    assert call.process.wait() == -signal.SIGTERM


@pytest.mark.proves("C-21")
def test_told_again(call: Call) -> None:
    """At once."""
    call.signal(signal.SIGTERM, "draining: 2 sessions")
    call.process.signal(signal.SIGTERM)
    call.up.expect("BYE")
    call.down.expect("BYE")
    assert call.alice.closed()[0] == call.bob.closed()[0] == 1001
    assert call.process.wait() == -signal.SIGTERM


@pytest.mark.proves("C-63")
def test_it_is_taken_back(call: Call) -> None:
    """New sessions are taken again; a later SIGTERM means the same as the first."""
    call.signal(signal.SIGTERM, "draining: 2 sessions")
    call.signal(signal.SIGUSR2, "not draining any more")
    talk = call.try_another()
    other = call.alice.answering("MESSAGE", Body="hi")
    other.reply(200)
    talk.expect(200)
    call.signal(signal.SIGTERM, "draining: 2 sessions")
    call.hang_up()
    assert call.alice.closed()[0] == 1012
    assert call.process.wait() == -signal.SIGTERM


@pytest.mark.parametrize("call", [0], indirect=True)
def test_no_time_to_drain(call: Call) -> None:
    """It stops at once."""
    call.process.signal(signal.SIGTERM)
    call.up.expect("BYE")
    assert call.alice.closed()[0] == 1001
    assert call.process.wait() == -signal.SIGTERM
