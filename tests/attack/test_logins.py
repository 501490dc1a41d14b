"""Attacks on logins by many at once, and by what a proxy is made to say of them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler

import pytest

from gortc.admission import Limits
from gortc.admission.static import hash_password
from tests.attack.kit import HONEST, REALM, Attacker, Honest, Victim, opening
from tests.attack.test_identity import ALICE, application
from tests.page import Page
from tests.wire.kit import PATIENCE

LIMITS = Limits()
Make = Callable[..., Victim]
USERS = [f"user{at}@{REALM}" for at in range(4)]
WIDE = "proxies=(), handshake_seconds=60.0"
"""However slow the machine is: it is not by their time that handshakes end here."""


def basic(user: str, password: str) -> dict[str, str]:
    """What shows a password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def static(*users: str, more: str = WIDE) -> str:
    """The settings of a server that knows them, whose passwords are their names."""
    hashes = {user: hash_password(user) for user in users}
    return f'auth={{"static": {{"users": {hashes!r}}}}}, {more}'


def at_once(server: Victim, number: int, addresses: Sequence[str]) -> list[Attacker]:
    """So many wrong passwords from each of these addresses; nobody waits for an answer."""
    attackers = [Attacker(server.port, address) for _ in range(number) for address in addresses]
    for at, attacker in enumerate(attackers):
        attacker.socket.settimeout(60)
        attacker.socket.sendall(opening(ALICE, server.port, basic(ALICE, f"guess{at}")))
    return attackers


def answers(attackers: list[Attacker]) -> Counter[int]:
    """What they got."""
    codes = Counter(attacker.status() for attacker in attackers)
    for attacker in attackers:
        attacker.close()
    return codes


class Pressed:
    """Wrong passwords from these addresses, so many of each at any time, until it is over."""

    def __init__(self, server: Victim, number: int, addresses: Sequence[str]) -> None:
        self.server = server
        self.codes: Counter[int] = Counter()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._guess, args=(address,), daemon=True)
            for _ in range(number)
            for address in addresses
        ]

    def __enter__(self) -> Pressed:
        for thread in self._threads:
            thread.start()
        end = time.monotonic() + PATIENCE
        while not self.codes and time.monotonic() < end:
            time.sleep(0.05)
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _guess(self, address: str) -> None:
        while not self._over.is_set():
            (code,) = answers(at_once(self.server, 1, [address]))
            with self._lock:
                self.codes[code] += 1


class Logins:
    """Right passwords, one after the other, of an address that nobody else has."""

    def __init__(self, server: Victim, number: int) -> None:
        self.codes: Counter[int] = Counter()
        self._took: list[float] = []
        for at in range(number):
            user = USERS[at % len(USERS)]
            attacker = Attacker(server.port, HONEST)
            attacker.socket.settimeout(60)
            begin = time.perf_counter()
            self.codes[attacker.handshake(user, **basic(user, user))] += 1
            self._took.append(time.perf_counter() - begin)
            attacker.close()

    def told(self) -> str:
        """Their figures."""
        p95 = sorted(self._took)[len(self._took) * 95 // 100]
        return f"{self.codes[101]} of {len(self._took)} right logins of another address got in, p95 {p95:.2f} s"


@pytest.fixture
def number(measured: bool) -> int:
    """How many right logins are tried."""
    return 24 if measured else 6


def told(codes: Counter[int]) -> str:
    """How often which answer."""
    return ", ".join(f"{number} x {code}" for code, number in sorted(codes.items()))


def check_guesses(server: Victim, begin: float, rounds: list[Counter[int]]) -> Counter[int]:
    """No more than are promised; the others heard so."""
    assert LIMITS.failures is not None
    codes = sum(rounds, Counter[int]())
    took = time.monotonic() - begin
    assert set(codes) == {401, 429}
    assert codes[401] >= LIMITS.failures.burst
    assert codes[401] <= LIMITS.failures.burst + took * LIMITS.failures.per_second + 1
    return codes


@pytest.mark.proves("C-71")
def test_passwords_guessed_all_at_once(victim: Make, page: Page) -> None:
    """As many count as one after the other."""
    honest_user = f"honest@{REALM}"
    server = victim(static(ALICE, honest_user))
    with Honest(server, stays=True, **basic(honest_user, honest_user)) as honest:
        begin = time.monotonic()
        codes = check_guesses(server, begin, [answers(at_once(server, 200, ["127.0.0.66"])) for _ in range(2)])
    page.add(
        "400 passwords guessed from one address, 200 at a time (`static`)",
        told(codes),
        honest.told(),
        "52 x 401, 148 x 503, 200 x 429",
    )


@pytest.mark.proves("C-71")
def test_guesses_that_an_application_is_asked_about(victim: Make, page: Page) -> None:
    """The same; it is asked about 20."""
    asked = Counter[str]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        user = "honest" if "honest" in body["url"] else "guessed"
        asked[user] += 1
        time.sleep(0.05)
        handler.send_response(200 if user == "honest" else 401)
        handler.end_headers()

    with application(answer) as port:
        server = victim(f'auth={{"webhook": {{"url": "http://127.0.0.1:{port}/", "timeout": 30.0}}}}, {WIDE}')
        with Honest(server, stays=True) as honest:
            begin = time.monotonic()
            codes = check_guesses(server, begin, [answers(at_once(server, 200, ["127.0.0.66"])) for _ in range(2)])
        assert asked["guessed"] == codes[401]
    page.add(
        "400 passwords guessed from one address, 200 at a time (`webhook`)",
        told(codes),
        honest.told(),
        "100 x 401, 100 x 503, 200 x 429",
    )


@pytest.mark.parametrize("addresses", [1, 3])
def test_bad_logins_that_never_end(victim: Make, page: Page, number: int, addresses: int) -> None:
    """Who comes from elsewhere waits for a turn of each of their addresses, and no longer."""
    server = victim(f"{static(*USERS)}, limits=Limits(failures=None, handshakes=None)")
    per_address = 90 // addresses
    with Pressed(server, per_address, [f"127.0.0.{66 + at}" for at in range(addresses)]) as pressed:
        logins = Logins(server, number)
    assert logins.codes == {101: number}
    page.add(
        f"{per_address * addresses} bad logins at any time, of {addresses} addresses (`static`, no limit of failures)",
        told(pressed.codes),
        logins.told(),
        "0 of 24 right logins got in",
    )


def test_bad_logins_of_a_hundred_addresses(victim: Make, page: Page, number: int, measured: bool) -> None:
    """As many turns are waited for."""
    server = victim(static(*USERS))
    attackers = at_once(server, 8 if measured else 1, [f"127.0.1.{at + 1}" for at in range(100)])
    logins = Logins(server, number)
    assert logins.codes == {101: number}
    codes = answers(attackers)
    assert 101 not in codes
    page.add(
        f"{len(attackers)} bad logins at once, of 100 addresses (`static`)",
        told(codes),
        logins.told(),
        "0 of 24 right logins got in",
    )


def test_an_application_that_is_slow_for_some(victim: Make, page: Page, number: int) -> None:
    """One address does not have all who may be asked about."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        if "alice" in body["url"]:
            time.sleep(3)
        handler.send_response(200)
        handler.end_headers()

    with application(answer) as port:
        hook = {"url": f"http://127.0.0.1:{port}/", "timeout": 2.0}
        server = victim(f'auth={{"webhook": {hook!r}}}, {WIDE}, limits=Limits(failures=None)')
        with Pressed(server, 50, [f"127.0.0.{66 + at}" for at in range(3)]) as pressed:
            logins = Logins(server, number)
    assert logins.codes == {101: number}
    page.add(
        "150 logins at any time, of 3 addresses, for which an application (`webhook`) takes too long",
        told(pressed.codes),
        logins.told(),
        "0 of 24 right logins got in",
    )


def forged(at: int) -> str:
    """Another address each time."""
    return f"198.51.100.{at}"


SAID: dict[str, Callable[[int], dict[str, str]]] = {
    "an address": lambda at: {"X_Forwarded_For": "203.0.113.1"},
    "with a port": lambda at: {"X_Forwarded_For": f"203.0.113.2:{5000 + at}"},
    "IPv6 with brackets and a port": lambda at: {"X_Forwarded_For": f"[2001:db8::{at}]:{5000 + at}"},
    "other addresses of an IPv6 network": lambda at: {"X_Forwarded_For": f"2001:db8:1::{at}"},
    "behind a forged one": lambda at: {"X_Forwarded_For": f"{forged(at)}, 203.0.113.3:80"},
    "nothing": lambda at: {},
    "an empty header": lambda at: {"X_Forwarded_For": ""},
    "`unknown`": lambda at: {"X_Forwarded_For": "unknown"},
    "an empty part behind a forged one": lambda at: {"X_Forwarded_For": f"{forged(at)},"},
    "itself": lambda at: {"X_Forwarded_For": "127.0.0.1"},
    "a forged `Forwarded`": lambda at: {"Forwarded": f"for={forged(at)}"},
    "a forged `X-Real-IP`": lambda at: {"X_Real_IP": forged(at)},
    "a forged header behind the octet 85": lambda at: {
        "X_Forwarded_For": "203.0.113.4", "X_A": f"\x85X-Forwarded-For: {forged(at)}",
    },
}  # fmt: skip


@pytest.mark.proves("C-71")
def test_what_a_proxy_says(victim: Make, page: Page) -> None:
    """Each spelling leads to one address, and its limit; where a proxy does not say, to its own."""
    most, number = 5, 12
    server = victim(f'auth="none", limits=Limits(connections={most})')
    let_in: dict[str, int] = {}
    with Honest(server) as honest:
        for proxy, (what, said) in enumerate(SAID.items()):
            attackers = [Attacker(server.port, f"127.0.1.{proxy + 1}") for _ in range(number)]
            codes = Counter(attacker.handshake(f"u{at}@{REALM}", **said(at)) for at, attacker in enumerate(attackers))
            assert set(codes) <= {101, 429}
            let_in[what] = codes[101]
            for attacker in attackers:
                attacker.close()
    assert let_in == dict.fromkeys(SAID, most)
    page.add(
        f"{number} connections at a time by a proxy, of an address that may have {most}; whence they come it says by: "
        + "; ".join(SAID),
        f"{most} let in, each time",
        honest.told(),
        "all 12 let in by 11 of the 13",
    )
