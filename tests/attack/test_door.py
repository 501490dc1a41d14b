"""Attacks before anybody can be asked who he is: connections, and TLS, as fast as can be."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import pytest

from gortc.admission import Limits
from tests.attack.kit import HONEST, REALM, ROOT, Honest, Victim, opening
from tests.certificates import issue
from tests.page import Page
from tests.wire.kit import PATIENCE
from tests.wire.proxy import free_port

Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=(), limits=Limits(logins=None)'
SECONDS = 3.0
MANY = [f"127.0.1.{at}" for at in range(1, 201)]
PLACES = {"one address": ["127.0.0.66"], "200 addresses": MANY}


class Newcomers:
    """Honest users who each connect once, one after the other, while an attack goes on; by TLS, where `secure`."""

    def __init__(self, port: int, secure: bool = False) -> None:
        self.took: list[float] = []
        self.lost: list[str] = []
        self._port = port
        self._tls = ssl._create_unverified_context() if secure else None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Newcomers:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(2 * PATIENCE)

    def _run(self) -> None:
        while not self._over.is_set():
            begin = time.perf_counter()
            try:
                status = self._connect(f"new{len(self.took)}@{REALM}")
            except OSError as error:
                status = repr(error)
            if status == "101":
                self.took.append(time.perf_counter() - begin)
            else:
                self.lost.append(status)
            self._over.wait(0.05)

    def _connect(self, userid: str) -> str:
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE, (HONEST, 0)) as raw:
            peer = raw if self._tls is None else self._tls.wrap_socket(raw)
            peer.sendall(opening(userid, self._port, {}))
            return peer.recv(4096).split()[1].decode()

    def told(self) -> str:
        """Their figures."""
        rank = sorted(self.took)
        p50, p99 = rank[len(rank) // 2], rank[len(rank) * 99 // 100]
        lost = f"{len(self.lost)} of {len(rank) + len(self.lost)} handshakes lost"
        return f"{lost}, the others p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms"


def flood(kind: str, port: int, addresses: list[str]) -> subprocess.Popen[str]:
    """Begin one (`tests.attack.flooder`)."""
    command = [sys.executable, "-m", "tests.attack.flooder", kind, str(port), str(SECONDS), *addresses]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def suffer(
    server: Victim, port: int, secure: bool, kind: str, addresses: list[str]
) -> tuple[Counter[str], Counter[str], str]:
    """Let it go on: what the attacker was told, the server's counters, and what honest users notice. None of them
    loses a handshake, and none is turned away for overload (`Honest` sees to that)."""
    with ExitStack() as stack:
        honest = stack.enter_context(Honest(server))
        newcomers = stack.enter_context(Newcomers(port, secure))
        said = flood(kind, port, addresses).communicate(timeout=4 * PATIENCE)[0]
    counts: Counter[str] = Counter(server.census()["counts"])
    assert newcomers.lost == []
    assert not counts["overload began"]
    return Counter(json.loads(said)), counts, f"{honest.told()}; newcomers: {newcomers.told()}"


def outcome(told: Counter[str], counts: Counter[str]) -> str:
    """What came of it."""
    said = [f"{number} x {code}" for code, number in sorted(told.items()) if code.isdigit() or code == "answered"]
    said += [f"{counts['connection reset']} reset"] * bool(counts["connection reset"])
    said += [f"{counts['handshake flood']} made room for others"] * bool(counts["handshake flood"])
    return ", ".join(said) or "closed without a word"


KINDS = {
    "close": "connections, each closed at once",
    "hold": "connections that say nothing",
    "upgrade": "handshakes, each with a name of its own",
    "hello": "TLS handshakes, each given up when the server has signed",
    "half": "TLS handshakes, each left open when the server has signed",
    "secure": "handshakes by TLS, each with a name of its own",
}
BEFORE: dict[tuple[str, str], str] = {
    ("close", "one address"): "INFO p50 0.8 ms, p99 134 ms; newcomers p50 2 ms, p99 438 ms",
    ("close", "200 addresses"): "INFO p50 0.9 ms, p99 154 ms; newcomers p50 2 ms, p99 416 ms",
    ("hold", "200 addresses"): "INFO p50 0.7 ms, p99 222 ms; newcomers p50 2 ms, p99 1695 ms",
    ("upgrade", "one address"): "2026 x 429; INFO p50 20 ms, p99 77 ms; newcomers p50 54 ms, p99 125 ms",
    ("upgrade", "200 addresses"): "3070 x 101; INFO p50 23 ms, p99 49 ms; newcomers p50 45 ms, p99 78 ms",
    ("hello", "one address"): "all 1824 answered; INFO p50 13 ms, p99 82 ms; newcomers p50 129 ms, p99 207 ms",
    ("hello", "200 addresses"): "1955 answered; INFO p50 21 ms, p99 71 ms; newcomers p50 119 ms, p99 208 ms",
    ("half", "200 addresses"): "1518 answered; INFO p50 5 ms, p99 381 ms; newcomers p50 148 ms, p99 496 ms",
    ("secure", "one address"): "537 x 101; INFO p50 7 ms, p99 141 ms; newcomers p50 72 ms, p99 292 ms",
    ("at once", ""): "INFO p50 5 ms, p99 150 ms; newcomers p50 22 ms, p99 203 ms",
}


def check_reset(told: Counter[str], counts: Counter[str], where: str) -> None:
    """One address gets no more than it may; of 200 none is turned away for what the others do."""
    rate = Limits().accepts
    assert rate is not None
    if where == "one address" and told["made"] > 2 * rate.burst:
        assert counts["connection reset"] > 0
    elif where == "200 addresses" and told["made"] < 200 * rate.burst:
        assert counts["connection reset"] == 0


@pytest.mark.proves("C-110", "C-111", "C-72")
@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("close", "one address"), ("close", "200 addresses"), ("hold", "200 addresses"), ("upgrade", "one address"),
        ("upgrade", "200 addresses"),
    ],
)  # fmt: skip
def test_a_flood_of_connections(victim: Make, page: Page, kind: str, where: str) -> None:
    """In the clear."""
    server = victim(NOBODY)
    told, counts, honest = suffer(server, server.port, False, kind, PLACES[where])
    check_reset(told, counts, where)
    attack = f"{told['made']} {KINDS[kind]}, of {where} in {SECONDS:g} s"
    page.add(attack, outcome(told, counts), honest, BEFORE.get((kind, where), ""))


@pytest.mark.proves("C-110", "C-111", "C-72")
@pytest.mark.parametrize(
    ("kind", "where"),
    [("hello", "one address"), ("hello", "200 addresses"), ("half", "200 addresses"), ("secure", "one address")],
)
def test_a_flood_of_tls(victim: Make, page: Page, kind: str, where: str, tmp_path: Path) -> None:
    """What costs most before anybody is asked who he is. Newcomers come by TLS, too."""
    shown, port = issue(tmp_path, "localhost"), free_port()
    server = victim(NOBODY, rtc=f'"tls:{port}:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}",')
    told, counts, honest = suffer(server, port, True, kind, PLACES[where])
    check_reset(told, counts, where)
    attack = f"{told['made']} {KINDS[kind]}, of {where} in {SECONDS:g} s"
    page.add(attack, outcome(told, counts), honest, BEFORE.get((kind, where), ""))


def test_tls_that_is_finished_all_at_once(victim: Make, page: Page, tmp_path: Path) -> None:
    """Half a thousand connections have made their TLS, and ask to be let in at the very same moment."""
    shown, port = issue(tmp_path, "localhost"), free_port()
    server = victim(NOBODY, rtc=f'"tls:{port}:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}",')
    context = ssl._create_unverified_context()
    ready = []
    with Honest(server) as honest, Newcomers(port, True) as newcomers:
        for at in range(500):
            raw = socket.create_connection(("127.0.0.1", port), PATIENCE, (MANY[at % len(MANY)], 0))
            ready.append(context.wrap_socket(raw))
        for at, one in enumerate(ready):
            one.sendall(opening(f"u{at}@{REALM}", port, {}))
        codes = Counter(one.recv(4096).split()[1].decode() for one in ready)
    for one in ready:
        one.close()
    assert codes == {"101": len(ready)}
    assert newcomers.lost == []
    assert server.count("overload began") == 0
    page.add(
        f"{len(ready)} connections by TLS that all ask to be let in at the same moment",
        "all let in, in turn",
        f"{honest.told()}; newcomers: {newcomers.told()}",
        BEFORE.get(("at once", ""), ""),
    )
