"""A server process that is attacked, who attacks it, and an honest user who must not notice."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.load import frame
from tests.wire.kit import PATIENCE, Json, Node, Peer, Process, ended_well, plugin_folder, request
from tests.wire.proxy import free_port

ROOT = Path(__file__).parent.parent.parent
REALM = "gortc.local"
HONEST = "127.0.0.2"
"""Where honest users come from."""

TALK = """
from gortc import Call, service


@service("talk")
async def talk(call: Call) -> None:
    caller = call.caller
    if caller.method != "INVITE":
        caller.reply(caller.request, 200, caller.offer)
        return
    caller.ring()
    await caller.answer(caller.offer)
    async for request in caller.requests:
        caller.reply(request, 200)
"""
CONFIG = """
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.logger import ILogObserver
from gortc import Times
from gortc.admission import Limits, Rate
from gortc.oam.log import observer
from gortc.tap import configure, make_service
from tests.soak.census import serve

settings = configure(rtc=("tcp:0:interface=127.0.0.1",{rtc}), api={api!r}, log_format="json", {overload}{settings})
application = Application("attacked")
application.setComponent(ILogObserver, observer({level!r}, "json", "-"))
server = make_service(settings)
server.setServiceParent(application)
serve(server, {census}, reactor).setServiceParent(application)
"""


class Victim:
    """A server with these `settings`, the text of keyword arguments, below `folder`."""

    def __init__(
        self,
        folder: Path,
        settings: str,
        level: str = "info",
        rtc: str = "",
        api: bool | str = False,
        measured: bool = False,
        **plugins: str,
    ) -> None:
        """`rtc`: it listens there as well, an endpoint string and a comma. `api`: it has a management API, there.
        `measured`: it turns calls away where there is too much to do. `plugins` are the texts of further services, by
        their modules."""
        self._census_port = free_port()
        self.folder = plugin_folder(folder, talk=TALK, **plugins)
        config = self.folder / "some.tac"
        api_at = api if isinstance(api, str) else "tcp:0:interface=127.0.0.1" if api else ""
        overload = "" if measured else "load_high=9.0, lag_high=1e9, "  # a slow machine is no attack
        config.write_text(
            CONFIG.format(
                settings=settings, census=self._census_port, level=level, api=api_at, rtc=rtc, overload=overload
            )
        )
        self.process = Process(folder, "-y", str(config), path=f"{os.environ.get('PYTHONPATH', '')}:{ROOT}")
        self.port = self.process.ports()[0]
        self.node = Node(self.process, self.port, REALM)

    def api_port(self) -> int:
        """Where its management API is."""

        def find(events: list[Json]) -> int | None:
            said = [str(event.get("event")) for event in events]
            return next((int(line.rpartition(":")[2]) for line in said if line.startswith("management on")), None)

        return self.process.wait_for(find)

    def census(self) -> dict[str, Any]:
        """What is alive in it."""
        with socket.create_connection(("127.0.0.1", self._census_port), timeout=PATIENCE) as asked:
            text = b""
            while part := asked.recv(65536):
                text += part
        answer: dict[str, Any] = json.loads(text)
        return answer

    def count(self, reason: str) -> int:
        """How often it has said so."""
        number: int = self.census()["counts"].get(reason, 0)
        return number

    def is_empty(self) -> None:
        """All who came have gone: wait until there is nothing left of them."""
        end = time.monotonic() + PATIENCE
        left = {"?": 1}
        while left and time.monotonic() < end:
            census = self.census()
            rows = ("sessions", "transactions", "tasks", "waiting")
            left = {row: census[row] for row in rows if census[row]}
            time.sleep(0.05)
        assert not left

    def log(self) -> str:
        """All that it has logged so far."""
        return "\n".join([*map(json.dumps, self.process.events), *self.process.other])

    def stop(self) -> None:
        """Its log holds no traceback."""
        ended_well(self.process)


class Attacker:
    """A connection from `address`, and no client that knows the rules."""

    def __init__(self, port: int, address: str = "127.0.0.66") -> None:
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handshake(self, userid: str, **headers: str) -> int:
        """The status of the answer; 0 where there is none."""
        with suppress(ConnectionError):  # it may have been refused already
            self.socket.sendall(opening(userid, self.port, headers))
        return self.status()

    def status(self) -> int:
        """The status of the answer to come; 0 where there is none."""
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                part = self.socket.recv(1)  # not a byte of what comes after it
                if not part:
                    return 0
                head += part
        except ConnectionError:
            return 0
        return int(head.split()[1])

    def send(self, message: Mapping[str, Any]) -> None:
        """One frame."""
        self.socket.sendall(frame(json.dumps(message).encode()))

    def is_open(self) -> bool:
        """Whether the server has not closed it by now."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            return True
        except ConnectionError:
            pass
        finally:
            self.socket.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        """Go."""
        self.socket.close()


def opening(userid: str, port: int, headers: Mapping[str, str]) -> bytes:
    """An opening handshake."""
    lines = [
        f"GET /rtc?userid={userid} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Honest:
    """An honest user, who connects, calls and talks, over and over, while an attack goes on."""

    def __init__(self, victim: Victim, userid: str = f"honest@{REALM}", stays: bool = False, **headers: str) -> None:
        """`stays`: it connects once. `headers` are those of its handshakes."""
        self.victim = victim
        self.stays = stays
        self.userid = userid
        self.codes: Counter[int] = Counter()
        self.took: list[float] = []
        """How long each INFO of its calls took, in seconds."""
        self.failures: list[BaseException] = []
        self._headers = headers
        self._begun, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Honest:
        self._thread.start()
        assert self._begun.wait(PATIENCE), self.failures
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """It has called all the time, and each call went well."""
        self._over.set()
        self._thread.join(4 * PATIENCE)
        if error is None:
            assert not self.failures, self.failures
            assert self.codes.keys() <= {180, 200}, self.codes

    def _run(self) -> None:
        try:
            peer = self._connect()
            while not self._over.is_set():
                talk = peer.open("INVITE", f"talk@{REALM}", Router=f"{REALM};type=talk", Body="v=0")
                while self._answered(peer) < 200:
                    pass
                talk.ack()
                for _ in range(25):
                    begin = time.perf_counter()
                    talk.send("INFO")
                    self._answered(peer)
                    self.took.append(time.perf_counter() - begin)
                    self._begun.set()
                    self._over.wait(0.03)
                talk.send("BYE")
                self._answered(peer)
                if not self.stays:
                    peer.leave()
                    peer = self._connect()
            peer.leave()
        except BaseException as error:
            self.failures.append(error)

    def _connect(self) -> Peer:
        return Peer(self.victim.node, self.userid, source_address=(HONEST, 0), additional_headers=self._headers)

    def _answered(self, peer: Peer) -> int:
        code: int = peer.receive()["Code"]
        self.codes[code] += 1
        return code

    def told(self) -> str:
        """Its figures."""
        rank = sorted(self.took)
        p50, p99 = rank[len(rank) // 2], rank[len(rank) * 99 // 100]
        return f"{self.codes[180]} calls, all well; INFO p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"


def asking(method: str, userid: str, number: int) -> Json:
    """A first request of an attacker's."""
    return request(
        method, userid, f"talk@{REALM}", Router=f"{REALM};type=talk", DialogueID=f"{userid}-{method}-{number}"
    )
