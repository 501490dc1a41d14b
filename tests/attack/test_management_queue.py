"""Attacks on the management API by who asks for much at once: calls, and others who ask, go on."""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.attack.kit import REALM, Attacker, Honest, Victim
from tests.attack.test_management_api import Caller, Make, admin
from tests.attack.test_management_tokens import with_reader
from tests.certificates import issue
from tests.page import Page
from tests.wire.kit import PATIENCE, Peer
from tests.wire.proxy import free_port

BEFORE_LADDERS = "589 MB more; INFO worst 5462 ms; at another time requests of the operator's had no answer in 10 s"
BEFORE_FIGURES = "1520 answered; INFO p50 116 ms, worst 637 ms"
BEFORE_TLS = "INFO p50 31.2 ms, p99 93.7 ms"
NOBODY = 'auth="none", proxies=(), limits=Limits(handshakes=None, frames=None, methods={})'


def worst(honest: Honest) -> str:
    """What an honest user says, and how long he has waited at worst."""
    return f"{honest.told()}; worst {1000 * max(honest.took):.0f} ms"


def talk(server: Victim, number: int) -> str:
    """So many messages on the tape, of one dialogue: its id."""
    peer = Peer(server.node, "mallory")
    call = peer.open("INVITE", "talk", Router=f"{REALM};type=talk", Body="v=0")
    call.expect(180)
    call.expect(200)
    call.ack()
    for _ in range(number):
        call.send("INFO", Body="a" * 200)
        peer.receive()
    return call.id


def test_many_ladders_at_once(victim: Make, page: Page, measured: bool) -> None:
    """An operator is answered meanwhile, and calls go on; memory does not grow by what is asked for."""
    server = victim(NOBODY, api=True)
    reader, operator = with_reader(server), admin(server)
    dialogue = talk(server, 9000 if measured else 500)
    number = 90
    with Honest(server, stays=True) as honest:
        before = memory(server)
        honest.took.clear()
        asked: list[Attacker] = []
        for at in range(number):
            asked.append(reader.connect())
            path = f"sessions/{dialogue if at % 2 else 'nosuch'}/ladder.svg"
            asked[-1].socket.sendall(reader.head("GET", f"/runtime/v1/{path}"))
        answered, grown = 0, 0
        for _ in range(20):
            with suppress(TimeoutError):
                answered += operator.ask("GET", "/runtime/v1/jstack")[0] == 200
            grown = max(grown, memory(server) - before)
            time.sleep(0.1)
        told = worst(honest)
    for one in asked:
        one.close()
    page.add(
        f"{number} ladders at once, with a token that may read, of a tape with 18,000 messages",
        f"{answered} of 20 requests of an operator's answered at once; {grown / 1e6:.0f} MB more",
        told,
        BEFORE_LADDERS,
    )
    assert answered == 20


def memory(server: Victim) -> int:
    """So many bytes has the process."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def test_strangers_who_ask_for_figures(victim: Make, page: Page, measured: bool) -> None:
    """On 95 connections at once, again and again."""
    server = victim(NOBODY, api=True)
    operator = admin(server)
    codes: Counter[int] = Counter()
    answered = 0
    with Honest(server, stays=True) as honest:
        honest.took.clear()
        end = time.monotonic() + (6 if measured else 1)
        while time.monotonic() < end:
            answered += operator.ask("GET", "/runtime/v1/jstack")[0] == 200
            codes += flood(Caller(server), "/metrics", 95)
        told = worst(honest)
    assert set(codes) <= {0, 200}
    assert codes[200] > 0
    assert answered > 0
    page.add(
        f"a stranger asks for `/metrics` on 95 connections at once, again and again: {codes.total()} times",
        f"{codes[200]} answered, and {answered} of {answered} requests of an operator's",
        told,
        BEFORE_FIGURES,
    )


def flood(stranger: Caller, path: str, number: int) -> Counter[int]:
    """The statuses of so many, who ask at once; 0 of one that was reset as it was accepted."""
    some = []
    for _ in range(number):
        with suppress(ConnectionError):
            some.append(stranger.connect())
    for one in some:
        with suppress(ConnectionError):
            one.socket.sendall(stranger.head("GET", path))
    codes = Counter(one.status() for one in some)
    codes[0] += number - len(some)
    for one in some:
        one.close()
    return codes


def test_tls_is_begun_without_an_end(victim: Make, page: Page, measured: bool, tmp_path: Path) -> None:
    """First words of TLS, as fast as one can: an operator gets in, and calls go on."""
    shown, port = issue(tmp_path, "localhost"), free_port()
    api = f"tls:{port}:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}"
    server = victim(NOBODY, api=api)
    context = ssl._create_unverified_context()
    head = admin(server).head("GET", "/runtime/v1/jstack")
    begun = answered = reset = 0
    with Honest(server, stays=True) as honest:
        honest.took.clear()
        end = time.monotonic() + (5 if measured else 0.5)
        while time.monotonic() < end:
            some = []
            for _ in range(50):
                begun += 1
                try:
                    some.append(Attacker(port))
                    some[-1].socket.sendall(hello(context))
                except ConnectionError:
                    reset += 1
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as raw, context.wrap_socket(raw) as secure:
                secure.sendall(head)
                answered += secure.recv(65536).startswith(b"HTTP/1.1 200")
            for one in some:
                one.close()
        told = worst(honest)
    assert answered == begun // 50
    page.add(
        f"{begun} connections that begin TLS with the management API, 50 at a time",
        f"{reset} reset as they were accepted; {answered} of {answered} requests of an operator's answered",
        told,
        BEFORE_TLS,
    )


def hello(context: ssl.SSLContext) -> bytes:
    """The first words of a client."""
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()
