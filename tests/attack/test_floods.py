"""Attacks by users who have been let in: more of everything than anybody needs."""

from __future__ import annotations

import json
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from bench.load import frame
from gortc.admission import Limits
from gortc.admission.limits import METHOD_RATES
from tests.attack.kit import REALM, Attacker, Honest, Victim, asking
from tests.page import Page
from tests.wire.kit import Json, request

LIMITS = Limits()
FLOOD = 5000
SECONDS = 3.0
Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=(), times=Times(grace=0.5)'
MALLORY = f"mallory@{REALM}"


class Flood:
    """Sends as fast as the server takes it, and reads what it says."""

    def __init__(self, server: Victim, userid: str = MALLORY) -> None:
        self.attacker = Attacker(server.port)
        assert self.attacker.handshake(userid) == 101
        self.attacker.socket.setblocking(False)
        self.codes: Counter[int] = Counter()
        self.written = 0
        self.closed = 0
        """The close frame's code."""
        self._rest = b""

    def pour(self, frames: Iterable[bytes], seconds: float = SECONDS) -> None:
        """Send these, for so long at most, and read for a moment longer."""
        end = time.monotonic() + seconds
        out, more = b"", iter(frames)
        while (now := time.monotonic()) < end and not self.closed:
            while len(out) < 65536 and (one := next(more, None)):
                out += one
            readable, writable, _ = select.select(
                [self.attacker.socket], [self.attacker.socket] if out else [], [], end - now
            )
            if writable:
                try:
                    sent = self.attacker.socket.send(out)
                except ConnectionError:
                    break
                self.written += sent
                out = out[sent:]
            if readable and not self._read():
                break

    def _read(self) -> bool:
        try:
            data = self.attacker.socket.recv(262144)
        except ConnectionError:
            return False
        self._rest += data
        while len(self._rest) >= 2:
            size, start = self._rest[1], 2
            if size == 126:
                size, start = int.from_bytes(self._rest[2:4], "big"), 4
            payload = self._rest[start : start + size]
            if len(payload) < size:
                break
            if self._rest[0] == 0x81:
                self.codes[json.loads(payload).get("Code", 0)] += 1
            elif self._rest[0] == 0x88:
                self.closed = int.from_bytes(payload[:2], "big")
            self._rest = self._rest[start + size :]
        return bool(data)

    def told(self) -> str:
        """What it was answered."""
        return ", ".join(f"{number} x {code}" for code, number in sorted(self.codes.items()) if code) or "no answer"


def text(message: Json) -> bytes:
    """A frame."""
    return frame(json.dumps(message).encode())


STARTERS = [method for method in METHOD_RATES if method in ("INVITE", "MESSAGE", "REGISTER", "SUBSCRIBE", "OPTIONS")]


@pytest.mark.proves("D-19", "D-22")
@pytest.mark.parametrize("method", STARTERS)
def test_a_flood_of_first_requests(victim: Make, page: Page, method: str) -> None:
    """What is within the limit is dealt with, one is told to wait, and the rest is not even read."""
    rate = METHOD_RATES[method]
    assert rate is not None
    server = victim(NOBODY)
    with Honest(server) as honest:
        flood = Flood(server)
        begin = time.monotonic()
        flood.pour(text(asking(method, MALLORY, at)) for at in range(FLOOD))
        took = time.monotonic() - begin
        let_in = sum(number for code, number in flood.codes.items() if 180 != code < 500)
        assert flood.codes[503] > 0
        # Each 503 says how long to wait; whoever does not is not read from for that time.
        assert let_in <= rate.burst + took * rate.per_second + 1
        assert sum(flood.codes.values()) < FLOOD
    flood.attacker.close()
    server.is_empty()
    page.add(f"{FLOOD} {method} of one user, at full speed", f"{flood.told()}; the rest was not read", honest.told())


@pytest.mark.proves("D-19", "D-22")
@pytest.mark.parametrize("method", ["INFO", "UPDATE", "MESSAGE", "NOTIFY", "PRACK"])
def test_a_flood_in_a_dialogue(victim: Make, page: Page, method: str) -> None:
    """The same in a call; and the call is there afterwards."""
    server = victim(NOBODY)
    with Honest(server) as honest:
        flood = Flood(server)
        base = asking("INVITE", MALLORY, 0)
        flood.pour([text(base), text({**base, "Type": "ACK", "CSeq": 2, "RelatedID": 1})], 1.0)
        flood.codes.clear()
        flood.pour(text({**base, "Type": method, "CSeq": at + 3}) for at in range(FLOOD))
        assert flood.codes[503] > 0
        assert sum(flood.codes.values()) < FLOOD
    flood.attacker.close()
    server.is_empty()
    page.add(
        f"{FLOOD} {method} of one user in a call, at full speed",
        f"{flood.told()}; the rest was not read",
        honest.told(),
    )


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("kind", ["ACK", "responses", "pings", "pongs", "fragments", "empty frames"])
def test_a_flood_of_frames(victim: Make, page: Page, kind: str) -> None:
    """What no method limits, frames do: the connection is read no faster, and TCP holds the rest back."""
    assert LIMITS.frames is not None
    answer = {"Type": "RESPONSE", "Code": 200, "From": MALLORY, "To": MALLORY, "DialogueID": "x", "CSeq": 1}
    stray = request("ACK", MALLORY, f"talk@{REALM}", DialogueID="x", RelatedID=1)
    # A frame has 4 KB, so that what the server has not read can't be in the sockets' buffers.
    one = {
        "ACK": text({**stray, "Body": "x" * 4000}),
        "responses": text({**answer, "Body": "x" * 4000}),
        "pings": frame(b"x" * 100, 9),
        "pongs": frame(b"x" * 100, 10),
        "fragments": b"\x00\x80" + bytes(4),
        "empty frames": frame(b"{}"),
    }[kind]
    first = b"\x01\x81" + bytes(4) + b"{" if kind == "fragments" else b""
    number = 40_000_000 // len(one)
    server = victim(f"{NOBODY}, garbage_max=1000000")
    before = server.census()["rss_kb"]
    with Honest(server) as honest:
        flood = Flood(server)
        begin = time.monotonic()
        flood.pour([first, *[one] * number] if first else [one] * number)
        took = time.monotonic() - begin
    grown = server.census()["rss_kb"] - before
    read_most = LIMITS.frames.burst + took * LIMITS.frames.per_second
    in_buffers = 8_000_000 + 65536 + 262_144 * 2  # the sockets' own, ours, and a read of the server's
    assert flood.written <= read_most * len(one) + in_buffers
    assert grown < 50_000
    page.add(
        f"{kind}: 40 MB of one user, at full speed",
        f"{flood.written // len(one)} frames went out in {took:.0f} s; the server has grown by {grown / 1024:.1f} MB",
        honest.told(),
    )


@pytest.mark.proves("M-2")
def test_a_flood_of_garbage(victim: Make, page: Page) -> None:
    """It is closed."""
    server = victim(NOBODY)
    with Honest(server) as honest:
        flood = Flood(server)
        flood.pour(frame(b"garbage") for _ in range(FLOOD))
        assert flood.closed == 1008
    page.add(f"{FLOOD} frames of garbage", f"{sum(flood.codes.values())} answers, then closed with 1008", honest.told())


@pytest.mark.proves("C-71")
def test_one_user_who_connects_over_and_over(victim: Make, page: Page) -> None:
    """From many addresses, each connection replacing the one before: 429 once its logins are used up."""
    assert LIMITS.logins is not None
    server = victim(NOBODY)
    number = LIMITS.logins.burst * 20
    begin = time.monotonic()
    with Honest(server) as honest:
        codes = Counter(Attacker(server.port, f"127.0.1.{at % 200 + 1}").handshake(MALLORY) for at in range(number))
    took = time.monotonic() - begin
    assert set(codes) == {101, 429}
    assert codes[101] <= LIMITS.logins.burst + took * LIMITS.logins.per_second + 1
    page.add(
        f"one user connects {number} times from 200 addresses, in {took:.1f} s",
        f"{codes[101]} let in, {codes[429]} got 429",
        honest.told(),
    )


@pytest.mark.proves("D-21")
def test_dialogues_without_an_end(victim: Make, page: Page) -> None:
    """So many of a user may be open; all end when it has gone."""
    server = victim(f"{NOBODY}, limits=Limits(methods={{}})")
    with Honest(server) as honest:
        flood = Flood(server)
        flood.pour(text(asking("INVITE", MALLORY, at)) for at in range(1000))
        assert flood.codes[200] <= LIMITS.dialogues
        assert flood.codes[503] > 0
    flood.attacker.close()
    server.is_empty()
    page.add("1000 calls of one user that never end (INVITE without a limit)", flood.told(), honest.told())
