"""Overload: what is left of a server when more is asked of it than it can do.

    python -m bench.overload COMPILED [--seconds 12] [--work 1000] [--who heeding deaf gateways] [--off]

First its capacity: calls to a service that takes `--work` microseconds of CPU to decide, as many as it can do. Then
the same calls at that rate, at twice and at five times as much, from one moment to the next and whatever the server
does: a call is good where its 200 comes within two seconds. "At first" is the first four seconds, before those who
were turned away have come back; what is good is beside the capacity. Meanwhile others are talking: how long their INFO
takes, and whether they still talk at the end. Users wait for an answer before they call again, and for as long as
`Retry-After` says; deaf ones do neither. `--off` is without overload control.
"""

from __future__ import annotations

import argparse
import base64
import os
import resource
import select
import socket
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import orjson

from bench.load import REALM, frame
from bench.run import GORTC, ServerProcess

TALKING = 20
INFO_EVERY = 0.1
"""Between two INFOs of one who talks, in seconds."""
FIRST = 4.0
"""So long the beginning is, in seconds: what is turned away then has not come back yet."""
GOOD = 2.0
"""So long a caller waits for its 200, in seconds."""
KEY = base64.b64encode(os.urandom(16)).decode()
TIMES = (1.0, 2.0, 5.0)
WORKER = """
from time import thread_time

from gortc import Call, service


@service("worker")
async def worker(call: Call) -> None:
    until = thread_time() + {work}
    while thread_time() < until:
        pass
    await call.caller.answer(call.caller.offer)
    async for request in call.caller.requests:
        call.caller.reply(request, 200)
"""
CONFIG = """
from gortc.admission import Limits
from gortc.tap import configure, make_application
settings = configure(
    auth="{auth}", {marks}
    limits=Limits(
        connections=100_000, handshakes=None, logins=None, frames=None, requests=None, methods={{}}, dialogues=10000
    ),
)
application = make_application(settings)
"""
OFF = "load_high=9.0, lag_high=1e9,"


def request(kind: str, name: str, cseq: int, **headers: Any) -> bytes:
    """A frame, with `ID` where the DialogueID goes."""
    made: dict[str, Any] = {"Type": kind, "Request-URI": f"worker@{REALM}", "From": name, "To": f"worker@{REALM}"}
    made.update({"DialogueID": "ID", "CSeq": cseq, "Router": f"{REALM};type=worker", **headers})
    return orjson.dumps(made)


@dataclass
class Figures:
    """What one run has shown."""

    offered: int = 0
    held_back: int = 0
    good: int = 0
    good_at_first: int = 0
    late: int = 0
    refused: int = 0
    unanswered: int = 0
    lost: int = 0
    set_up: list[float] = field(default_factory=list)
    info: list[float] = field(default_factory=list)


class User:
    """One connection, and the calls on it: DialogueID -> since when it should have begun."""

    def __init__(self, port: int, name: str, full: set[User]) -> None:
        """`full` has those whose sockets take no more."""
        self.name = f"{name}@{REALM}"
        self.full = full
        self.calls: dict[str, float] = {}
        self.wait_until = 0.0
        self.rest = b""
        self.out = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            f"GET /rtc?userid={self.name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.socket.recv(65536)
            head += part
            if not part:
                break
        if not head.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"no upgrade: {head[:200]!r}")
        self.socket.setblocking(False)
        self.templates = {
            "INVITE": request("INVITE", self.name, 1, Expire=600, Body="v=0"),
            "ACK": request("ACK", self.name, 2, RelatedID=1),
            "BYE": request("BYE", self.name, 3),
        }

    def send(self, kind: str, dialogue_id: str) -> None:
        """Send it; what the socket does not take waits."""
        self.put(frame(self.templates[kind].replace(b'"ID"', f'"{dialogue_id}"'.encode())))

    def put(self, data: bytes) -> None:
        """Write, or keep."""
        self.out += data
        with suppress(BlockingIOError):
            self.out = self.out[self.socket.send(self.out) :]
        if self.out:
            self.full.add(self)

    def read(self) -> list[Any]:
        """The messages that are there."""
        data = self.rest + self.socket.recv(262144)
        if len(data) == len(self.rest):
            raise SystemExit(f"the server closed the connection of {self.name}")
        found, at = [], 0
        while len(data) - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            if start + size > len(data):
                break
            if data[at] == 0x81:
                found.append(orjson.loads(data[start : start + size]))
            elif data[at] == 0x89:
                self.put(frame(data[start : start + size], 10))
            at = start + size
        self.rest = data[at:]
        return found


class Crowd:
    """All users of a server."""

    def __init__(self, port: int, users: int, deaf: bool) -> None:
        self.deaf = deaf
        self.figures = Figures()
        self._ids = count()
        self._full: set[User] = set()
        self.users = [User(port, f"user{number}", self._full) for number in range(users)]
        self.talking = [User(port, f"talking{number}", self._full) for number in range(TALKING)]
        self._begin = 0.0
        self._asked: dict[tuple[str, int], float] = {}
        self._cseqs = {user.name: 2 for user in self.talking}
        self._codes: Counter[int] = Counter()
        self._epoll = select.epoll()
        self._by_fd = {user.socket.fileno(): user for user in (*self.users, *self.talking)}
        for fd in self._by_fd:
            self._epoll.register(fd, select.EPOLLIN)
        for user in self.talking:
            user.send("INVITE", "talk")
        self._serve(1.0)

    def closed_loop(self, seconds: float, at_once: int) -> float:
        """Calls a second where `at_once` are always open."""
        self.figures = Figures()
        begin = time.perf_counter()
        for number in range(at_once):
            self._call(self.users[number % len(self.users)], begin)
        done = 0
        while (now := time.perf_counter()) < begin + seconds:
            self._serve(0.0)
            figures = self.figures
            while done < figures.good + figures.late + figures.refused:
                done += 1
                self._call(self.users[next(self._ids) % len(self.users)], now)
        took = time.perf_counter() - begin
        self._serve(1.0)
        return done / took

    def open_loop(self, rate: float, seconds: float) -> Figures:
        """Calls at this rate, whatever the server does."""
        figures = self.figures = Figures()
        begin = self._begin = time.perf_counter()
        number, talked = 0, 0
        while (now := time.perf_counter()) < begin + seconds:
            while begin + number / rate <= now:
                user = self.users[number % len(self.users)]
                figures.offered += 1
                if not self.deaf and (user.calls or now < user.wait_until):
                    figures.held_back += 1
                else:
                    self._call(user, begin + number / rate)
                number += 1
            while begin + talked * INFO_EVERY / TALKING <= now:
                self._talk(self.talking[talked % TALKING])
                talked += 1
            self._serve(0.0005)
        self._serve(GOOD)
        figures.unanswered = sum(len(user.calls) for user in self.users)
        for user in self.users:
            user.calls.clear()
        figures.lost = len(self._asked)
        self._asked.clear()
        return figures

    def hang_up(self) -> int:
        """All leave. How many of those who talk could not say goodbye: their calls had ended."""
        self._codes.clear()
        for user in self.talking:
            cseq = self._cseqs[user.name] = self._cseqs[user.name] + 1
            user.put(frame(request("BYE", user.name, cseq).replace(b'"ID"', b'"talk"')))
        self._serve(2.0)
        for user in self._by_fd.values():
            user.socket.close()
        time.sleep(0.5)  # the server sees it before it is stopped
        return TALKING - self._codes[200]

    def _call(self, user: User, due: float) -> None:
        dialogue_id = f"c{next(self._ids)}"
        user.calls[dialogue_id] = due
        user.send("INVITE", dialogue_id)

    def _talk(self, user: User) -> None:
        cseq = self._cseqs[user.name] = self._cseqs[user.name] + 1
        self._asked[user.name, cseq] = time.perf_counter()
        user.put(frame(request("INFO", user.name, cseq).replace(b'"ID"', b'"talk"')))

    def _serve(self, seconds: float) -> None:
        """Take what comes, for so long."""
        until = time.perf_counter() + seconds
        while True:
            for fd, _ in self._epoll.poll(max(0.0, min(0.05, until - time.perf_counter()))):
                user = self._by_fd[fd]
                for message in user.read():
                    self._take(user, message)
            full = list(self._full)
            self._full.clear()
            for user in full:
                user.put(b"")
            if time.perf_counter() >= until:
                return

    def _take(self, user: User, message: Any) -> None:
        code, cseq, dialogue_id = message.get("Code", 0), message["CSeq"], message["DialogueID"]
        if dialogue_id == "talk":
            if cseq == 1:
                user.send("ACK", "talk")
            elif (asked := self._asked.pop((user.name, cseq), None)) is not None and code == 200:
                self.figures.info.append(time.perf_counter() - asked)
            else:
                self._codes[code] += 1
            return
        due = user.calls.pop(dialogue_id, None) if cseq == 1 and code >= 200 else None
        if cseq == 1 and code >= 200:
            user.send("ACK", dialogue_id)
            if code == 200:
                user.send("BYE", dialogue_id)
        if due is None:
            return
        took = time.perf_counter() - due
        if code != 200:
            self.figures.refused += 1
            user.wait_until = time.perf_counter() + message.get("Retry-After", 0)
        elif took > GOOD:
            self.figures.late += 1
        else:
            self.figures.good += 1
            self.figures.good_at_first += due < self._begin + FIRST
            self.figures.set_up.append(took)


def ranked(values: list[float]) -> str:
    """Median and 99th of a hundred, in ms."""
    rank = sorted(values) or [0.0]
    return " / ".join(f"{rank[min(len(rank) - 1, len(rank) * share // 100)] * 1e3:.1f}" for share in (50, 99))


class Worker(ServerProcess):
    """A server with the service `worker`, in a folder of its own."""

    def __init__(self, core: int, compiled: Path, folder: Path, work: float, auth: str, off: bool) -> None:
        plugins = folder / "slp_plugins"
        plugins.mkdir(exist_ok=True)
        (plugins / "worker.py").write_text(WORKER.format(work=work))
        (folder / "some.tac").write_text(CONFIG.format(auth=auth, marks=OFF if off else ""))
        super().__init__(GORTC, core, compiled, ["--config", str(folder / "some.tac")], folder)


WHO = {
    "heeding": "{users} users who heed `Retry-After`",
    "deaf": "{users} users who do not",
    "gateways": "{users} trusted gateways, which do not",
}
HEAD = """
| {who}, {capacity:.0f} calls a second at most: asked for | good at first | then | 503 | held back | late | no answer \
| set-up p50 / p99 ms | INFO p50 / p99 ms | calls in progress lost |
|---|---|---|---|---|---|---|---|---|---|
"""


def run(options: argparse.Namespace, core: int, folder: Path, who: str) -> tuple[str, int]:
    """All of it with one crowd, the server on `core`: a table, and how many calls in progress were harmed."""
    compiled = options.compiled.resolve()
    gateways = who == "gateways"
    users = 20 if gateways else options.users

    def worker(off: bool) -> Worker:
        auth = "loopback" if gateways else "none"
        return Worker(core, compiled, folder, options.work / 1e6, auth, off)

    server = worker(off=True)
    crowd = Crowd(server.port, users, deaf=True)
    crowd.closed_loop(1.0, 50)
    capacity = crowd.closed_loop(options.seconds, 50)
    harmed = crowd.hang_up()
    server.stop()
    table = HEAD.format(who=WHO[who].format(users=users), capacity=capacity)
    for times in options.times:
        server = worker(options.off)
        crowd = Crowd(server.port, users, who != "heeding")
        crowd.open_loop(capacity / 2, 1.0)
        one = crowd.open_loop(capacity * times, options.seconds)
        first = one.good_at_first / FIRST / capacity
        then = (one.good - one.good_at_first) / (options.seconds - FIRST) / capacity
        lost = crowd.hang_up() + one.lost
        harmed += lost
        table += (
            f"| {times:g} x | {first:.0%} | {then:.0%} | {one.refused} | {one.held_back} | {one.late} "
            f"| {one.unanswered} | {ranked(one.set_up)} | {ranked(one.info)} | {lost} |\n"
        )
        for line in server.stop():
            if "overload" not in line and "dropped or refused" not in line:
                print(line, file=sys.stderr)
    return table, harmed


def main() -> int:
    """Read the options, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiled", type=Path)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--work", type=float, default=1000, help="CPU time that the service takes, in microseconds")
    parser.add_argument("--users", type=int, default=6000)
    parser.add_argument("--times", type=float, nargs="+", default=TIMES, help="so many times its capacity")
    parser.add_argument("--who", nargs="+", choices=WHO, default=list(WHO), help="who calls")
    parser.add_argument("--off", action="store_true", help="without overload control")
    parser.add_argument("--page", type=Path, help="add the tables to this file")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    work, seconds = options.work / 1e3, options.seconds
    text = f"\n## Overload\n\nCalls to a service that takes {work:g} ms of CPU to decide, for {seconds:g} s.\n"
    harmed = 0
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    for who in options.who:
        with tempfile.TemporaryDirectory() as folder:
            table, lost = run(options, cores[0], Path(folder), who)
        text += table
        harmed += lost
    print(text)
    if options.page:
        with options.page.open("a") as page:
            page.write(text)
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
