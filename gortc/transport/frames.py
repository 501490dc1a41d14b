"""The frames that calls are made of: whole, unfragmented, uncompressed text frames (RFC 6455 section 5).

Everything else is Autobahn's. This module can be compiled; `unmask` is C where the package websockets is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Unmask = Callable[[bytes, bytes], bytes]


def plain_unmask(data: bytes, mask: bytes) -> bytes:
    """The masked `data` in clear (RFC 6455 section 5.3): byte i is XORed with mask[i % 4]."""
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def _fastest() -> Unmask:
    try:
        from websockets.speedups import apply_mask
    except ImportError:
        return plain_unmask
    return apply_mask


unmask: Final[Unmask] = _fastest()

TEXT: Final = 0x81  # FIN, opcode text
PING: Final = b"\x89\x00"  # FIN, opcode ping, without a payload
PONG: Final = 0x8A
_MASKED: Final = 0x80


def split(data: bytes, largest: int) -> list[tuple[bytes, int]]:
    """The messages at the beginning of `data`, each with where its frame ends, as far as whole masked text frames go.

    It stops where something else begins: another opcode, a frame that is not whole yet or has more than `largest`
    bytes (at most 65,535), one that is no good.
    """
    messages = []
    at = 0
    end = len(data)
    while end - at >= 6 and data[at] == TEXT and data[at + 1] & _MASKED:
        size = data[at + 1] & 0x7F
        start = at + 6
        if size == 126:
            size = data[at + 2] << 8 | data[at + 3]
            start = at + 8
            if size < 126:  # section 5.2: the length takes the fewest bytes it can; Autobahn says 1002
                break
        elif size == 127:
            break
        at = start + size
        if size > largest or at > end:
            break
        payload = unmask(data[start:at], data[start - 4 : start])
        if not payload.isascii() and not is_utf8(payload):
            break  # Autobahn says 1007
        messages.append((payload, at))
    return messages


def is_pong(data: bytes) -> bool:
    """Whether `data` is a whole masked pong and nothing else: nobody asks what it says, only that it has come."""
    size = len(data)
    return 6 <= size <= 131 and data[0] == PONG and data[1] == _MASKED | size - 6


def frame(data: bytes) -> bytes:
    """A text frame of `data`; a server's are not masked (section 5.1)."""
    size = len(data)
    if size < 126:
        return bytes((TEXT, size)) + data
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


def is_utf8(payload: bytes) -> bool:
    """Whether it is text (RFC 3629)."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def fitted(data: bytes) -> bytes:
    """The same bytes in no more room than they need, for what stays a while.

    What orjson makes keeps the room of its buffer, several times as much as was written into it.
    """
    return b"".join((data, b""))
