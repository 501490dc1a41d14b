"""A stall: a peer reads slower than it is sent to, or not at all. docs/jsip.md section 1, "Life"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gortc.jsip.memory import Account


class Stall:
    """One stall, from when something waits for the peer to read until nothing does. `since` is when it was last seen to
    have read any of it.

    What has been written counts for the `account`, where there is one; all else waits in the channel.
    """

    __slots__ = ("_buffer", "_held", "_place", "since")

    def __init__(self, transport: Any, now: float, account: Account | None = None) -> None:
        self._buffer: Any = getattr(transport, "transport", transport)  # the socket's, under TLS
        self.since = now
        self._place = self._read_to()
        # So many were too much, at the least: Twisted tells of a stall before the last message is in its buffer.
        written = max(self.written, getattr(self._buffer, "bufferSize", 0))
        self._held = None if account is None else account.hold(written)

    def look(self, now: float) -> bool:
        """Whether the peer has read anything since the last look. Where the transport can't tell, as in memory, it has
        not."""
        place = self._read_to()
        if place == self._place:
            return False
        self._place, self.since = place, now
        return True

    @property
    def written(self) -> int:
        """So many bytes have been written, and have not gone."""
        buffer = self._buffer
        if not hasattr(buffer, "dataBuffer"):
            return 0
        waits: int = len(buffer.dataBuffer) - buffer.offset + buffer._tempDataLen
        return waits

    def _read_to(self) -> tuple[int, int, int]:
        """It changes with each byte that goes, and with nothing else: what comes is put elsewhere until then."""
        data = getattr(self._buffer, "dataBuffer", b"")
        return id(data), len(data), getattr(self._buffer, "offset", 0)
