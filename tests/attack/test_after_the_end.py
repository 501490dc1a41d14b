"""Attacks by connections that are over already: TLS is read for a moment more."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.attack.hosts import hosts, let_in
from tests.attack.kit import REALM, Attacker, Honest, Victim, opening
from tests.attack.test_logins import USERS, basic, static
from tests.certificates import Issued, issue
from tests.page import Page
from tests.wire.kit import PATIENCE, Peer
from tests.wire.proxy import free_port

Make = Callable[..., Victim]
TIMES = 10
AT_ONCE = 8
MOST = 32
"""By so many MB the server may grow: what is under way between two sockets, and what Python keeps for the next one."""


class Shown:
    """A certificate, and a port at which it is shown."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._issued: Issued = issue(folder, "localhost")
        self._trust = ssl.create_default_context(cafile=str(self._issued.path))

    @property
    def endpoint(self) -> str:
        """Where the server listens."""
        return f'"tls:{self.port}:interface=127.0.0.1:certKey={self._issued.path}:privateKey={self._issued.key}",'

    def connect(self) -> ssl.SSLSocket:
        """An attacker's connection."""
        return self._trust.wrap_socket(Attacker(self.port).socket, server_hostname="localhost")


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """One."""
    return Shown(tmp_path)


@pytest.mark.proves("C-5")
def test_a_handshake_that_grows_while_its_password_is_checked(victim: Make, page: Page, shown: Shown) -> None:
    """It is refused; that the password was right changes nothing, and the user's other connection stays."""
    user = USERS[0]
    server = victim(static(*USERS), rtc=shown.endpoint)
    codes = Counter[int]()
    with Honest(server, USERS[1], False, **basic(USERS[1], USERS[1])) as honest:
        first = Attacker(server.port, "127.0.0.3")
        assert first.handshake(user, **basic(user, user)) == 101
        for _ in range(TIMES):
            with shown.connect() as late:
                late.sendall(opening(user, shown.port, basic(user, user)))
                late.sendall(b"x" * 20_000)
                codes[int(late.recv(1000).split()[1])] += 1
                late.settimeout(None)
                with suppress(ConnectionError):  # it does not say goodbye in turn, and stays until the server ends it
                    while os.read(late.fileno(), 4096):
                        pass
        stays = first.is_open()
    assert codes == {400: TIMES}
    assert stays
    assert "Traceback" not in server.log()
    page.add(
        f"{TIMES} handshakes by TLS that become too large while their password, which is right, is checked",
        f"{codes[400]} got 400, and that was it; the user's other connection stays",
        honest.told(),
        "each got 400 and was let in all the same, in the place of the user's other connection",
    )


@pytest.mark.proves("C-2", "C-18")
def test_what_is_sent_after_the_end(victim: Make, page: Page, shown: Shown) -> None:
    """As much as goes, after a refusal and after a close."""
    server = victim('auth="none", proxies=()', rtc=shown.endpoint)
    sent = [0] * AT_ONCE

    def flood(at: int) -> None:
        with shown.connect() as late:
            if at % 2:
                late.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
            else:
                late.sendall(opening(f"u{at}@{REALM}", shown.port, {}))
                assert late.recv(4096).startswith(b"HTTP/1.1 101")
                late.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
            with suppress(OSError):
                while True:
                    late.sendall(b"x" * 131_072)
                    sent[at] += 131_072

    with Honest(server) as honest:
        floods = [threading.Thread(target=flood, args=(at,), daemon=True) for at in range(AT_ONCE)]
        before = most = server.census()["rss_kb"] / 1024
        for one in floods:
            one.start()
        while any(one.is_alive() for one in floods):
            most = max(most, server.census()["rss_kb"] / 1024)
            time.sleep(0.02)
    assert most - before < MOST
    page.add(
        f"{AT_ONCE} connections by TLS that were refused, or have closed, and go on sending: {sum(sent) / 1e6:.0f} MB",
        f"thrown away as it came: {most - before:.0f} MB more at the most",
        honest.told(),
        "kept: 72 MB more, of 88 MB that were sent",
    )


@pytest.mark.proves("C-16")
def test_a_control_frame_without_an_end(victim: Make, page: Page) -> None:
    """To say so is a violation; the connection stays for a moment, in which as much comes as goes."""
    begun = threading.Barrier(2 * AT_ONCE + 1)
    sent = [0] * 2 * AT_ONCE

    def flood(one: socket.socket, at: int, mask: bytes) -> None:
        begun.wait(PATIENCE)
        with suppress(OSError):
            one.sendall(b"\x89" + (b"\xff" if mask else b"\x7f") + (1 << 40).to_bytes(8, "big") + mask)
            while True:
                one.sendall(b"x" * 131_072)
                sent[at] += 131_072

    def host(one: socket.socket, number: int) -> None:
        let_in(one)
        one.recv(65_536)
        flood(one, AT_ONCE + number, b"")

    def peer(at: int) -> None:
        late = Attacker(server.port)
        assert late.handshake(f"u{at}@{REALM}") == 101
        flood(late.socket, at, bytes(4))

    with hosts(host, AT_ONCE) as far:
        server = victim(f'auth="none", proxies=(), {far.routes()}')
        with Honest(server) as honest:
            caller = Peer(server.node, "mallory")
            for number in range(AT_ONCE):
                caller.open("MESSAGE", f"bob@h{number}.example")
            floods = [threading.Thread(target=peer, args=(at,), daemon=True) for at in range(AT_ONCE)]
            for one in floods:
                one.start()
            before = most = server.census()["rss_kb"] / 1024
            begun.wait(PATIENCE)
            while any(one.is_alive() for one in floods) or not far.are_done():
                most = max(most, server.census()["rss_kb"] / 1024)
                time.sleep(0.02)
            caller.leave()
    assert most - before < MOST
    page.add(
        f"{AT_ONCE} users and {AT_ONCE} next hops send a ping of 2^40 bytes, they say: {sum(sent) / 1e6:.0f} MB",
        f"1002, and thrown away as it came: {most - before:.0f} MB more at the most",
        honest.told(),
        "kept for a second: 115 MB more",
    )
