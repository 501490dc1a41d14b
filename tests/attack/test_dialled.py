"""Attacks by hosts that users have dialled, and by users who dial them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from gortc.admission import static
from tests.attack.hosts import hosts, let_in
from tests.attack.kit import HONEST, REALM, Honest, Victim
from tests.certificates import issue
from tests.page import Page
from tests.wire.kit import PATIENCE, Json, Peer, request, response
from tests.wire.proxy import free_port

Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=(), dial=True'
MALLORY = "127.0.0.66"
BEFORE = {
    "opens": "as `boss@gortc.local` it reached the user and the service, and had the other host dialled",
    "names": "nobody could log in: the first login was dropped after 10 s",
    "small frames": "the server answered nobody for 3.75 s",
    "handshakes": "9 of 10 calls to hosts that answer got 503: the 60 kept their places",
}
"""What came of it before."""
SLOW = 8.0
"""How long a name server of the attacker's takes, in seconds."""
WORLD = f"""
import socket
import time

from twisted.internet import reactor
from twisted.internet._resolver import GAIResolver

from gortc.transport import dial

real = socket.getaddrinfo


def getaddrinfo(host, *args, **kwargs):
    if host.endswith(".slow.example"):
        time.sleep({SLOW})
    return real("127.0.0.1" if host.endswith(".example") else host, *args, **kwargs)


socket.getaddrinfo = getaddrinfo
reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=getaddrinfo))
dial.is_public = lambda address: True
"""
"""A plugin that makes all of .example public, here."""


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate that the server takes for each host that ends in .evil.example, and of .good.example."""
    issued = issue(tmp_path, "*.evil.example", "*.good.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(issued.path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.path, issued.key)
    return context


class Host:
    """A next hop that answers 200, and then opens what is in `opens` itself; `heard` is what it was answered."""

    def __init__(self, opens: list[Json]) -> None:
        self.heard: list[Json] = []
        self._opens = opens

    def talk(self, connection: ServerConnection) -> None:
        """Over one connection."""
        try:
            for data in connection:
                message = json.loads(data)
                if message["Type"] == "RESPONSE":
                    self.heard.append(message)
                    continue
                connection.send(json.dumps(response(message, 200)))
                for made in self._opens:
                    connection.send(json.dumps(made))
        except ConnectionClosed:
            pass


@contextmanager
def listening(context: ssl.SSLContext, *opens: Json) -> Iterator[tuple[Host, int]]:
    """A host, and its port."""
    host, port = Host(list(opens)), free_port()
    with serve(host.talk, "127.0.0.1", port, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield host, port
        server.shutdown()
        thread.join(PATIENCE)


@pytest.mark.proves("C-112")
def test_a_host_that_was_dialled_opens_dialogues(victim: Make, page: Page, shown: ssl.SSLContext) -> None:
    """To a user, and through us to somebody else's."""
    opens = [
        request(method, f"boss@{REALM}", to, DialogueID=f"evil-{method}-{to}", Router=router)
        for method in ("MESSAGE", "INVITE")
        for to, router in (
            (f"alice@{REALM}", None),
            (f"talk@{REALM}", f"{REALM};type=talk"),
            ("x@c.good.example", None),
        )
    ]
    with listening(shown, *opens) as (host, port):
        server = victim(NOBODY, world=WORLD)
        alice = Peer(server.node, "alice")
        alice.open("MESSAGE", f"bob@a.evil.example:{port}").expect(200)
        end = time.monotonic() + PATIENCE
        while len(host.heard) < len(opens) and time.monotonic() < end:
            time.sleep(0.05)
        codes = Counter(message["Code"] for message in host.heard)
        alice.fence()  # nothing has come
        alice.leave()
    assert codes == {403: len(opens)}
    page.add(
        f"a host that was dialled opens {len(opens)} dialogues: to a user, to a service, through us to another host",
        f"{codes[403]} x 403",
        before=BEFORE["opens"],
    )


def login(server: Victim, name: str, address: str = HONEST) -> Peer:
    """A user, whose password is its name."""
    shown = base64.b64encode(f"{name}@{REALM}:{name}".encode()).decode()
    headers = {"Authorization": f"Basic {shown}"}
    return Peer(server.node, name, source_address=(address, 0), additional_headers=headers)


def users(*names: str) -> str:
    """The settings that know these."""
    hashes = {f"{name}@{REALM}": static.hash_password(name) for name in names}
    return f'auth={{"static": {{"users": {hashes!r}}}}}, proxies=(), dial=True'


@pytest.mark.proves("C-116")
def test_slow_names_and_logins(victim: Make, page: Page) -> None:
    """A user dials a hundred hosts whose names take long; others log in meanwhile."""
    limits = "limits=Limits(logins=None, failures=None, dials=100, methods={})"
    server = victim(f"{users('mallory', 'honest')}, {limits}", world=WORLD)
    mallory = login(server, "mallory", MALLORY)
    for number in range(100):
        mallory.open("MESSAGE", f"x@h{number}.slow.example")
    took = []
    for _ in range(20):
        begin = time.perf_counter()
        login(server, "honest").leave()
        took.append(time.perf_counter() - begin)
    codes = Counter(mallory.receive()["Code"] for _ in range(100))
    mallory.leave()
    took.sort()
    assert codes == {503: 100}
    assert server.census()["hops"] <= 100
    page.add(
        f"a user dials 100 hosts whose names take {SLOW:g} s to look up (`dials=100`)",
        f"{codes[503]} x 503",
        f"20 logins by password: p50 {took[10] * 1e3:.0f} ms, the slowest {took[-1] * 1e3:.0f} ms",
        BEFORE["names"],
    )


@contextmanager
def deaf() -> Iterator[int]:
    """A port where everybody is let in, and a byte a second is said."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as listener:
        held: list[socket.socket] = []
        over = threading.Event()

        def accept() -> None:
            with suppress(OSError):
                while True:
                    held.append(listener.accept()[0])

        def drip() -> None:
            while not over.wait(1):
                for one in list(held):
                    with suppress(OSError):
                        one.sendall(b"\x16")

        threads = [threading.Thread(target=target, daemon=True) for target in (accept, drip)]
        for thread in threads:
            thread.start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)
        for one in held:
            one.close()


@pytest.mark.proves("C-57", "C-115")
def test_handshakes_of_hosts_that_never_end(victim: Make, page: Page, shown: ssl.SSLContext) -> None:
    """A user calls 60 such hosts, over and over, where there is room for 60; another one calls one that answers."""
    server = victim(f"{users('mallory', 'honest')}, hops_max=60, limits=Limits(methods={{}})", world=WORLD)
    with ExitStack() as stack:
        _, good = stack.enter_context(listening(shown))
        bad = stack.enter_context(deaf())
        mallory, alice = login(server, "mallory", MALLORY), login(server, "honest")
        for number in range(60):
            mallory.open("MESSAGE", f"x@h{number}.evil.example:{bad}")
        codes = Counter[int]()
        for number in range(10):
            alice.open("MESSAGE", f"x@h{number}.good.example:{good}")
            codes[alice.receive()["Code"]] += 1
        said = Counter(mallory.receive()["Code"] for _ in range(60))
        held = server.census()["hops"]
        mallory.leave()
        alice.leave()
    assert codes == {200: 10}
    assert said == {503: 60}
    page.add(
        "a user calls 60 hosts that let everybody in and say a byte a second (`hops_max=60`)",
        f"{said[503]} x 503; {held - 10} of the hosts still have a place when the other is through",
        f"10 calls to hosts that answer: {codes[200]} x 200",
        BEFORE["handshakes"],
    )


HOSTS = 10
FLOOD = 20_000
PONG = 6
"""So many bytes has a client's answer to an empty ping."""


@pytest.mark.proves("C-114")
def test_hosts_that_send_the_smallest_frames(victim: Make, page: Page, shown: ssl.SSLContext) -> None:
    """A user has dialled ten of them; each says so many pings at once."""
    begun = threading.Barrier(HOSTS + 1)
    answered = [0] * HOSTS
    took = [0.0] * HOSTS

    def host(one: socket.socket, number: int) -> None:
        with shown.wrap_socket(one, server_side=True) as talk:
            let_in(talk)
            talk.recv(65_536)
            begun.wait(PATIENCE)
            begin = time.monotonic()
            talk.sendall(b"\x89\0" * FLOOD)
            talk.settimeout(0.5)
            while time.monotonic() - begin < 5:
                with suppress(TimeoutError):
                    answered[number] += len(talk.recv(65_536))
            took[number] = time.monotonic() - begin

    with hosts(host, HOSTS) as far:
        server = victim(NOBODY, world=WORLD)
        with Honest(server) as honest:
            mallory = Peer(server.node, "mallory")
            for number, port in enumerate(far.ports):
                mallory.open("MESSAGE", f"x@h{number}.evil.example:{port}")
            begun.wait(PATIENCE)
            slowest = 0.0
            while not far.are_done():
                begin = time.perf_counter()
                server.census()
                slowest = max(slowest, time.perf_counter() - begin)
                time.sleep(0.01)
            mallory.leave()
    for size, seconds in zip(answered, took, strict=True):
        assert 0 < size / PONG < 2000 + 200 * seconds + 1000
    page.add(
        f"a user has dialled {HOSTS} hosts, each of which sends {FLOOD} pings at once",
        f"each was read no faster than it may send; the server answered others after {slowest:.2f} s at the latest",
        honest.told(),
        BEFORE["small frames"],
    )
