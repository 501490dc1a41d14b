"""Nodes that call each other: section 1 of docs/jsip.md, "Other domains"."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.wire.kit import PATIENCE, Json, Node, Peer, Process, call, ended_well, hang_up, request
from tests.wire.proxy import Proxy, free_port, proxied

CONFIG = """
from gortc import Route, Times
from gortc.tap import configure, make_application
settings = configure(
    realm="{realm}", rtc=("tcp:{port}:interface=127.0.0.1",), log_format="json",
    routes={{{routes}}}, frame_max={frame_max}, load_high=9.0, lag_high=1e9,
    times=Times({loss}, back_off_min=0.1, back_off_max=0.5, idle={idle}, transaction={transaction}),
)
application = make_application(settings)
"""
PATIENT = "connect=15.0, ping=5.0, dead=20.0"
"""A slow machine takes its time."""
HASTY = "connect=2.0, ping=0.3, dead=2.0"
"""Where losses are to be found soon."""


class Network:
    """Nodes, and a proxy on each way between two of them."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        ways: dict[str, dict[str, str]],
        loss: str = PATIENT,
        idle: float = 60.0,
        largest: dict[str, int] | None = None,
        transaction: float = 30.0,
    ) -> None:
        """`ways`: of each node, host -> the node that it is reached by; `loss`: how a lost connection is found;
        `largest`: how much a node takes, where that is less than usual; `transaction`: how long a request waits."""
        self.ports = {name: free_port() for name in ways}
        self.proxies: dict[tuple[str, str], Proxy] = {}
        self.nodes: dict[str, Node] = {}
        for name, routes in ways.items():
            lines = []
            for host, by in routes.items():
                if (name, by) not in self.proxies:
                    self.proxies[name, by] = stack.enter_context(proxied(self.ports[by]))
                url = f"ws://127.0.0.1:{self.proxies[name, by].port}/rtc"
                lines.append(f'"{host}": Route({url!r}, trusted=True)')
            config = folder / f"{name}.tac"
            config.write_text(
                CONFIG.format(
                    realm=f"{name}.test",
                    port=self.ports[name],
                    routes=", ".join(lines),
                    loss=loss,
                    idle=idle,
                    transaction=transaction,
                    frame_max=(largest or {}).get(name, 65536),
                )
            )
            process = Process(folder, "gortc", "--config", str(config))
            stack.callback(ended_well, process)
            self.nodes[name] = Node(process, process.ports()[0], f"{name}.test")

    def peer(self, name: str, at: str) -> Peer:
        """A user of a node."""
        return Peer(self.nodes[at], name)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be closed at the end."""
    with ExitStack() as made:
        yield made


@pytest.fixture
def pair(tmp_path: Path, stack: ExitStack) -> Network:
    """Two nodes that know each other."""
    return Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {"a.test": "a"}})


@pytest.fixture
def hasty(tmp_path: Path, stack: ExitStack) -> Network:
    """The same, that find out about a lost connection within two seconds."""
    return Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {"a.test": "a"}}, HASTY)


@pytest.mark.proves("C-49", "C-50", "C-51", "M-32")
def test_two_nodes_call_each_other_both_ways_at_once(pair: Network) -> None:
    """Several users, one channel each way, which never replaces the other."""
    names = ("alex", "bea", "carl")
    here = [pair.peer(name, "a") for name in names]
    there = [pair.peer(name, "b") for name in names]
    ups = [caller.open("INVITE", callee.name, Body=callee.name) for caller, callee in zip(here, there, strict=True)]
    ups += [caller.open("INVITE", callee.name, Body=callee.name) for caller, callee in zip(there, here, strict=True)]
    downs = [peer.answering(Body=peer.name) for peer in (*there, *here)]
    assert {down.first["Max-Forwards"] for down in downs} == {69}
    for down in downs:
        down.reply(200, Body="answer")
    for up in ups:  # all of them first: an ACK may overtake the answer of another call
        up.expect(200, Body="answer")
    for up in ups:
        up.ack()
    for down in downs:
        down.expect("ACK")
    for up, down in zip(ups, downs, strict=True):
        hang_up(up, down)
    assert [proxy.accepted for proxy in pair.proxies.values()] == [1, 1]


@pytest.mark.proves("C-50")
def test_a_message_comes_back_with_its_answer(pair: Network) -> None:
    alice, bob = pair.peer("alice", "a"), pair.peer("bob", "b")
    up = alice.open("MESSAGE", bob.name, Body="hi", **{"P-Asserted-Identity": alice.name})
    down = bob.answering("MESSAGE", Body="hi", **{"P-Asserted-Identity": alice.name})
    down.reply(200, Body="ho")
    up.expect(200, Body="ho")


@pytest.mark.proves("C-27", "C-50")
def test_a_router_of_several_hops(tmp_path: Path, stack: ExitStack) -> None:
    """Each node takes its own name off, and the last one finds the user."""
    net = Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {"c.test": "c"}, "c": {}})
    alice, carol = net.peer("alice", "a"), net.peer("carol", "c")
    up = alice.open("INVITE", carol.name, Router="b.test, c.test;type=default, x.test")
    up.expect(404)  # the last one knows no x.test
    up.ack()
    up = alice.open("INVITE", carol.name, Router="b.test, c.test;type=default")
    down = carol.answering()
    assert "Router" not in down.first
    assert down.first["Max-Forwards"] == 68
    down.reply(486)
    down.expect("ACK")
    up.expect(486)
    up.ack()


@pytest.mark.proves("M-14", "M-32")
def test_a_loop_is_stopped(tmp_path: Path, stack: ExitStack) -> None:
    """Each thinks that the other one knows x.test."""
    net = Network(tmp_path, stack, {"a": {"x.test": "b"}, "b": {"x.test": "a"}})
    alice = net.peer("alice", "a")
    up = alice.open("INVITE", "x@x.test", Max_Forwards=9)
    up.expect(483)
    up.ack()
    up = alice.open("INVITE", "x@x.test")
    up.expect(483)
    up.ack()


@pytest.mark.proves("C-52")
@pytest.mark.parametrize("fault", ["refuse", "black_hole"])
def test_a_next_hop_that_is_not_there(hasty: Network, fault: str) -> None:
    """503 with its reason, in time for somebody else to be asked; then it is back, and so are calls."""
    proxy = hasty.proxies["a", "b"]
    setattr(proxy, fault, True)
    alice, bob = hasty.peer("alice", "a"), hasty.peer("bob", "b")
    up = alice.open("INVITE", bob.name)
    said = up.expect(503)
    assert said["Reason"].startswith("127.0.0.1: ")
    up.ack()
    setattr(proxy, fault, False)
    proxy.reset()
    end = time.monotonic() + PATIENCE
    code = 503
    while code == 503 and time.monotonic() < end:
        up = alice.open("MESSAGE", "nobody@b.test", Body="is there anybody?")
        code = up.peer.receive()["Code"]
    assert code == 480  # the other node knows that there is nobody
    hang_up(*call(alice, bob))


@pytest.mark.proves("C-34", "C-44", "C-51")
@pytest.mark.parametrize("fault", ["cut", "reset", "forget"])
def test_a_call_outlives_the_connection_between_the_nodes(hasty: Network, fault: str) -> None:
    """Both go on talking: what was lost is sent again, once."""
    alice, bob = hasty.peer("alice", "a"), hasty.peer("bob", "b")
    up, down = call(alice, bob)
    proxy = hasty.proxies["a", "b"]
    for number in range(3):
        getattr(proxy, fault)()
        asked = up.send("INFO", Body=number)
        back = down.send("INFO", Body=number)
        told = down.expect("INFO", Body=number)
        down.reply(200, told)
        up.reply(200, up.expect("INFO", Body=number))
        down.expect(200, CSeq=back["CSeq"])
        up.expect(200, CSeq=asked["CSeq"])
    hang_up(up, down)


@pytest.mark.proves("C-53")
def test_an_idle_connection_is_closed_and_made_again(tmp_path: Path, stack: ExitStack) -> None:
    net = Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {}}, idle=0.3)
    alice, bob = net.peer("alice", "a"), net.peer("bob", "b")
    for number in (1, 2):
        hang_up(*call(alice, bob))
        end = time.monotonic() + PATIENCE
        while net.proxies["a", "b"].pairs and time.monotonic() < end:
            time.sleep(0.05)
        assert not net.proxies["a", "b"].pairs
        assert net.proxies["a", "b"].accepted == number


# messages that are too large


def message_of(size: int, to: str = "bob@b.test") -> Json:
    """A MESSAGE of alice's that has so many bytes, as Python writes it."""
    made = request("MESSAGE", "alice@a.test", to, Body="")
    return {**made, "Body": "x" * (size - len(json.dumps(made)))}


def grown(message: Json) -> str:
    """The text of a message that has 18 kB, and takes 70 kB as it is written again."""
    return json.dumps({**message, "Body": [1e15] * 3600}).replace("1000000000000000.0", "1e15")


@pytest.mark.proves("C-15", "C-76", "M-35", "M-37")
def test_what_is_too_large_for_the_link(pair: Network) -> None:
    """Alice is told at once, and nobody else notices; the first one has no link yet."""
    alice, bob, carol, dave = (
        pair.peer("alice", "a"),
        pair.peer("bob", "b"),
        pair.peer("carol", "a"),
        pair.peer("dave", "b"),
    )
    alice.send(message_of(65500))  # our headers are longer than hers
    said = alice.expect(413)
    assert said["Reason"].endswith(" bytes, 65,536 at most")
    up, down = call(carol, dave)
    alice.send(message_of(65500))
    alice.expect(413)
    alice.send_raw(grown(message_of(1000)))
    alice.expect(413)
    alice.send(message_of(64500))
    talk = bob.answering("MESSAGE")
    bob.send_raw(
        grown({"Type": "RESPONSE", "Code": 200, **{n: talk.first[n] for n in ("From", "To", "DialogueID", "CSeq")}})
    )
    alice.expect(500)
    long = request("MESSAGE", "a" * 40_000, "b" * 20_000, Body="hi", **{"Request-URI": "bob@b.test"})
    alice.send(long)
    said = alice.expect(413)
    assert (len(said["From"]), len(said["To"])) == (1024, 1024)
    asked = up.send("INFO", Body="still there?")
    down.reply(200, down.expect("INFO", Body="still there?"))
    up.expect(200, CSeq=asked["CSeq"])
    hang_up(up, down)
    assert pair.proxies["a", "b"].accepted == 1


@pytest.mark.proves("C-77", "C-78", "C-34")
def test_a_next_hop_that_takes_less_than_we_do(tmp_path: Path, stack: ExitStack) -> None:
    """It closes the link with 1009, which goes on where it was, without what closed it."""
    net = Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {}}, largest={"b": 5000})
    alice, bob, carol, dave = (
        net.peer("alice", "a"),
        net.peer("bob", "b"),
        net.peer("carol", "a"),
        net.peer("dave", "b"),
    )
    up, down = call(carol, dave)
    for number in range(3):
        alice.send(message_of(9000))
        asked = [up.send("INFO", Body=f"{number} {word}") for word in range(20)]
        back = [down.send("INFO", Body=f"{number} {word}") for word in range(20)]
        heard = [down.expect("INFO", Body=f"{number} {word}") for word in range(20)]
        heard_back = [up.expect("INFO", Body=f"{number} {word}") for word in range(20)]
        for question in heard:
            down.reply(200, question)
        for question in heard_back:
            up.reply(200, question)
        for question in asked:
            up.expect(200, CSeq=question["CSeq"])
        for question in back:
            down.expect(200, CSeq=question["CSeq"])
        assert alice.expect(413)["Reason"] == "the message is too large for the peer"
    alice.send(message_of(4000))
    bob.answering("MESSAGE").reply(200)
    alice.expect(200)
    hang_up(up, down)
    assert net.proxies["a", "b"].accepted == 4


@pytest.mark.proves("C-77", "C-78")
def test_a_node_that_has_connected_to_us_and_takes_less_than_we_do(tmp_path: Path, stack: ExitStack) -> None:
    """The same for an answer, by the other way round."""
    net = Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {}}, largest={"a": 5000})
    alice, bob, carol, dave = (
        net.peer("alice", "a"),
        net.peer("bob", "b"),
        net.peer("carol", "a"),
        net.peer("dave", "b"),
    )
    up, down = call(carol, dave)
    asked = alice.open("MESSAGE", "bob@b.test", Body="hi")
    bob.answering("MESSAGE").reply(200, Body="x" * 9000)
    ring = alice.open("INVITE", "bob@b.test", Body="offer")
    told = up.send("INFO", Body="still there?")
    down.reply(200, down.expect("INFO", Body="still there?"))
    bob.answering("INVITE").reply(486)
    up.expect(200, CSeq=told["CSeq"])
    heard = [alice.receive(), alice.receive()]
    codes = {message["DialogueID"]: message["Code"] for message in heard}
    assert codes == {asked.id: 500, ring.id: 486}
    ring.ack()
    bob.expect("ACK")
    hang_up(up, down)


@pytest.mark.proves("S-62", "S-73")
def test_an_agent_who_answers_no_info(tmp_path: Path, stack: ExitStack) -> None:
    """A hundred of them over two nodes whose times are equal, both ways: no call ends of it."""
    net = Network(tmp_path, stack, {"a": {"b.test": "b"}, "b": {"a.test": "a"}}, transaction=0.5)
    alice, bob = net.peer("alice", "a"), net.peer("bob", "b")
    calls = [call(alice, bob) for _ in range(20)]
    for number in range(5):
        asker, other = (alice, bob) if number % 2 else (bob, alice)
        for up, down in calls:
            (up if number % 2 else down).send("INFO", Body=number)
        assert [other.receive()["Type"] for _ in calls] == ["INFO"] * len(calls)
        assert [asker.receive().get("Code") for _ in calls] == [504] * len(calls)
    for up, down in calls:
        hang_up(up, down)
    alice.fence()
    bob.fence()


@pytest.mark.proves("S-26")
@pytest.mark.parametrize("code", [408, 481])
def test_an_agent_who_says_that_the_call_is_over(pair: Network, code: int) -> None:
    """Both are hung up, over both nodes, and nobody is left waiting."""
    alice, bob = pair.peer("alice", "a"), pair.peer("bob", "b")
    up, down = call(alice, bob)
    up.send("INFO")
    down.reply(code, down.expect("INFO"))
    up.expect(code)
    up.reply(200, up.expect("BYE"))
    down.reply(200, down.expect("BYE"))
    alice.fence()
    bob.fence()
