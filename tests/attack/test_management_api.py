"""Attacks on the management API: by strangers, by a page or program beside it, and by who may only read."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.attack.kit import REALM, Attacker, Honest, Victim
from tests.page import Page
from tests.wire.kit import PATIENCE, Peer

Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=(), limits=Limits(handshakes=None)'
READER = "r" * 40
POLICY = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI
from gortc.oam.interfaces import IAccess


@implementer(IPlugin, IAPI, IAccess)
class Access:
    name = "access.v1"

    def load(self, context):
        pass

    def unload(self):
        pass

    def get(self, asked):
        return 0, {}

    post = put = delete = get

    def allow(self, asked):
        forbidden = ("runtime/v1/drain", "runtime/v1/messages", "conference/v1", "vault/v1/door/open")
        return not asked.path.startswith(forbidden)


access = Access()
"""
VAULT = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI, Problem


@implementer(IPlugin, IAPI)
class Vault:
    name = "vault.v1"

    def load(self, context):
        pass

    def unload(self):
        pass

    def get(self, asked):
        if asked.path == "door/look":
            return 0, {}
        if asked.path == "door/open":
            return 0, {"gold": True}
        raise Problem(404, 1, "no such path")

    post = put = delete = get


vault = Vault()
"""
PRIVATE = """
from gortc import Call, service


@service("private")
async def private(call: Call) -> None:
    call.task.relid()  # told to nobody
    joined = call.joined
    await call.caller.answer(call.caller.offer)
    async for leg in joined:
        await leg.answer("welcome to the private call")
"""


class Caller:
    """A client of the API, with a token or without."""

    def __init__(self, server: Victim, token: str | None = None, address: str = "127.0.0.66") -> None:
        self.port = server.api_port()
        self.address = address
        self.shown = f"Authorization: Bearer {token}\r\n" if token else ""

    def connect(self) -> Attacker:
        """A connection."""
        return Attacker(self.port, self.address)

    def head(self, method: str, path: str, more: str = "") -> bytes:
        """Of a request."""
        return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{self.shown}{more}\r\n".encode("latin-1")

    def ask(self, method: str, path: str, more: str = "Connection: close\r\n", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body; 0 where there is no answer."""
        connection = self.connect().socket
        said = b""
        with suppress(ConnectionError):
            connection.sendall(self.head(method, path, more) + body)
            while part := connection.recv(65536):
                said += part
        connection.close()
        head, _, rest = said.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, rest


def admin(server: Victim) -> Caller:
    """Who may do all."""
    token = (server.folder / "gortc.token").read_text().split()[1]
    return Caller(server, token, "127.0.0.1")


def spellings(path: str) -> list[str]:
    """Of a path."""
    first, _, rest = path.partition("/")
    escaped = ["/" + path[:at] + f"%{ord(path[at]):02x}" + path[at + 1 :] for at in range(len(path)) if path[at] != "/"]
    return [
        f"/{path}", f"//{path}", f"/./{path}", f"/{first}//{rest}", f"/{first}/../{path}", f"/{path}/", f"/{path};x",
        f"http://127.0.0.1/{path}", f"/{path.upper()}", f"/{path}?", f"/{path}%2f", f"/%25{ord(path[0]):02x}{path[1:]}",
        *escaped,
    ]  # fmt: skip


def test_a_forbidden_path_in_all_spellings(victim: Make, page: Page) -> None:
    """What a policy forbids by `asked.path.startswith(...)` can't be asked for in any other."""
    server = victim(NOBODY, api=True, policy=POLICY)
    caller = admin(server)
    codes: Counter[int] = Counter()
    with Honest(server) as honest:
        for path in ("runtime/v1/messages", "conference/v1/rooms", "runtime/v1/drain"):
            for spelled in spellings(path):
                codes[caller.ask("GET", spelled)[0]] += 1
        for spelled in spellings("runtime/v1/drain"):
            codes[caller.ask("POST", spelled)[0]] += 1
    assert set(codes) <= {403, 404}
    assert caller.ask("GET", "/readyz")[1] == b"ready\n"
    page.add(
        f"{codes.total()} spellings of three paths that `access.v1` forbids",
        f"none got through: {codes[403]} x 403, {codes[404]} x 404",
        honest.told(),
        "57 got through, POST of drain among them",
    )


def test_a_forbidden_path_of_a_plugin(victim: Make, page: Page) -> None:
    """What a policy forbids below a plugin's path can't be asked of the plugin in any other spelling."""
    server = victim(NOBODY, api=True, policy=POLICY, vault=VAULT)
    caller = admin(server)
    codes: Counter[int] = Counter()
    opened = 0
    with Honest(server) as honest:
        for spelled in (*spellings("vault/v1/door/open"), *plugin_spellings("/vault/v1/", "door/open")):
            for method in ("GET", "POST"):
                code, said = caller.ask(method, spelled)
                codes[code] += 1
                opened += b"gold" in said
    assert caller.ask("GET", "/vault/v1/door/look")[0] == 200
    assert opened == 0
    assert set(codes) <= {403, 404}
    page.add(
        f"{codes.total()} requests for a path below a plugin's that `access.v1` forbids, in all spellings",
        f"none got through: {codes[403]} x 403, {codes[404]} x 404",
        honest.told(),
        "34 got through",
    )


def plugin_spellings(base: str, path: str) -> list[str]:
    """Of what is below a plugin's path, the slash escaped."""
    return [
        base + path.replace("/", slash) + end for slash in ("%2f", "%2F", "%252F", "//") for end in ("", "/", "%2F")
    ]


def test_requests_that_never_end(victim: Make, page: Page) -> None:
    """Half of a head, half of a body: a byte now and then, by strangers."""
    server = victim(f"{NOBODY}, api_request_seconds=3.0", api=True)
    stranger, operator = Caller(server), admin(server)
    asked = 0
    with Honest(server) as honest:
        attackers = [Caller(server, address=f"127.0.1.{at % 50 + 1}").connect() for at in range(300)]
        for at, attacker in enumerate(attackers):
            head = stranger.head("POST", "/conference/v1/x", "Content-Length: 60000\r\n")
            with suppress(ConnectionError):
                attacker.socket.sendall(head if at % 2 else head[:-2])
        begin = time.monotonic()
        left = len(attackers)
        while left and time.monotonic() < begin + PATIENCE:
            for attacker in attackers:
                with suppress(ConnectionError):
                    attacker.socket.sendall(b"x")
            assert operator.ask("GET", "/runtime/v1/jstack")[0] == 200
            asked += 1
            left = sum(attacker.is_open() for attacker in attackers)
            time.sleep(0.1)
        took = time.monotonic() - begin
    dropped = server.count("API flood")
    assert left == 0
    assert dropped >= 100
    page.add(
        "300 requests of strangers, of 50 addresses, that never end: half a head, half a body, a byte now and then "
        "(`api_request_seconds=3`)",
        f"{dropped} pushed out by the others, the last one gone after {took:.0f} s; {asked} of an operator's answered",
        honest.told(),
        "all 300 were still there 15 s later",
    )


def test_paths_without_an_end(victim: Make, page: Page) -> None:
    """The log is not theirs to fill."""
    server = victim(NOBODY, api=True)
    stranger = Caller(server)
    number = 300
    with Honest(server) as honest:
        begin = time.monotonic()
        codes = Counter(stranger.ask("POST", "/runtime/v1/drain/" + "x" * 15000)[0] for _ in range(number))
        took = time.monotonic() - begin
    assert codes == {401: number}
    lines = [event for event in server.process.events if event.get("source") == "gortc.api"]
    size = sum(len(json.dumps(event)) for event in lines)
    assert len(lines) <= 10 * (took + 2)
    assert size <= 2000 * len(lines)
    page.add(
        f"{number} paths of 15 kB of a stranger's",
        f"401; {len(lines)} lines, {size / 1000:.0f} kB, in the log",
        honest.told(),
        "401; 300 lines, 9077 kB, in the log",
    )


def test_bodies_of_strangers(victim: Make, page: Page) -> None:
    """They are answered, and hung up on, before the body."""
    server = victim(NOBODY, api=True)
    stranger = Caller(server)
    number, at_once = 100, 0
    kinds = [
        "Content-Length: 60000\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\nContent-Length: 9\r\n",
    ]
    codes: Counter[int] = Counter()
    with Honest(server) as honest:
        for at in range(number):
            attacker = stranger.connect()
            attacker.socket.sendall(stranger.head("POST", "/conference/v1/rooms", kinds[at % 3]))
            attacker.socket.settimeout(2)
            with suppress(TimeoutError, ConnectionError):
                code = attacker.status()
                codes[code] += 1
                at_once += code == 401
            attacker.close()
    assert codes == {401: number}
    host = Counter(hang(stranger, text) for text in ("[", "[::1", "]", "a@b", "x" * 9000))
    assert set(host) == {403}
    page.add(
        f"{number} requests of a stranger's with a body that is still to come, and 5 with a Host that is none",
        f"{at_once} answered before it, with 401; {host[403]} x 403",
        honest.told(),
        "none answered before its body, 33 told to go on (100); 4 x 500, with tracebacks",
    )


def hang(caller: Caller, host: str) -> int:
    """The status that such a Host gets."""
    with socket.create_connection(("127.0.0.1", caller.port), PATIENCE) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int(connection.recv(65536).split()[1])


def test_a_ladder_with_many_parties(victim: Make, page: Page) -> None:
    """It has a size, and is drawn while calls go on."""
    server = victim(f"{NOBODY}, own_from=False", api=True)
    operator = admin(server)
    members = [Peer(server.node, f"u{at}") for at in range(120)]
    legs = []
    for peer in members:
        leg = peer.open("INVITE", "room", Router=f"{REALM};type=conference;relid=many")
        while peer.receive().get("Code") != 200:
            pass
        leg.ack()
        legs.append(leg)
    with Honest(server) as honest:
        sizes = []
        for _ in range(5):
            for drawing in ("txt", "svg", "mmd"):
                status, body = operator.ask("GET", f"/runtime/v1/sessions/{legs[0].id}/ladder.{drawing}")
                assert status == 200
                assert b"others, with" in body
                sizes.append(len(body))
    assert max(sizes) < 4_000_000
    page.add(
        f"the ladder of a conference of {len(members)}, asked for {len(sizes)} times",
        f"{max(sizes) / 1e6:.1f} MB at most: 30 parties, and how many others there are",
        honest.told(),
        "4.4 MB; INFO p50 57 ms, p99 673 ms",
    )


def test_a_stranger_with_what_a_reader_sees(victim: Make, page: Page) -> None:
    """What role `read` is told opens no call."""
    server = victim(NOBODY, api=True, private=PRIVATE)
    with (server.folder / "gortc.token").open("a") as file:
        file.write(f"read {READER} reader\n")
    reader, operator = Caller(server, READER), admin(server)
    with Honest(server) as honest:
        alice = Peer(server.node, "alice")
        call = alice.open("INVITE", "p", Router=f"{REALM};type=private", Body="v=0")
        call.expect(200)
        call.ack()
        seen = keys(reader)
        [minted] = [key for key in keys(operator) if key.startswith("rel_")]
        mallory = Peer(server.node, "mallory")
        let_in = 0
        for key in [*seen, *texts(reader, call.id)]:
            mallory.open("INVITE", "p", Router=f"{REALM};relid={key}")
            let_in += answered(mallory) == 200
    assert minted not in seen
    assert let_in == 0
    page.add(
        "a stranger calls with each relid that role `read` is told",
        f"{len(seen)} told, {let_in} let in",
        honest.told(),
        "1 told, 1 let in",
    )


def keys(caller: Caller) -> list[str]:
    """The relids that are told."""
    return [row["relid"] for row in json.loads(caller.ask("GET", "/runtime/v1/distribute")[1])["relids"]]


def texts(caller: Caller, dialogue: str) -> list[str]:
    """Whatever looks like one in the other answers."""
    found: list[str] = []
    for path in ("stack", "sessions", f"sessions/{dialogue}", f"sessions/{dialogue}/ladder.svg", "channels"):
        body = caller.ask("GET", f"/runtime/v1/{path}")[1].decode()
        found += [word for word in body.replace('"', " ").replace(",", " ").split() if word.startswith("rel_")]
    return found


def answered(peer: Peer) -> int:
    """The code of the final response to come."""
    while True:
        message: dict[str, Any] = peer.receive()
        if message.get("Code", 0) >= 200:
            return int(message["Code"])
