"""What has come of a message that is not whole yet: its sender's memory. docs/security.md, "What is counted"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gortc.jsip.memory import Account, Held

PIECE: Final = 48
"""So many bytes a piece of a message takes beside what is in it."""


class Partial:
    """Of one connection."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: Held | None = None

    def is_too_much(self, account: Account | None, size: int, pieces: int) -> bool:
        """So many bytes are there, or will be, in so many pieces: whether that is more than `account` may hold."""
        if account is None or not size:
            self._held = None
            return False
        if self._held is None:
            self._held = account.hold(0)
        self._held.add(size + PIECE * pieces - self._held.size)
        if not account.is_over():
            return False
        self._held = None
        return True


def gathered(protocol: Any) -> tuple[int, int]:
    """How much that is, of an Autobahn `protocol`. What comes before it is open is bounded; what comes when it is to
    close is thrown away, however much was announced."""
    if protocol.state != protocol.STATE_OPEN:
        return 0, 0
    size, pieces = len(protocol.data), 0
    if protocol.inside_message:
        size += protocol.message_data_total_length
        pieces = len(protocol.message_data or ()) + len(protocol.frame_data or ())
    return size, pieces
