"""What is sent by TLS a byte at a time: every byte is a record, which is read alone."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.load import frame
from gortc.admission import Limits
from tests.attack.kit import REALM, Honest, Victim, opening
from tests.certificates import issue
from tests.page import Page
from tests.wire.kit import PATIENCE
from tests.wire.proxy import free_port

Make = Callable[..., Victim]
NOBODY = 'auth="none", proxies=(), garbage_max=1000000'
SECONDS = 4.0
RECORDS = 120_000
"""More than a core reads in that time."""


class Secret:
    """A connection by TLS whose records are made before they are sent."""

    def __init__(self, port: int, address: str) -> None:
        context = ssl._create_unverified_context()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._out.read())
                self._in.write(self._socket.recv(65536))
            else:
                break
        self._socket.sendall(self._out.read())

    def say(self, data: bytes) -> None:
        """In one record."""
        self._tls.write(data)
        self._socket.sendall(self._out.read())

    def hear(self) -> bytes:
        """What comes."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._in.write(self._socket.recv(65536))

    def records(self, data: bytes) -> bytes:
        """Each byte in one of its own."""
        for at in range(len(data)):
            self._tls.write(data[at : at + 1])
        return self._out.read()

    def pour(self, data: bytes, seconds: float) -> int:
        """Send this, for so long at most: how many bytes went out."""
        end, sent = time.monotonic() + seconds, 0
        while sent < len(data) and (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                sent += self._socket.send(data[sent : sent + 65536])
            except OSError:
                break
        return sent

    def close(self) -> None:
        """Go."""
        self._socket.close()


def cpu(server: Victim) -> float:
    """Seconds that it has worked."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().split()
    return (int(fields[13]) + int(fields[14])) / 100


def listen(victim: Make, folder: Path) -> tuple[Victim, int]:
    """A server, and where it listens by TLS."""
    shown, port = issue(folder, "localhost"), free_port()
    return victim(NOBODY, rtc=f'"tls:{port}:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}",'), port


BEFORE = "29 of 64 read; INFO p50 290 ms, p99 444 ms"


@pytest.mark.proves("C-73")
def test_messages_a_byte_at_a_time(victim: Make, page: Page, tmp_path: Path) -> None:
    """Each counts as a frame, so TCP holds the rest back."""
    rate = Limits().frames
    assert rate is not None
    server, port = listen(victim, tmp_path)
    one = frame(b"x" * 3700)
    users = [Secret(port, f"127.0.4.{at + 1}") for at in range(2)]
    for at, user in enumerate(users):
        user.say(opening(f"t{at}@{REALM}", port, {}))
        assert b" 101 " in user.hear()
    floods = [user.records(one * (RECORDS // len(one))) for user in users]
    with Honest(server, stays=True) as honest:
        begin, worked = time.monotonic(), cpu(server)
        threads = [threading.Thread(target=user.pour, args=(flood, SECONDS)) for user, flood in zip(users, floods)]  # noqa: B905
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(max(0.0, begin + SECONDS - time.monotonic()))
        took, worked = time.monotonic() - begin, cpu(server) - worked
        read = server.count("bad message")
    for user in users:
        user.close()
    page.add(
        f"messages of {len(users)} users by TLS, {RECORDS} records of a byte each",
        f"{read} of {sum(map(len, floods)) // len(one) // 23} messages were read, in {took:.0f} s; "
        f"{worked / took:.0%} of a core, the honest user's included",
        honest.told(),
        BEFORE,
    )
    assert read * len(one) <= len(users) * (rate.burst + took * rate.per_second + len(one))
