"""Attacks on the management API by who has a token, if only for reading."""

from __future__ import annotations

import time
from contextlib import suppress

from tests.attack.kit import Attacker, Honest, Victim
from tests.attack.test_management_api import NOBODY, READER, Caller, Make, admin
from tests.page import Page
from tests.wire.kit import PATIENCE


def with_reader(server: Victim) -> Caller:
    """Who may only read."""
    with (server.folder / "gortc.token").open("a") as file:
        file.write(f"read {READER} reader\n")
    reader = Caller(server, READER)
    end = time.monotonic() + PATIENCE
    while reader.ask("GET", "/runtime/v1/jstack")[0] != 200:  # the file is not looked at all the time
        assert time.monotonic() < end
        time.sleep(0.05)
    return reader


def test_a_reader_who_never_hangs_up(victim: Make, page: Page) -> None:
    """Others still show their tokens, and ask for the health."""
    server = victim(NOBODY, api=True)
    reader, operator, prober = with_reader(server), admin(server), Caller(server, address="127.0.0.77")
    attackers: list[Attacker] = []
    number, answered = 300, 0
    with Honest(server) as honest:
        for _ in range(number):
            attackers.append(reader.connect())
            with suppress(ConnectionError):
                attackers[-1].socket.sendall(reader.head("GET", "/runtime/v1/jstack"))
            attackers[-1].status()
        for _ in range(20):
            answered += operator.ask("GET", "/runtime/v1/jstack")[0] == 200
            answered += prober.ask("GET", "/healthz")[0] == 200
            time.sleep(0.02)
        left = number
        end = time.monotonic() + PATIENCE
        while left and time.monotonic() < end:
            left = sum(map(stays, attackers))
    assert (answered, left) == (40, 0)
    page.add(
        f"{number} requests with a token that may read, on connections that their client keeps",
        f"{answered} of 40 requests of others answered: an operator's, and `/healthz`; {left} of its connections stay",
        honest.told(),
        "40 answered; all 300 stayed",
    )


def stays(attacker: Attacker) -> bool:
    """Whether the server still takes what it sends (RFC 9293 section 3.5.2: who has closed resets)."""
    time.sleep(0.001)
    try:
        attacker.socket.sendall(b"x")
    except ConnectionError:
        return False
    return True
