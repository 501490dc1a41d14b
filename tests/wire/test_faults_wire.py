"""What networks and machines do to users in mid-call, and what is promised all the same: docs/reliability.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.wire.kit import PATIENCE, Json, Node, Peer, Process, Talk, call, ended_well, hang_up
from tests.wire.lossy import lossy_network
from tests.wire.proxy import Proxy, proxied
from tests.wire.resuming import ResumingPeer

CONFIG = """
from gortc import Times
from gortc.tap import configure, make_application
settings = configure(
    rtc=("tcp:0:interface=127.0.0.1",), log_format="json", unsent_max=300_000, load_high=9.0, lag_high=1e9,
    times=Times(ping=0.3, dead=1.5, grace={grace}, transaction=30.0),
)
application = make_application(settings)
"""


def start(folder: Path, grace: float = 60.0) -> tuple[Process, Node]:
    """A server that finds out soon."""
    (folder / "some.tac").write_text(CONFIG.format(grace=grace))
    process = Process(folder, "gortc", "--config", "some.tac")
    return process, Node(process, process.ports()[0], "gortc.local")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One for all tests here."""
    process, node = start(tmp_path_factory.mktemp("faults"))
    try:
        yield node
    finally:
        ended_well(process)


@pytest.fixture
def proxy(node: Node) -> Iterator[Proxy]:
    """What is between the node and some users."""
    with proxied(node.port) as made:
        yield made
        ResumingPeer.all_leave()


def say(up: Talk, down: Talk, word: int) -> None:
    """Each says `word` to the other, and hears it once, and nothing else."""
    asked = up.send("INFO", Body=word)
    back = down.send("INFO", Body=-word)
    down.reply(200, down.expect("INFO", Body=word))
    up.reply(200, up.expect("INFO", Body=-word))
    down.expect(200, CSeq=back["CSeq"])
    up.expect(200, CSeq=asked["CSeq"])


FAULTS: dict[str, Callable[[Proxy], None]] = {
    "the connection is closed": Proxy.cut,
    "the connection is reset": Proxy.reset,
    "nothing is heard any more": Proxy.forget,
}


@pytest.mark.proves("C-34", "C-41", "C-43", "C-44")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_goes_on(node: Node, proxy: Proxy, fault: str) -> None:
    """Both users lose their connections again and again, with messages on their way; each word comes once, in order."""
    behind = Node(node.process, proxy.port, node.realm)
    alice, bob = ResumingPeer(behind, "alice"), ResumingPeer(behind, "bob")
    up, down = call(alice, bob)
    for word in range(1, 6):
        asked = up.send("INFO", Body=f"before {word}")
        FAULTS[fault](proxy)
        told = down.expect("INFO", Body=f"before {word}")
        down.reply(200, told)
        up.expect(200, CSeq=asked["CSeq"])
        say(up, down, word)
    hang_up(up, down)
    assert alice.window.resumed >= 5
    assert bob.window.resumed >= 5


@pytest.mark.proves("C-12")
@pytest.mark.parametrize(("split", "delay"), [(1, 0.0), (7, 0.0), (0, 0.05)])
def test_reads_that_are_split_or_merged(node: Node, proxy: Proxy, split: int, delay: float) -> None:
    """They change nothing."""
    proxy.split, proxy.delay = split, delay
    behind = Node(node.process, proxy.port, node.realm)
    alice, bob = Peer(behind, "alice"), Peer(behind, "bob")
    up, down = call(alice, bob)
    for _ in range(20):  # in one read, where they are merged
        up.send("INFO", Body="x" * 500)
    for _ in range(20):
        down.reply(200, down.expect("INFO", Body="x" * 500))
    for _ in range(20):
        up.expect(200)
    hang_up(up, down)


@pytest.mark.proves("C-20", "C-35")
def test_a_user_who_never_reads(node: Node, proxy: Proxy) -> None:
    """What is sent to him comes back; the others don't feel it."""
    mute = Peer(Node(node.process, proxy.port, node.realm), "mute")
    alice, bob, carol = (Peer(node, name) for name in ("alice", "bob", "carol"))
    up, down = call(alice, bob)
    proxy.stall()
    before = len(node.process.events)
    for word in range(1, 2000):  # the kernel takes some megabytes first
        sent = carol.open("MESSAGE", mute.name, Body="x" * 50_000)
        say(up, down, word)
        if any("no room to wait" in event["event"] for event in node.process.events[before:]):
            sent.expect(480)
            break
    else:
        pytest.fail("nobody noticed")
    hang_up(up, down)
    proxy.stall(False)


CLIENT = """
import sys, json
from tests.wire.kit import Node, Peer
peer = Peer(Node(None, int(sys.argv[1]), "gortc.local"), "bob")
print("here", flush=True)
talk = peer.answering()
talk.reply(200)
talk.expect("ACK")
print("talking", flush=True)
peer.receive()
"""


@pytest.mark.proves("C-38")
def test_a_client_that_is_killed(tmp_path: Path) -> None:
    """Its dialogues end after the grace, and nothing is left of them: a server that drains has nobody to wait for."""
    process, node = start(tmp_path, grace=0.5)
    try:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(node.port)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert client.stdout is not None
        assert client.stdout.readline() == "here\n"
        alice = Peer(node, "alice")
        up = alice.open("INVITE", "bob")
        up.expect(200)
        up.ack()
        assert client.stdout.readline() == "talking\n"
        client.kill()
        client.wait()
        client.stdout.close()
        up.reply(200, up.expect("BYE"))
        process.signal(signal.SIGTERM)
        assert alice.closed()[0] == 1012
        assert process.wait() == -signal.SIGTERM
        assert any("no session is left" in event["event"] for event in process.events)
    finally:
        ended_well(process)


def given_up(before: int, events: list[Json]) -> bool | None:
    """Whether the server has dropped a connection since then."""
    return any("dead peer" in event["event"] for event in events[before:]) or None


@pytest.mark.proves("C-18", "C-44")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network")
def test_a_network_that_loses_packets(tmp_path: Path) -> None:
    """One in five, both ways; now and then all of them, for so long that both ends give the connection up."""
    with lossy_network() as loopback:
        process, node = start(tmp_path)
        try:
            alice, bob = ResumingPeer(node, "alice", silence=3.0), ResumingPeer(node, "bob", silence=3.0)
            up, down = call(alice, bob)
            loopback.loses(20)
            for word in range(1, 4):
                say(up, down, word)
                asked = up.send("INFO", Body="lost?")
                loopback.loses(100)
                before = len(process.events)
                process.wait_for(partial(given_up, before))
                loopback.loses(20)
                down.reply(200, down.expect("INFO", Body="lost?"))
                up.expect(200, CSeq=asked["CSeq"])
            loopback.loses(0)
            hang_up(up, down)
            assert alice.window.resumed >= 1
        finally:
            loopback.loses(0)
            ResumingPeer.all_leave()
            ended_well(process)


def test_five_hundred_come_back_at_once(node: Node, proxy: Proxy) -> None:
    """All connections break in one moment, with calls on them; each user is back, and goes on."""
    behind = Node(node.process, proxy.port, node.realm)
    users = [ResumingPeer(behind, f"user{number}", silence=PATIENCE) for number in range(500)]
    calls = [call(caller, callee) for caller, callee in zip(users[:100:2], users[1:100:2], strict=True)]
    proxy.reset()
    for number, (up, down) in enumerate(calls, 1):
        say(up, down, number)
    for user in users[100:]:
        user.fence()
    for up, down in calls:
        hang_up(up, down)
    assert {user.window.resumed for user in users} == {1}
