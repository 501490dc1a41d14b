"""A process that connects as fast as it can, from some addresses, for some seconds; it prints what came of it.

    python -m tests.attack.flooder KIND PORT SECONDS ADDRESS...

KIND is what each connection does: `close` at once; say nothing and `hold` on; ask for an `upgrade`, and wait for the
answer; send a TLS `hello`, wait for the answer, and close; `half`: the same, and hold on; `secure`: all of TLS, and
then an upgrade.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import struct
import sys
import time
from collections import Counter
from contextlib import suppress
from itertools import count, cycle

from tests.attack.kit import REALM, opening

AT_ONCE = 64
"""So many connections wait for an answer."""
HELD_MAX = 4000
RESET = struct.pack("ii", 1, 0)
TLS = ("hello", "half", "secure")


def hello() -> bytes:
    """A ClientHello."""
    out = ssl.MemoryBIO()
    context = ssl._create_unverified_context()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


class Secure:
    """TLS of one connection, and an upgrade inside it."""

    def __init__(self, upgrade: bytes) -> None:
        self._in, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = ssl._create_unverified_context().wrap_bio(self._in, self.out)
        self._upgrade = upgrade
        self.take(b"")

    def take(self, data: bytes) -> bytes:
        """What the server has sent, in the clear."""
        self._in.write(data)
        try:
            if self._upgrade:
                self._tls.do_handshake()
                self._tls.write(self._upgrade)
                self._upgrade = b""
            return self._tls.read(4096)
        except ssl.SSLWantReadError:
            return b""


class Flooder:
    """Connects, and counts what comes of it."""

    def __init__(self, kind: str, port: int, addresses: list[str]) -> None:
        self.kind = kind
        self.told: Counter[str] = Counter()
        self._port = port
        self._addresses = cycle(addresses)
        self._names = count()
        self._wait = selectors.DefaultSelector()
        self._held: list[socket.socket] = []
        self._hello = hello() if kind in TLS else b""

    def run(self, seconds: float) -> None:
        """For so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if len(self._wait.get_map()) < AT_ONCE and len(self._held) < HELD_MAX:
                self._connect()
            for key, _ in self._wait.select(0 if len(self._wait.get_map()) < AT_ONCE else 0.1):
                self._hear(key.fileobj, key.data)  # type: ignore[arg-type]
            if len(self._held) >= HELD_MAX:
                time.sleep(0.1)

    def _connect(self) -> None:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)  # so that it does not run out of ports
        one.settimeout(1)
        try:
            one.bind((next(self._addresses), 0))
            one.connect(("127.0.0.1", self._port))
            self.told["made"] += 1
            if self.kind == "close":
                one.close()
                return
            if self.kind == "hold":
                self._held.append(one)
                return
            upgrade = opening(f"u{next(self._names)}@{REALM}", self._port, {})
            secure = Secure(upgrade) if self.kind == "secure" else None
            one.sendall(upgrade if self.kind == "upgrade" else self._hello if secure is None else secure.out.read())
        except OSError as error:
            self.told[type(error).__name__] += 1
            one.close()
            return
        self._wait.register(one, selectors.EVENT_READ, secure)

    def _hear(self, one: socket.socket, secure: Secure | None) -> None:
        try:
            data = one.recv(16384)
            if secure is not None and data:
                data = secure.take(data)
                more = secure.out.read()
                if more:
                    one.sendall(more)
                if not data:
                    return
            self.told[data.split()[1].decode() if data[:5] == b"HTTP/" else "answered" if data else "closed"] += 1
        except (OSError, ssl.SSLError) as error:
            self.told[type(error).__name__] += 1
            data = b""
        self._wait.unregister(one)
        if self.kind == "half" and data:
            self._held.append(one)
        else:
            one.close()


if __name__ == "__main__":
    flooder = Flooder(sys.argv[1], int(sys.argv[2]), sys.argv[4:])
    flooder.run(float(sys.argv[3]))
    sys.stdout.write(json.dumps(flooder.told))
