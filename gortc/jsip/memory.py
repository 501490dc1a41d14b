"""Memory: how many bytes of a server's those who have limits may take. docs/security.md, "What is counted".

What is held for somebody counts as long as anything holds it: a request that is open, waits to be read, or has made an
instance; a copy of it on its way to another leg; what waits for a peer to come back, to read, or to confirm it.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import getsizeof
from typing import Any, Final

SHARE: Final = 4
"""One may take a quarter of what is free, so that there is something left for whoever comes next, however many have
taken their part. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.)"""

MESSAGE: Final = 1536
"""A message takes so many bytes beside its text: its object, its headers, its transaction and timers."""
SESSION: Final = 4096
"""A session with the instance that it has made."""
NAME: Final = 100
"""A header, beside its text."""
LONG: Final = 1024
"""What is longer is looked at more closely."""
ITEM: Final = 72
"""One value in an array or object: its place, and a small object."""
OBJECT: Final = 240
"""One JSON object: a dict."""
EFFORT: Final = 4096
"""So many bytes of text take as long to read as a short message does."""
NESTED: Final = 40
"""So many bytes of text take as long to read as one array or object."""


class Memory:
    """Of one node: `held` is how many bytes are held for those who have limits. `connections` is how many there are."""

    def __init__(self, limits: Any) -> None:
        """`limits` is `gortc.admission.limits.Limits`."""
        self.held = 0
        self.connections = 0
        self.configure(limits)

    def configure(self, limits: Any) -> None:
        """What may be held from now on."""
        self._base: int = limits.memory
        self.each: int = limits.memory_connection
        """So much is everybody's own, whatever others have taken."""
        self._user: int = limits.memory_user

    @property
    def most(self) -> int:
        """So much may be held for all."""
        return self._base + self.each * self.connections

    @property
    def share(self) -> int:
        """So much may be held for one: what its connection has brought, whatever others have taken."""
        return max(self.each, min(self._user, (self.most - self.held) // SHARE))

    def is_scarce(self) -> bool:
        """Whether so much is held that nobody should be waited for who has nothing to come back to."""
        return 2 * self.held > self.most


class Account:
    """What is held for one user."""

    __slots__ = ("held", "memory")

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.held = 0

    def hold(self, size: int) -> Held:
        """So many bytes more, as long as what is returned lives."""
        return Held(self, size)

    def is_half_full(self) -> bool:
        """Whether what can be done without should give way: the other half is for what is asked."""
        memory = self.memory
        return 2 * self.held > memory.each and 2 * self.held > memory.share

    def is_over(self) -> bool:
        """Whether it has taken more than it may."""
        memory = self.memory
        return self.held > memory.each and self.held > memory.share  # most have little, and need no more said


class Held:
    """So many bytes, which count as long as this lives: whoever keeps what takes them keeps this beside it. `of` is
    that of a message, of which something is in here, too."""

    __slots__ = ("account", "of", "size")

    def __init__(self, account: Account, size: int, of: Held | None = None) -> None:
        self.account = account
        self.of = of
        self.size = size
        account.held += size
        account.memory.held += size

    def add(self, size: int) -> None:
        """So many more, or, less than 0, fewer."""
        self.size += size
        self.account.held += size
        self.account.memory.held += size

    def __del__(self) -> None:
        account, size = self.account, self.size
        account.held -= size
        account.memory.held -= size


def weigh(data: bytes, headers: Mapping[str, Any], nested: bool) -> int:
    """About how many bytes a message takes that was read from `data`; `nested`: there are arrays or objects in it.

    `[[],[],...]` takes more than twenty times its text, one emoji makes a text four times as long.
    """
    size = len(data)
    if size <= LONG and not nested:
        return MESSAGE + size + NAME * len(headers)
    if nested:
        if not data.isascii() or b"\\u" in data:
            size *= 4
        size += ITEM * (data.count(b",") + data.count(b"[")) + OBJECT * data.count(b"{")
    else:
        size = sum(map(getsizeof, headers.values())) + sum(map(getsizeof, headers))
    return MESSAGE + size


def effort(data: bytes) -> int:
    """How many short messages could be read in the time that this one takes."""
    size = len(data)
    if size <= LONG:
        return 1
    return 1 + (size + NESTED * (data.count(b"[") + data.count(b"{", 1))) // EFFORT
