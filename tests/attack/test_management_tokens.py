"""Attacks on the management API by who has a token, if only for reading."""

from __future__ import annotations

import time
from contextlib import suppress

from tests.attack.kit import REALM, Attacker, Honest, Victim
from tests.attack.test_management_api import NOBODY, READER, Caller, Make, admin
from tests.page import Page
from tests.wire.kit import PATIENCE, Peer


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


def test_a_reader_who_guesses_relids(victim: Make, page: Page) -> None:
    """What is right and what is wrong look the same to him."""
    server = victim(f"{NOBODY}, own_from=False", api=True)
    reader = with_reader(server)
    phone = Peer(server.node, "alice")
    call = phone.open("INVITE", "room", Router=f"{REALM};type=conference;relid=room7")
    call.expect(200)
    call.ack()
    paths = ("/conference/v1/rooms/{}", "/runtime/v1/which?uri=x&router=x%3Btype=conference%3Brelid={}")
    with Honest(server) as honest:
        told = 0
        for path in paths:
            answers = {at: reader.ask("GET", path.format(f"room{at}")) for at in range(20)}
            told += answers[7] != answers[8]
    assert told == 0
    page.add(
        "a token that may read asks for 20 guesses of a relid, in two ways",
        f"{told} ways tell which one is right",
        honest.told(),
        "2 told",
    )


def test_a_stranger_who_polls_while_another_guesses(victim: Make, page: Page) -> None:
    """The guesses are in the log."""
    server = victim(NOBODY, api=True)
    poller, guesser = Caller(server, address="127.0.0.70"), Caller(server, "g" * 40, "127.0.0.71")
    with Honest(server) as honest:
        for _ in range(3):
            for _ in range(100):
                poller.ask("GET", "/healthz")
                poller.ask("POST", "/runtime/v1/drain")
            assert guesser.ask("POST", "/runtime/v1/drain")[0] == 401
    server.process.wait_for(lambda events: [event for event in events if "were left out" in str(event.get("event"))])
    lines = [str(event.get("event")) for event in server.process.events if event.get("source") == "gortc.api"]
    seen = sum("127.0.0.71" in line for line in lines)
    assert seen == 3
    page.add(
        "600 requests of a stranger who polls, and 3 tokens guessed by another meanwhile",
        f"{seen} of the guesses in the log, {len(lines)} lines in all",
        honest.told(),
        "3 of the guesses, 303 lines in all",
    )
