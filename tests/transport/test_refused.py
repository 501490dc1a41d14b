"""A peer that closes its connection for one message: section 1 of docs/jsip.md, "Resuming"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import txaio.tx
from hypothesis import given
from hypothesis import strategies as st

from gortc.jsip.message import Headers
from gortc.jsip.times import Times
from gortc.testing import Talk
from gortc.transport import outbound
from gortc.transport.window import Window
from tests.transport.kit import Hub, Wire, close, frame
from tests.transport.network import Network
from tests.transport.test_resume import MESSAGES, come, send, texts

GROWN = [1e15] * 60


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


# the channel of a user


def refuse(hub: Hub, wire: Wire, code: int) -> None:
    """The peer closes its connection with `code`, and that has happened."""
    wire.send(close(code))
    assert not wire.transport.connected


@pytest.mark.proves("C-77", "C-78")
@pytest.mark.parametrize(("code", "told"), [(1003, 400), (1007, 400), (1009, 413)])
def test_what_closed_it_is_not_sent_again(hub: Hub, code: int, told: int) -> None:
    """All that was sent after it is, once; and the numbers go on."""
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:5])
    refuse(hub, wire, code)
    send(hub, *MESSAGES[5:7])
    assert hub.stack.refusals == []
    wire, first = come(hub, value["token"], seen=2)
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[3:7]
    assert hub.stack.refusals == [(MESSAGES[2], told)]
    wire.lose()
    wire, first = come(hub, value["token"], seen=4)  # of the peer's: 1, 2, 4, 5
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[5:7]
    wire.lose()
    wire, first = come(hub, value["token"], seen=7)
    assert first[1]["reason"] == "out of window"  # there have been six
    assert len(hub.stack.refusals) == 1


@pytest.mark.proves("C-77")
def test_several_in_a_row(hub: Hub) -> None:
    """Each costs one connection."""
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:6])
    for number in range(3):
        refuse(hub, wire, 1009)
        wire, first = come(hub, value["token"], seen=1)
        assert first[0] == "resumed"
        assert texts(wire) == MESSAGES[2 + number : 6]
    assert [data for data, _ in hub.stack.refusals] == MESSAGES[1:4]


@pytest.mark.proves("C-77")
def test_one_that_has_waited(hub: Hub) -> None:
    wire, (_, value) = come(hub)
    wire.lose()
    send(hub, *MESSAGES[:4])
    wire, _ = come(hub, value["token"])
    assert texts(wire) == MESSAGES[:4]
    refuse(hub, wire, 1009)
    wire, _ = come(hub, value["token"], seen=1)
    assert texts(wire) == MESSAGES[2:4]
    assert hub.stack.refusals == [(MESSAGES[1], 413)]


@pytest.mark.proves("C-79")
@pytest.mark.parametrize("code", [None, 1000, 1001, 1002, 1008, 1011, 3000, 4001])
def test_any_other_code_is_for_no_message(hub: Hub, code: int | None) -> None:
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:3])
    wire.send(close(code))
    wire, first = come(hub, value["token"], seen=1)
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[1:3]
    assert hub.stack.refusals == []


@pytest.mark.proves("C-77")
def test_nothing_was_missed(hub: Hub) -> None:
    """It has all that was sent: then it was none of these."""
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:2])
    refuse(hub, wire, 1009)
    wire, first = come(hub, value["token"], seen=2)
    assert first[0] == "resumed"
    send(hub, MESSAGES[2])
    assert texts(wire) == MESSAGES[2:3]
    wire.lose()
    wire, _ = come(hub, value["token"], seen=2)
    assert texts(wire) == MESSAGES[2:3]
    assert hub.stack.refusals == []


@pytest.mark.proves("C-77")
def test_the_answer_to_our_own_close_is_no_refusal(hub: Hub) -> None:
    """It has sent too much, and says the same code as we do."""
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:3])
    wire.send(frame(b"x" * 65537))
    wire.send(close(1009))
    assert not wire.transport.connected
    wire, _ = come(hub, value["token"], seen=1)
    assert texts(wire) == MESSAGES[1:3]
    assert hub.stack.refusals == []


@pytest.mark.proves("C-77")
def test_a_close_of_a_connection_that_another_has_replaced(hub: Hub) -> None:
    old, (_, value) = come(hub)
    send(hub, *MESSAGES[:2])
    new, _ = come(hub, value["token"])
    old.send(close(1009))
    new.lose()
    new, _ = come(hub, value["token"])
    assert texts(new) == MESSAGES[:2]
    assert hub.stack.refusals == []


@pytest.mark.proves("C-79")
@pytest.mark.parametrize("token", ["", "x"])
def test_one_that_does_not_resume_gets_nothing_again(hub: Hub, token: str) -> None:
    wire, _ = come(hub)
    send(hub, *MESSAGES[:3])
    refuse(hub, wire, 1009)
    wire, (name, value) = come(hub, token, seen=1)
    assert name == "new"
    assert texts(wire) == []
    send(hub, *MESSAGES[:2])
    wire.lose()
    wire, _ = come(hub, value["token"], seen=0)  # that was long ago
    assert texts(wire) == MESSAGES[:2]
    assert hub.stack.refusals == []


@pytest.mark.proves("C-77")
def test_it_is_gone_again_before_it_has_what_it_missed(hub: Hub) -> None:
    """What was taken out stays out, and its sender was told once."""
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:4])
    refuse(hub, wire, 1009)
    for _ in range(2):
        wire, _ = come(hub, value["token"], seen=1)
        assert texts(wire) == MESSAGES[2:4]
        wire.lose()
    assert hub.stack.refusals == [(MESSAGES[1], 413)]


@pytest.mark.proves("C-44", "C-77")
def again(window: Window, number: int) -> list[bytes]:
    """What a peer has missed that has so many, and is sent once more."""
    missed = window.missed(number)
    for data in missed:
        window.keep(data)
    return missed


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5), st.booleans()), max_size=12))
def test_a_window_closes_up(rounds: list[tuple[int, int, bool]]) -> None:
    """Whatever is sent, seen and taken out: all the rest has come, once and in order."""
    window, sent = Window(1000, 100_000), 0
    got: list[bytes] = []
    out: list[bytes] = []
    for number, seen, refused in rounds:
        for _ in range(number):
            sent += 1
            window.keep(MESSAGES[sent % 90])
        on_its_way = again(window, len(got))
        got += on_its_way[:seen]
        window.confirm(len(got))
        if refused:
            culprit = window.take_out()
            assert culprit == (on_its_way[seen] if seen < len(on_its_way) else None)
            out += [] if culprit is None else [culprit]
    got += again(window, len(got))
    assert window.sent == len(got) == sent - len(out)
    assert again(window, len(got)) == []
    assert window.size == 0
    assert sorted(got + out) == sorted(MESSAGES[number % 90] for number in range(1, sent + 1))


# between two nodes, of which the other one takes less


def network(**each: Any) -> Network:
    """b.test takes 1000 bytes at most, a.test 65,536."""
    times = Times(connect=1.0, back_off_min=0.1, back_off_max=0.4, transaction=30.0)
    made = Network("a", "b", each={"b": {"frame_max": 1000}, **each}, times=times)
    config: Any = txaio.tx.config
    config.loop = made.reactor
    return made


def talking(net: Network) -> tuple[Talk, Talk]:
    """Alice at a.test and Bob at b.test talk."""
    alice, bob = net.users()
    up = alice.call("bob@b.test", "offer")
    net.settle()
    down = bob.answering()
    down.reply(200, "answer")
    net.settle()
    up.expect(200)
    up.ack()
    net.settle()
    down.expect("ACK")
    return up, down


def part(net: Network, up: Talk, down: Talk) -> None:
    """They hang up, and nothing is left."""
    up.send("BYE")
    net.settle()
    up.expect(200)
    down.reply(200, to=down.expect("BYE"))
    net.settle()
    net.check_empty()
    for talk in (up, down):
        talk.user.expect_nothing()


@pytest.mark.proves("C-77", "C-78", "C-34")
def test_a_request_that_the_next_hop_refuses() -> None:
    """Alice is told; what was said behind it, before and after the close, comes once and in order."""
    net = network()
    up, down = talking(net)
    before = len(net.tried)
    up.send("INFO", 1)
    large = up.user.open("MESSAGE", "bob@b.test", "x" * 2000)
    call = up.user.call("bob@b.test", "a second call")
    up.send("INFO", 2)
    net.settle()
    assert net.hop.connection is None
    up.send("INFO", 3)
    net.advance(0.5)
    said = large.expect(413)
    assert said["Reason"] == "the message is too large for the peer"
    assert len(net.tried) - before == 1
    for number in (1, 2, 3):
        down.reply(200, to=down.expect("INFO", Body=number))
    second = down.user.answering(Body="a second call")
    second.reply(486)
    net.settle()
    for _ in range(3):
        up.expect(200)
    call.expect(486)
    call.ack()
    net.settle()
    second.expect("ACK")
    part(net, up, down)
    assert net.labs["b"].node.journal.counts["resumed"] == 1


@pytest.mark.proves("C-77", "C-78")
def test_several_requests_that_the_next_hop_refuses() -> None:
    net = network()
    up, down = talking(net)
    before = len(net.tried)
    for number in range(4):
        up.send("INFO", "x" * 2000)
        up.send("INFO", number)
    net.advance(5)
    assert len(net.tried) - before == 4
    for number in range(4):
        down.reply(200, to=down.expect("INFO", Body=number))
    net.settle()
    codes = sorted(up.user.inbox[at]["Code"] for at in range(len(up.user.inbox)))
    assert codes == [200] * 4 + [413] * 4
    up.user.inbox.clear()
    part(net, up, down)


@pytest.mark.proves("C-77", "C-78")
def test_a_first_request_that_waits_for_the_link() -> None:
    """It is the first thing that is said at all; the next ones get through."""
    net = network()
    alice, bob = net.users()
    large = alice.open("MESSAGE", "bob@b.test", "x" * 2000)
    small = alice.open("MESSAGE", "bob@b.test", "hi")
    net.advance(1)
    large.expect(413)
    bob.answering("MESSAGE", Body="hi").reply(200)
    net.settle()
    small.expect(200)
    net.check_empty()


@pytest.mark.proves("C-76", "M-35")
def test_a_first_request_that_is_too_large_for_us_needs_no_link() -> None:
    net = network(a={"frame_max": 1000})
    net.silent = True
    alice, _ = net.users()
    alice.send(short({"Type": "MESSAGE", "Request-URI": "bob@b.test", "From": alice.name, "To": "b", "DialogueID": "d",
                      "CSeq": 1, "Body": GROWN}))  # fmt: skip
    alice.expect(413)
    net.check_empty()
    assert net.hop.waiting is None


@pytest.mark.proves("C-77", "C-78")
def test_a_response_that_the_node_that_asked_refuses() -> None:
    """a.test, which has connected, takes less: the server's side of the same."""
    net = network(a={"frame_max": 1000}, b={})
    up, down = talking(net)
    large = up.user.open("MESSAGE", "bob@b.test", "hi")
    up.send("INFO", 1)
    net.settle()
    down.user.answering("MESSAGE").reply(200, "x" * 2000)
    down.reply(200, to=down.expect("INFO"))
    net.advance(1)
    assert large.expect(500)["Reason"] == "the message is too large for the peer"
    up.expect(200)
    part(net, up, down)


@pytest.mark.proves("C-78")
def test_a_call_whose_answer_is_refused() -> None:
    net = network(a={"frame_max": 1000}, b={})
    alice, bob = net.users()
    up = alice.call("bob@b.test", "offer")
    net.settle()
    down = bob.answering()
    down.reply(200, "x" * 2000)
    net.advance(1)
    assert up.expect(500)["Reason"] == "the message is too large for the peer"
    up.ack()
    down.expect("ACK")
    down.reply(200, to=down.expect("BYE"))
    net.settle()
    net.check_empty()


@pytest.mark.proves("C-78")
def test_a_ringing_that_is_refused_is_only_dropped() -> None:
    net = network(a={"frame_max": 1000}, b={})
    alice, bob = net.users()
    up = alice.call("bob@b.test", "offer")
    net.settle()
    down = bob.answering()
    down.reply(183, "x" * 2000)
    net.advance(1)
    down.reply(200, "answer")
    net.settle()
    up.expect(200)
    up.ack()
    net.settle()
    down.expect("ACK")
    part(net, up, down)


@pytest.mark.proves("C-78")
def test_a_reinvite_whose_answer_is_refused() -> None:
    net = network(a={"frame_max": 1000}, b={})
    up, down = talking(net)
    up.send("INVITE", "offer")
    net.settle()
    down.reply(200, "x" * 2000, to=down.expect("INVITE"))
    net.advance(1)
    up.expect(500)
    up.ack()
    up.reply(200, to=up.expect("BYE"))
    net.settle()
    while message := next((m for m in down.user.inbox if m["Type"] == "BYE"), None):
        down.reply(200, to=message)
        down.user.inbox.remove(message)
    net.settle()
    net.check_empty()


@pytest.mark.proves("C-78")
def test_an_ack_that_is_refused() -> None:
    net = network()
    alice, bob = net.users()
    up = alice.call("bob@b.test")
    net.settle()
    down = bob.answering()
    down.reply(200, "offer")
    net.settle()
    up.expect(200)
    up.send("ACK", "x" * 2000, RelatedID=1)
    net.advance(1)
    up.reply(200, to=up.expect("BYE"))
    down.expect("ACK")  # of its own node, as the call ends
    down.reply(200, to=down.expect("BYE"))
    net.settle()
    net.check_empty()


@pytest.mark.proves("C-77", "C-78")
def test_the_longest_pauses_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the default times: seven in a row, and between two attempts as long as may be."""
    monkeypatch.setattr(outbound, "uniform", lambda least, most: most)
    net = Network("a", "b", each={"b": {"frame_max": 1000}})
    config: Any = txaio.tx.config
    config.loop = net.reactor
    up, down = talking(net)
    for number in range(7):
        up.user.send(headers(up, number, "x" * 2000))
    up.user.send(headers(up, 7, "at last"))
    net.advance(130, step=0.5)
    assert [message["Body"] for message in down.user.inbox if message["Type"] == "INFO"] == ["at last"]
    assert net.labs["a"].node.journal.counts["refused by the peer"] == 7
    assert len(net.tried) == 8


def headers(talk: Talk, number: int, body: str) -> Headers:
    """An INFO."""
    first = {name: talk.request[name] for name in ("Request-URI", "From", "To", "DialogueID")}
    return {"Type": "INFO", **first, "CSeq": 10 + number, "Body": body}


def short(message: Headers) -> bytes:
    """As somebody writes it whose numbers are short."""
    return orjson.dumps(message).replace(b"1000000000000000.0", b"1e15")


@pytest.mark.proves("C-78", "M-36")
def test_what_ends_a_call_goes_out_again_without_what_it_was_refused_for() -> None:
    """A BYE that the next hop finds too large hangs up all the same."""
    net = network()
    up, down = talking(net)
    up.send("BYE", "x" * 2000)
    net.advance(40)
    up.expect(200)
    down.reply(200, to=down.expect("BYE"))
    net.settle()
    net.check_empty()


@pytest.mark.proves("C-78", "M-36")
def test_so_does_what_gives_up_a_call() -> None:
    net = network()
    alice, bob = net.users()
    up = alice.call("bob@b.test", "an offer")
    net.settle()
    down = bob.answering()
    down.reply(180)
    net.settle()
    up.send("CANCEL", "x" * 2000, RelatedID=1)
    net.advance(10)
    down.reply(200, to=down.expect("CANCEL"))
    down.reply(487)
    net.settle()
    down.expect("ACK")
