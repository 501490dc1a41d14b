"""Next hops that do not know the rules."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.wire.kit import PATIENCE

Talk = Callable[[socket.socket, int], None]


class Hosts:
    """So many of them, each of which takes one connection and has `talk` with it, to which it tells its number."""

    def __init__(self, talk: Talk, number: int, stack: ExitStack) -> None:
        self._talk = talk
        self._over = threading.Event()
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        self.ports = [listener.getsockname()[1] for listener in listeners]
        self._threads = [
            threading.Thread(target=self._run, args=(listener, at), daemon=True)
            for at, listener in enumerate(listeners)
        ]

    def _run(self, listener: socket.socket, at: int) -> None:
        listener.settimeout(PATIENCE)
        with suppress(OSError):
            one, _ = listener.accept()
            with one:
                self._talk(one, at)

    def begin(self) -> None:
        """They listen."""
        for thread in self._threads:
            thread.start()

    def are_done(self) -> bool:
        """Whether all have had their talk."""
        return not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Wait until they have."""
        for thread in self._threads:
            thread.join(PATIENCE)

    def routes(self) -> str:
        """The setting that leads to them: h0.example, h1.example, ..."""
        hosts = {f"h{at}.example": f"ws://127.0.0.1:{port}/rtc" for at, port in enumerate(self.ports)}
        route = '__import__("gortc").transport.route.Route'
        return "routes={" + ", ".join(f'"{host}": {route}("{url}")' for host, url in hosts.items()) + "}"


@contextmanager
def hosts(talk: Talk, number: int) -> Iterator[Hosts]:
    """They listen, and are done in the end."""
    with ExitStack() as stack:
        made = Hosts(talk, number, stack)
        made.begin()
        yield made
        made.join()


def let_in(one: socket.socket) -> bytes:
    """Read the opening handshake, and answer that it is taken. What was asked."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = one.recv(4096)
        if not part:
            return head
        head += part
    one.sendall(welcome(head))
    return head


def welcome(head: bytes) -> bytes:
    """The answer to the opening handshake `head` (RFC 6455 section 4.2.2)."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    accepted = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accepted
        + b"\r\n\r\n"
    )
