"""A peer that may resume: section 1 of docs/jsip.md, "Resuming"."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gortc.transport.window import CONFIRM_EVERY, Window
from tests.transport.kit import CLOSE, PING, PONG, TEXT, Hub, Wire, frame, handshake

MESSAGES = [b'{"n":%d}' % number for number in range(1, 100)]
"""In place of messages: 1, 2, 3 ..."""


def come(hub: Hub, token: str = "", seen: int | str = 0, name: str = "alice@x") -> tuple[Wire, Any]:
    """A peer that may resume connects: its connection, and the server's first frame."""
    wire = Wire(hub)
    query = f"&resume={token}&seen={seen}" if token else ""
    wire.send(handshake(f"/rtc?userid={name}{query}", Sec_WebSocket_Protocol="jsip.resume"))
    data: bytes = wire.transport.value()
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"Sec-WebSocket-Protocol: jsip.resume" in head, data
    wire.transport.clear()
    wire.transport.write(rest)
    (opcode, payload), *others = wire.take()
    assert opcode == TEXT
    for _, other in others:
        wire.transport.write(frame(other, mask=b""))
    return wire, orjson.loads(payload)


def texts(wire: Wire) -> list[bytes]:
    """What has come, pings apart."""
    return [payload for opcode, payload in wire.take() if opcode != PING]


def send(hub: Hub, *messages: bytes, name: str = "alice@x") -> None:
    """The stack sends; what can't be sent waits."""
    channel = hub.channels.by_name[name]
    for message in messages:
        assert channel.send(message) == 0 or channel.hold(message, None) == 0


@pytest.mark.proves("C-42")
def test_the_first_frame_is_new_with_a_token_of_its_own(hub: Hub) -> None:
    firsts = [come(hub, name=name)[1] for name in ("alice@x", "bob@x")]
    assert [(name, value["grace"], "reason" in value) for name, value in firsts] == [("new", 120, False)] * 2
    tokens = {value["token"] for _, value in firsts}
    assert len(tokens) == 2
    assert {len(token) for token in tokens} == {32}


@pytest.mark.proves("C-40", "C-42")
def test_a_plain_peer_gets_no_surprise(hub: Hub) -> None:
    """Nor does one that offers another subprotocol, or names a token without offering this one."""
    assert hub.connect().take() == []
    wire = Wire(hub)
    wire.send(handshake("/rtc?userid=bob@x&resume=1&seen=x", Sec_WebSocket_Protocol="chat"))
    assert "Sec-WebSocket-Protocol" not in wire.take_http()
    wire.send(frame('["seen",0]'))
    assert hub.stack.got == [b'["seen",0]']  # the stack says what it thinks of that


@pytest.mark.proves("C-41", "C-44")
def test_both_sides_get_what_they_missed_in_order(hub: Hub) -> None:
    wire, (_, value) = come(hub)
    for message in MESSAGES[:3]:
        wire.send(frame(message))
    send(hub, *MESSAGES[:5])
    assert texts(wire) == MESSAGES[:5]
    wire.lose()
    hub.clock.advance(60)
    send(hub, *MESSAGES[5:7])
    wire, first = come(hub, value["token"], seen=2)
    assert first == ["resumed", {"token": value["token"], "grace": 120, "seen": 3}]
    assert texts(wire) == MESSAGES[2:7]
    send(hub, MESSAGES[7])
    assert texts(wire) == MESSAGES[7:8]
    assert hub.journal.counts == {"resumed": 1}
    wire.lose()
    wire, first = come(hub, value["token"], seen=7)  # the numbers go on
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[7:8]


@pytest.mark.proves("C-44")
def test_it_resumes_while_its_old_connection_hangs(hub: Hub) -> None:
    """As when a phone changes its network: the server has not noticed yet."""
    old, (_, value) = come(hub)
    send(hub, *MESSAGES[:2])
    wire, first = come(hub, value["token"], seen=0)
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[:2]
    old.send(frame("too late"))
    assert hub.stack.got == []
    assert old.take()[-1] == (CLOSE, (4001).to_bytes(2, "big") + b"replaced")


@pytest.mark.proves("C-43")
def test_what_is_received_is_confirmed_after_32_messages_and_with_each_ping(hub: Hub) -> None:
    wire, _ = come(hub)
    for message in MESSAGES[: CONFIRM_EVERY + 1]:
        wire.send(frame(message))
    assert wire.take() == [(TEXT, b'["seen",32]')]
    hub.clock.advance(15)
    assert wire.take() == [(TEXT, b'["seen",33]'), (PING, b"")]
    wire.send(frame(b"", PONG))
    hub.clock.advance(15)
    assert wire.take() == [(PING, b"")]  # it knows


@pytest.mark.proves("C-43", "C-47")
def test_what_the_peer_confirms_is_not_kept(hub: Hub) -> None:
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:5])
    wire.send(frame('["seen",3]'))
    window = hub.channels.by_name["alice@x"].window
    assert window is not None
    assert len(window) == 2
    wire.lose()
    _, first = come(hub, value["token"], seen=2)  # it knows better itself
    assert first[:1] == ["new"]
    assert first[1]["reason"] == "out of window"


@pytest.mark.proves("C-40", "M-28", "M-29")
@pytest.mark.parametrize(
    "bad", ["[", "[]", '["seen"]', '["seen",-1]', '["seen",1]', '["seen","0"]', '["seen",true]', '["hello",0]', "[1,1]"]
)
def test_what_cant_be_is_garbage(bad: str) -> None:
    hub = Hub(garbage_max=2)
    wire, _ = come(hub)
    wire.send(frame(bad))
    assert hub.journal.counts == {"bad message": 1}
    assert hub.stack.got == []
    wire.send(frame(bad))
    wire.assert_closing(1008)


@pytest.mark.proves("C-45")
def test_no_such_token_and_out_of_window() -> None:
    hub = Hub(waiting_max=3)
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:5])
    wire.lose()
    for token, seen, reason in [("x", 0, "unknown token"), (value["token"], 0, "unknown token")]:
        wire, first = come(hub, token, seen)  # by then its own token is of no use any more
        assert first[0] == "new"
        assert first[1]["reason"] == reason
        assert texts(wire) == []
        wire.lose()
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:5])
    for seen in (1, 6):
        wire, first = come(hub, value["token"], seen)
        assert (first[0], first[1]["reason"]) == ("new", "out of window")
        value = first[1]
        assert texts(wire) == []
        send(hub, *MESSAGES[:5])


@pytest.mark.proves("C-45")
def test_its_dialogues_go_on_where_it_can_not_resume(hub: Hub) -> None:
    """What waits goes out after `new`, numbered from 1."""
    wire, _ = come(hub)
    wire.lose()
    send(hub, *MESSAGES[:2])
    wire, first = come(hub, "no-token", 0)
    assert first[0] == "new"
    assert texts(wire) == MESSAGES[:2]
    wire.lose()
    wire, first = come(hub, first[1]["token"], 1)
    assert first[0] == "resumed"
    assert texts(wire) == MESSAGES[1:2]


@pytest.mark.proves("C-46")
def test_a_token_of_another_name(hub: Hub) -> None:
    wire, (_, value) = come(hub)
    send(hub, *MESSAGES[:2])
    mallory, first = come(hub, value["token"], 0, name="mallory@x")
    assert (first[0], first[1]["reason"]) == ("new", "unknown token")
    assert texts(mallory) == []
    assert wire.transport.connected


@pytest.mark.proves("C-3", "C-44")
@pytest.mark.parametrize("seen", ["x", "-1", "1.0", "", "12345678901234567", "%31"])
def test_seen_must_be_a_number(hub: Hub, seen: str) -> None:
    wire = Wire(hub)
    wire.send(handshake(f"/rtc?userid=a@x&resume=1&seen={seen}", Sec_WebSocket_Protocol="jsip.resume"))
    assert wire.take_http().startswith("HTTP/1.1 400 ")


@pytest.mark.proves("C-47")
def test_what_is_kept_is_bounded_by_bytes_too() -> None:
    window = Window(1000, 100)
    for _ in range(50):
        window.keep(b"x" * 30)
    assert len(window) == 3
    window.keep(b"x" * 101)
    assert len(window) == 0
    assert window.reaches(51)
    assert not window.reaches(50)


@pytest.mark.proves("C-34", "C-47")
@pytest.mark.parametrize("limit", [{"waiting_max": 10}, {"unsent_max": 80}])
def test_what_waits_and_what_is_kept_share_the_room(limit: dict[str, int]) -> None:
    """For when the peer is back all of it is kept: nothing that was taken falls out of the window."""
    hub = Hub(**limit)
    wire, (_, first) = come(hub)
    send(hub, *MESSAGES[:6])
    wire.lose()
    send(hub, *MESSAGES[6:9])
    channel = hub.channels.by_name["alice@x"]
    taken = [channel.hold(message, None) for message in MESSAGES[9:30]]
    assert taken[-1] == 480
    number = 9 + taken.count(0)
    wire, (name, _) = come(hub, first["token"])
    assert name == "resumed"
    assert texts(wire) == MESSAGES[:number]
    wire.lose()
    wire, (name, _) = come(hub, first["token"])
    assert name == "resumed"
    assert texts(wire) == MESSAGES[:number]


@pytest.mark.proves("C-48")
def test_its_channel_lives_on_for_the_grace(hub: Hub) -> None:
    wire, (_, value) = come(hub)
    wire.lose()
    hub.clock.advance(119)
    wire, first = come(hub, value["token"], 0)
    assert first[0] == "resumed"
    wire.lose()
    hub.clock.advance(120)
    assert not hub.channels.by_name
    hub.rest()
    wire, first = come(hub, value["token"], 0)
    assert (first[0], first[1]["reason"]) == ("new", "unknown token")


@pytest.mark.proves("C-45")
def test_a_plain_connection_in_between(hub: Hub) -> None:
    """There is nothing left to resume."""
    wire, (_, value) = come(hub)
    hub.connect("alice@x")
    assert wire.take()[-1][0] == CLOSE
    _, first = come(hub, value["token"], 0)
    assert (first[0], first[1]["reason"]) == ("new", "unknown token")


@pytest.mark.proves("C-41", "C-44", "C-47")
@given(st.lists(st.one_of(st.sampled_from(["keep", "keep", "keep", "take"]), st.integers(0, 60)), max_size=80))
def test_a_window_never_forgets_what_it_must_keep(steps: list[str | int]) -> None:
    """Whatever is sent and confirmed, all after the last confirmation is kept, up to its bounds, and in order."""
    window, sent, confirmed, received, told = Window(16, 10_000), 0, 0, 0, 0
    for step in steps:
        if step == "keep":
            sent += 1
            window.keep(MESSAGES[sent])
        elif step == "take":
            received += 1
            confirmation = window.take()
            assert (confirmation is None) == (received - told < CONFIRM_EVERY)
            told = told if confirmation is None else received
        elif isinstance(step, int):
            assert window.confirm(step) == (step <= sent)
            confirmed = max(confirmed, step) if step <= sent else confirmed
    first = max(confirmed, sent - 16)
    assert len(window) == sent - first
    for number in range(sent + 2):
        assert window.reaches(number) == (first <= number <= sent)
    assert window.missed(first) == MESSAGES[first + 1 : sent + 1]
