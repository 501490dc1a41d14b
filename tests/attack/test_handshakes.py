"""Attacks before anybody has said who he is: connections and their opening handshakes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import pytest

from gortc.admission import Limits
from tests.attack.kit import REALM, Attacker, Honest, Victim, opening
from tests.page import Page
from tests.wire.kit import PATIENCE

LIMITS = Limits()
Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=()'


def wait_until_gone(attackers: list[Attacker]) -> int:
    """How many of them are still connected, once as many have gone as will."""
    end = time.monotonic() + PATIENCE
    while (left := sum(attacker.is_open() for attacker in attackers)) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.mark.proves("C-5")
def test_slowloris(victim: Make, page: Page) -> None:
    """Handshakes that come a byte at a time, for ever: each has its time, and no more."""
    server = victim(f"{NOBODY}, handshake_seconds=3")
    with Honest(server) as honest:
        attackers = [Attacker(server.port) for _ in range(500)]
        sent = Counter[str]()
        begin = time.monotonic()
        text = opening(f"slow@{REALM}", server.port, {"X-Long": "x" * 1000})
        for byte in text:
            left = [attacker for attacker in attackers if attacker.is_open()]
            if not left:
                break
            assert time.monotonic() - begin < 3 * PATIENCE
            for attacker in left:
                try:
                    attacker.socket.sendall(bytes([byte]))
                    sent["bytes"] += 1
                except OSError:
                    sent["too late"] += 1
            time.sleep(0.1)
        assert not left, "some are still connected"
        took = time.monotonic() - begin
    page.add(
        "slowloris: 500 handshakes, 10 bytes a second each (`handshake_seconds=3`)",
        f"all dropped within {took:.0f} s, after {sent['bytes']} bytes",
        honest.told(),
    )


def test_slow_lines(victim: Make, page: Page) -> None:
    """The same by TCP connections that say nothing at all."""
    server = victim(f"{NOBODY}, handshake_seconds=1")
    with Honest(server) as honest:
        attackers = [Attacker(server.port) for _ in range(500)]
        assert wait_until_gone(attackers) == 0
    page.add("500 connections that say nothing (`handshake_seconds=1`)", "all dropped", honest.told())


@pytest.mark.proves("C-72")
def test_a_flood_of_handshakes_that_never_end(victim: Make, page: Page) -> None:
    """From many addresses, so that none has too many: of those in their handshake an attacker's goes."""
    server = victim(NOBODY)
    number = LIMITS.handshaking * 3
    with Honest(server) as honest:
        attackers = [Attacker(server.port, f"127.0.1.{at % 200 + 1}") for at in range(number)]
        for attacker in attackers:
            attacker.socket.setblocking(True)
        end = time.monotonic() + PATIENCE
        while (dropped := server.count("handshake flood")) < number - LIMITS.handshaking:
            assert time.monotonic() < end, dropped
            time.sleep(0.1)
        memory = server.census()["rss_kb"] // 1024
    for attacker in attackers:
        attacker.close()
    page.add(
        f"{number} handshakes that never end, of 200 addresses",
        f"never more than {LIMITS.handshaking} at a time: the oldest {dropped} were dropped; {memory} MB in all",
        honest.told(),
    )


@pytest.mark.proves("C-71")
def test_one_address_with_thousands_of_connections(victim: Make, page: Page) -> None:
    """From the limit on, 429. Another address is not touched."""
    server = victim(f"{NOBODY}, limits=Limits(handshakes=None, accepts=None)")
    number = LIMITS.connections * 3
    with Honest(server) as honest:
        attackers = [Attacker(server.port) for _ in range(number)]
        codes = Counter(attacker.handshake(f"u{at}@{REALM}") for at, attacker in enumerate(attackers))
        assert codes[101] == LIMITS.connections
        assert set(codes) <= {101, 429, 0}  # 0: the answer was lost, for it has been closed before it asked
        attackers[0].close()
        for attacker in attackers[LIMITS.connections :]:
            attacker.close()
        end = time.monotonic() + PATIENCE
        while (code := Attacker(server.port).handshake(f"late@{REALM}")) != 101:  # one that goes makes room
            assert code == 429
            assert time.monotonic() < end
    for attacker in attackers:
        attacker.close()
    page.add(
        f"{number} connections of one address",
        f"{codes[101]} let in, the others got 429; {server.census()['rss_kb'] // 1024} MB in all",
        honest.told(),
    )


@pytest.mark.proves("C-71")
def test_one_address_that_connects_over_and_over(victim: Make, page: Page) -> None:
    """It gets 429 once its handshakes are used up."""
    assert LIMITS.handshakes is not None
    server = victim(f"{NOBODY}, limits=Limits(accepts=None)")
    number = LIMITS.handshakes.burst * 4
    codes = Counter[int]()
    begin = time.monotonic()
    with Honest(server) as honest:
        for at in range(number):
            attacker = Attacker(server.port)
            codes[attacker.handshake(f"u{at}@{REALM}")] += 1
            attacker.close()
    took = time.monotonic() - begin
    assert set(codes) == {101, 429}
    assert codes[101] <= LIMITS.handshakes.burst + took * LIMITS.handshakes.per_second + 1
    page.add(
        f"{number} connections of one address, one after the other, in {took:.1f} s",
        f"{codes[101]} let in, {codes[429]} got 429",
        honest.told(),
    )


@pytest.mark.proves("C-6")
def test_header_bombs(victim: Make, page: Page) -> None:
    """Headers without an end: after 16 KiB there is an answer, and nobody listens any more."""
    server = victim(NOBODY)
    before = server.census()["rss_kb"]
    codes, sent = Counter[int](), 0
    with Honest(server) as honest:
        for kind in ("many", "long", "line"):
            for _ in range(100):
                attacker = Attacker(server.port)
                bomb = {"many": b"X-A: b\r\n" * 200_000, "long": b"X: " + b"y" * 2_000_000, "line": b"z" * 2_000_000}
                with suppress(OSError):
                    attacker.socket.sendall(b"GET /rtc?userid=x@gortc.local HTTP/1.1\r\n" + bomb[kind])
                sent += 1
                codes[attacker.status()] += 1
                attacker.close()
    grown = server.census()["rss_kb"] - before
    assert set(codes) <= {400, 0}  # 0: the answer was lost with the connection
    assert grown < 50_000
    page.add(
        f"{sent} header bombs of 2 MB: many headers, a long one, a first line without an end",
        f"400 at 16 KiB; the server has grown by {grown / 1024:.1f} MB",
        honest.told(),
    )


def test_half_a_handshake_and_gone(victim: Make, page: Page) -> None:
    """Connections that end in the middle of their handshake leave nothing behind."""
    server = victim(NOBODY)
    with Honest(server) as honest:
        for at in range(1000):
            attacker = Attacker(server.port, f"127.0.1.{at % 200 + 1}")
            attacker.socket.sendall(opening(f"u{at}@{REALM}", server.port, {})[: at % 150])
            attacker.close()
    server.is_empty()
    page.add("1000 connections that end in the middle of their handshake", "nothing is left of them", honest.told())
