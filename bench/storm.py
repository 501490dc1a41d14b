"""A storm: all users lose their connections in one moment and are back within seconds, while others go on calling.

    python -m bench.storm COMPILED [--users 5000] [--calls 1000] [--seconds 10]

Each of the users resumes; as many of them as there are calls hang them up then. Exit status 1 where one could not.
"""

from __future__ import annotations

import argparse
import base64
import os
import resource
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from bench.load import REALM, Server, frame
from bench.run import GORTC, ServerProcess

CORE_OF_SERVER, CORE_OF_CLIENT = 0, -1
ECHO = f"echo@{REALM}"
KEY = base64.b64encode(os.urandom(16)).decode()
PROBE_EVERY = 0.05
"""Between two messages of somebody whom nothing has happened to, in seconds."""


class User:
    """One that resumes: blocking, a message at a time."""

    def __init__(self, port: int, number: int) -> None:
        self.name = f"storm{number}@{REALM}"
        self.token = ""
        self.got = 0
        self._port = port

    def connect(self) -> str:
        """Connect, and say whether it is `new` or `resumed`."""
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        resume = f"&resume={self.token}&seen={self.got}" if self.token else ""
        self._socket.sendall(
            f"GET /rtc?userid={self.name}{resume} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: jsip.resume\r\n\r\n".encode()
        )
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._more()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"no upgrade: {head[:200]!r}")
        name, fields = self._frame()
        self.token = fields["token"]
        return str(name)

    def send(self, kind: str, dialogue_id: str, cseq: int, **headers: Any) -> None:
        """Send a request to the echo."""
        made = {
            "Type": kind,
            "Request-URI": ECHO,
            "From": self.name,
            "To": ECHO,
            "DialogueID": dialogue_id,
            "CSeq": cseq,
        }
        made["Router"] = f"{REALM};type=echo"
        self._socket.sendall(frame(orjson.dumps({**made, **headers})))

    def final(self) -> int:
        """The code of the next final response."""
        while True:
            message = self._frame()
            if isinstance(message, dict):
                self.got += 1
                if message.get("Code", 0) >= 200:
                    return int(message["Code"])

    def reset(self) -> None:
        """The connection breaks, with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise SystemExit(f"the server closed the connection of {self.name}")
        self._rest += data

    def _frame(self) -> Any:
        """The next text frame; others are passed over."""
        while True:
            while len(self._rest) < 4:
                self._more()
            first, size = self._rest[:2]
            start = 2
            if size == 126:
                size, start = int.from_bytes(self._rest[2:4], "big"), 4
            while len(self._rest) < start + size:
                self._more()
            payload, self._rest = self._rest[start : start + size], self._rest[start + size :]
            if first == 0x81:
                return orjson.loads(payload)


def ranked(values: list[float]) -> str:
    """Median, 99th of a hundred, and the most, in ms."""
    rank = sorted(values)
    return " / ".join(f"{rank[min(len(rank) - 1, len(rank) * share // 100)] * 1e3:.1f}" for share in (50, 99, 100))


def storm(server: ServerProcess, options: argparse.Namespace) -> int:
    """Play it; how many users could not go on."""
    process = Server(server.pid)
    users = [User(server.port, number) for number in range(options.users)]
    callers = users[: options.calls]
    bystander = User(server.port, options.users)
    for user in (*users, bystander):
        user.connect()
    for number, user in enumerate(callers):
        user.send("INVITE", f"call{number}", 1, Expire=600)
        if user.final() != 200:
            raise SystemExit("a call was not answered")
        user.send("ACK", f"call{number}", 2, RelatedID=1)
    for user in users:
        user.reset()
    begin, cpu = time.perf_counter(), process.cpu()
    back: list[float] = []
    probes: list[float] = []
    new = 0
    for number, user in enumerate(users):
        due = begin + number * options.seconds / len(users)
        while (now := time.perf_counter()) < due:
            time.sleep(due - now)
        new += user.connect() != "resumed"
        back.append(time.perf_counter() - due)
        if time.perf_counter() >= begin + len(probes) * PROBE_EVERY:
            asked = time.perf_counter()
            bystander.send("MESSAGE", f"probe{number}", 1)
            bystander.final()
            probes.append(time.perf_counter() - asked)
    took, busy = time.perf_counter() - begin, process.cpu() - cpu
    lost = 0
    for number, user in enumerate(callers):
        user.send("BYE", f"call{number}", 3)
        lost += user.final() != 200
    for user in (*users, bystander):
        user.reset()
    print(f"{len(users)} users back in {took:.1f} s of {options.seconds:g} s, {new} could not resume")
    print(f"back after, p50 / p99 / max: {ranked(back)} ms; server CPU a user {busy / len(users) * 1e6:.0f} us")
    print(f"a bystander's MESSAGE meanwhile, p50 / p99 / max: {ranked(probes)} ms ({len(probes)})")
    print(f"{len(callers)} calls, {lost} lost")
    return new + lost


def main() -> int:
    """Read the options, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("compiled", type=Path)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = sorted(os.sched_getaffinity(0))
    server = ServerProcess(GORTC, cores[CORE_OF_SERVER], options.compiled.resolve())
    os.sched_setaffinity(0, {cores[CORE_OF_CLIENT]})
    try:
        failed = storm(server, options)
    finally:
        complaints = server.stop()
    print(*complaints, sep="\n", end="\n" if complaints else "")
    return 1 if failed or complaints else 0


if __name__ == "__main__":
    sys.exit(main())
