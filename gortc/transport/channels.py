"""Channels: one a userid, whatever connection carries it at the moment. docs/jsip.md section 1.

A channel lives as long as it has a connection or a session: a reconnect under the same name carries its dialogues
over. While it has no connection its requests come back with 480 and its responses are dropped.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final, Iterator, Protocol
from urllib.parse import unquote

from gortc.jsip.layers import Channel, Journal, Reader
from gortc.jsip.uri import BadURI, parse

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.jsip.timers import Clock

REPLACED: Final = 4001
"""The close code of a connection that another one under the same name has replaced."""
POLICY: Final = 1008
"""RFC 6455 section 7.4.1: the peer violates a policy; here, it keeps sending garbage."""

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f,;]")


class Connection(Protocol):
    """What a channel needs of a WebSocket connection."""

    def send(self, data: bytes) -> bool:
        """Write one text frame; False where the connection is closing."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""


class BadName(ValueError):
    """A userid that can't name a channel."""


def channel_name(userid: str) -> str:
    """The name of the channel for a `userid` as it stands in a query string.

    Percent-decoded once, host in lower case, prefix kept. Raises BadName with a one-line reason.
    """
    try:
        name = unquote(userid, errors="strict")
    except UnicodeDecodeError:
        raise BadName("userid is not UTF-8") from None
    if not name or len(name) > 255:
        raise BadName("userid must have 1 to 255 characters")
    if _FORBIDDEN.search(name):
        raise BadName("userid must have no space, comma, semicolon or control character")
    try:
        uri = parse(name)
    except BadURI:
        raise BadName("userid must look like user@host") from None
    if uri.port is not None:
        raise BadName("userid must have no port")
    return uri.name


class PeerChannel(Channel):
    """The channel of one name; `connection` is None while the peer is away."""

    __slots__ = ("_channels", "_strikes", "connection")

    def __init__(self, channels: Channels, name: str) -> None:
        super().__init__(name)
        self._channels = channels
        self.connection: Connection | None = None
        self._strikes: deque[float] | None = None

    def send(self, data: bytes) -> int:
        """Send one message's text; 480 while the peer is away."""
        return 0 if self.connection is not None and self.connection.send(data) else 480

    def garbage(self) -> None:
        """Count a bad message; too many in their time close the connection with 1008."""
        channels = self._channels
        now = channels.clock.seconds()
        if self._strikes is None:
            self._strikes = deque(maxlen=channels.garbage_max)
        strikes = self._strikes
        strikes.append(now)
        full = len(strikes) == channels.garbage_max and now - strikes[0] <= channels.garbage_seconds
        if full and self.connection is not None:
            channels.journal.note("closed for garbage", self.name, len(strikes))
            self._strikes = None
            self.connection.close(POLICY, "too many bad messages")

    def release(self) -> None:
        """Its last session has gone; so does the channel of a peer who is away."""
        if self.connection is None:
            self._channels.forget(self)


class Nowhere(Channel):
    """Where messages to an unreachable peer go: each comes back with the same code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"(nowhere, {code})")
        self._code = code

    def send(self, data: bytes) -> int:
        """Nothing can be sent."""
        return self._code

    def garbage(self) -> None:
        """Nothing can be received."""

    def release(self) -> None:
        """It stays for the next one."""


class Channels:
    """All channels of a node, by name, and where a first request goes."""

    def __init__(
        self,
        clock: Clock,
        journal: Journal,
        above: Reader,
        domains: frozenset[str],
        garbage_max: int,
        garbage_seconds: float,
    ) -> None:
        self.clock = clock
        self.journal = journal
        self.garbage_max = garbage_max
        self.garbage_seconds = garbage_seconds
        self.by_name: dict[str, PeerChannel] = {}
        self._above = above
        self._domains = domains
        self._offline = Nowhere(480)
        self._unknown = Nowhere(404)

    def connect(self, name: str, connection: Connection) -> PeerChannel:
        """Bind `connection` to the channel `name`; one that was bound to it is closed as replaced."""
        channel = self.by_name.get(name)
        if channel is None:
            channel = self.by_name[name] = PeerChannel(self, name)
        old, channel.connection = channel.connection, connection
        if old is not None:
            old.close(REPLACED, "replaced")
        return channel

    def receive(self, channel: PeerChannel, connection: Connection, data: bytes) -> None:
        """Take a text frame, unless another connection has replaced the one it came from."""
        if channel.connection is connection:
            self._above.receive(channel, data)

    def lost(self, channel: PeerChannel, connection: Connection) -> None:
        """`connection` has gone; its dialogues wait for the next one of that name."""
        if channel.connection is connection:
            channel.connection = None
            if not channel.sessions:
                self.forget(channel)

    def forget(self, channel: PeerChannel) -> None:
        """Drop a channel that has neither a connection nor a session."""
        if self.by_name.get(channel.name) is channel:
            del self.by_name[channel.name]

    def sessions(self) -> Iterator[Session]:
        """Every session of every channel."""
        for channel in self.by_name.values():
            yield from channel.sessions.values()
        for nowhere in (self._offline, self._unknown):
            yield from nowhere.sessions.values()

    def route(self, text: str) -> PeerChannel | Nowhere:
        """The channel for a first request to the URI `text`: a connected user's, else 480 or 404.

        Raises BadURI.
        """
        uri = parse(text)
        for name in (uri.name, uri.address):
            channel = self.by_name.get(name)
            if channel is not None and channel.connection is not None:
                return channel
        return self._offline if uri.host in self._domains else self._unknown
