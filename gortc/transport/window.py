"""A window: what makes a channel resumable. docs/jsip.md section 1, "Resuming".

The messages of each direction are numbered from 1 in the order in which they are sent; the numbers are not written,
for a WebSocket keeps order. Each side keeps what it has sent until the other one has confirmed it, so that after a
reconnect both can send again exactly what the other one missed.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

import orjson
from orjson import JSONDecodeError

from gortc.transport.frames import fitted

if TYPE_CHECKING:
    from gortc.jsip.memory import Account, Held

CONFIRM_EVERY: Final = 32
"""So many messages are received before they are confirmed; a ping's time confirms the rest."""


class Window:
    """`sent` and `received` are the numbers of the last message of each direction; `token` is the peer's to come back
    with."""

    __slots__ = ("_bytes", "_bytes_max", "_held", "_kept", "_kept_max", "_told", "received", "sent", "token")

    def __init__(self, kept_max: int, bytes_max: int, token: str = "", account: Account | None = None) -> None:
        """At most `kept_max` messages and `bytes_max` bytes are kept, and no more than may be held for `account`; what
        was sent before is out of the window."""
        self.token = token or os.urandom(16).hex()
        self.sent = 0
        self.received = 0
        self._told = 0
        self._kept: deque[bytes] = deque()
        self._bytes = 0
        self._held = None if account is None else account.hold(0)
        self._kept_max = kept_max
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        """How many messages are not confirmed yet."""
        return len(self._kept)

    @property
    def size(self) -> int:
        """How many bytes are not confirmed yet."""
        return self._bytes

    def keep(self, data: bytes) -> None:
        """A message has been sent."""
        self.sent += 1
        kept = self._kept
        kept.append(fitted(data))
        self._bytes += len(data)
        while len(kept) > self._kept_max or self._bytes > self._bytes_max:
            self._bytes -= len(kept.popleft())
        if self._held is not None:  # after that, so that it counts what is kept
            self._keep_within(self._held)

    def _keep_within(self, held: Held) -> None:
        """What is kept counts as the peer's, and may be no more than leaves it room for what it asks: else the oldest
        goes."""
        held.add(self._bytes - held.size)
        while self._kept and held.account.is_half_full():
            size = len(self._kept.popleft())
            self._bytes -= size
            held.add(-size)

    def confirm(self, number: int) -> bool:
        """The peer has all up to `number`; False where it can't have."""
        if number > self.sent:
            return False
        kept = self._kept
        for _ in range(number - (self.sent - len(kept))):
            self._bytes -= len(kept.popleft())
        self._settle()
        return True

    def _settle(self) -> None:
        if self._held is not None:
            self._held.add(self._bytes - self._held.size)

    def reaches(self, number: int) -> bool:
        """Whether all messages after `number` are kept still."""
        return self.sent - len(self._kept) <= number <= self.sent

    def missed(self, number: int) -> list[bytes]:
        """The messages after `number`, which are to be sent, and kept, again; none is kept any more."""
        self.confirm(number)
        missed = list(self._kept)
        self._kept.clear()
        self._bytes = 0
        self._settle()
        self.sent = number
        return missed

    def take_out(self) -> bytes | None:
        """Take out the oldest message that is kept, None where there is none.

        The peer will never count it, so the numbers close up.
        """
        if not self._kept:
            return None
        data = self._kept.popleft()
        self._bytes -= len(data)
        self._settle()
        self.sent -= 1
        return data

    def take(self) -> bytes | None:
        """A message has been received: the confirmation to send, where it is time for one."""
        self.received += 1
        return self.confirmation() if self.received - self._told >= CONFIRM_EVERY else None

    def confirmation(self) -> bytes | None:
        """What tells the peer how far its messages have come; None where it knows."""
        if self._told == self.received:
            return None
        self._told = self.received
        return b'["seen",%d]' % self.received

    def told(self) -> None:
        """The peer has just been told otherwise."""
        self._told = self.received


# The channel's own frames are JSON arrays; messages are objects, so the first byte tells them apart.
OWN: Final = b"["


def opened(window: Window, grace: float, reason: str | None) -> bytes:
    """The first frame to a peer that may resume: its numbers begin at 1. `reason` says why it could not resume."""
    fields = {"token": window.token, "grace": grace, **({"reason": reason} if reason else {})}
    return orjson.dumps(["new", fields])


def resumed(window: Window, grace: float) -> bytes:
    """The first frame to a peer that has resumed: up to which of its messages we have them."""
    window.told()
    return orjson.dumps(["resumed", {"token": window.token, "grace": grace, "seen": window.received}])


def read_own(data: bytes) -> tuple[str, object]:
    """The name and the value of one of the channel's own frames. Raises ValueError where it is none."""
    try:
        frame = orjson.loads(data)
    except JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if type(frame) is not list or len(frame) != 2 or type(frame[0]) is not str:
        raise ValueError("not a frame of the channel's")
    return frame[0], frame[1]


def seen(value: object) -> int:
    """The number that a frame carries. Raises ValueError where it is none."""
    if type(value) is not int or value < 0:
        raise ValueError("seen must be a number of messages")
    return value
