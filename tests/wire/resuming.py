"""A client that resumes, of another make than ours: section 1 of docs/jsip.md, "Resuming", from the client's end."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import deque
from typing import Any, ClassVar
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.wire.kit import PATIENCE, Json, Node, Peer

CONFIRM_EVERY = 32


class Window:
    """The numbers of both directions, and what the server has not confirmed: no socket, so that any client may use it.

    `resumed` counts how often it has.
    """

    def __init__(self) -> None:
        self.token = ""
        self.got = 0
        self.sent = 0
        self.resumed = 0
        self.kept: deque[str] = deque()
        self._told = 0

    @property
    def query(self) -> str:
        """What the URL of a reconnect says."""
        return f"&resume={quote(self.token)}&seen={self.got}" if self.token else ""

    def keep(self, data: str) -> None:
        """A message is sent, or will be when there is a connection."""
        self.sent += 1
        self.kept.append(data)

    def welcome(self, frame: str) -> list[str]:
        """The first frame: what to send again. Raises LookupError where nothing could be resumed."""
        name, value = json.loads(frame)
        if self.token and name != "resumed":
            raise LookupError(frame)
        if name == "resumed":
            self.resumed += 1
            self._confirm(value["seen"])
        self.token = value["token"]
        self._told = self.got
        return list(self.kept)

    def take(self, frame: str) -> tuple[Json | None, str | None]:
        """A frame: the message, unless it is the channel's own; and what to confirm."""
        if frame.startswith("["):
            name, value = json.loads(frame)
            assert name == "seen", frame
            self._confirm(value)
            return None, None
        self.got += 1
        confirmation = None
        if self.got - self._told >= CONFIRM_EVERY:
            self._told = self.got
            confirmation = json.dumps(["seen", self.got])
        message: Json = json.loads(frame)
        return message, confirmation

    def _confirm(self, number: int) -> None:
        first = self.sent - len(self.kept)
        assert first <= number <= self.sent, (first, number, self.sent)
        for _ in range(number - first):
            self.kept.popleft()


class ResumingPeer(Peer):
    """A peer that comes back by itself, as often as it takes, and whose messages are neither lost nor doubled.

    `there` are those that have not left.
    """

    there: ClassVar[set[ResumingPeer]] = set()

    def __init__(self, node: Node, name: str, silence: float = 1.0) -> None:
        """`silence`: how long the server may say nothing, pongs included, in seconds."""
        self.node = node
        self.name = name if "@" in name else f"{name}@{node.realm}"
        self.window = Window()
        self._silence = silence
        self._lock = threading.Lock()  # of the window, and of the order in which frames are sent
        self._inbox: queue.SimpleQueue[Json | LookupError] = queue.SimpleQueue()
        self._left = False
        self.there.add(self)
        self._connect()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _connect(self) -> None:
        url = self.node.url(self.name) + self.window.query
        while not self._left:
            try:
                self.socket = connect(
                    url,
                    subprotocols=[Subprotocol("jsip.resume")],
                    proxy=None,
                    open_timeout=self._silence,
                    close_timeout=0,
                    ping_interval=self._silence / 2,
                    ping_timeout=self._silence / 2,
                ).__enter__()
                first = self.socket.recv(self._silence)
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage):
                time.sleep(0.02)
                continue
            assert isinstance(first, str)
            with self._lock:
                if all(self._try(data) for data in self.window.welcome(first)):
                    return

    def _read(self) -> None:
        while not self._left:
            try:
                frame = self.socket.recv()
            except ConnectionClosed:
                try:
                    self._connect()
                except LookupError as lost:
                    self._inbox.put(lost)
                    return
                continue
            assert isinstance(frame, str)
            with self._lock:
                message, confirmation = self.window.take(frame)
                if confirmation is not None:
                    self._try(confirmation)
            if message is not None:
                self._inbox.put(message)

    def _try(self, data: str) -> bool:
        try:
            self.socket.send(data)
        except ConnectionClosed:
            return False
        return True

    def send_raw(self, data: str | bytes) -> None:
        """Send a message, now or after the next reconnect."""
        assert isinstance(data, str)
        with self._lock:
            self.window.keep(data)
            self._try(data)

    def send(self, message: Any) -> None:
        """The same."""
        self.send_raw(json.dumps(message))

    def receive(self) -> Json:
        """The next message. Raises LookupError where the server could not let us resume."""
        message = self._inbox.get(timeout=PATIENCE)
        if isinstance(message, LookupError):
            raise message
        return message

    @classmethod
    def all_leave(cls) -> None:
        """Whoever stays would try for ever to come back."""
        for peer in cls.there:
            peer._left = True
        for peer in list(cls.there):
            peer.leave()

    def leave(self) -> None:
        """For good."""
        self.there.discard(self)
        self._left = True
        self.socket.close()
        self._reader.join(PATIENCE)
