"""Memory: how many bytes of a server's those who have limits may take. docs/security.md, "What is counted".

What is held for somebody counts as long as anything holds it: a request that is open, waits to be read, or has made an
instance; a copy of it on its way to another leg; what waits for a peer to come back, to read, or to confirm it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from sys import getsizeof
from time import monotonic
from typing import Any, Final

SHARE: Final = 4
"""One may take a quarter of what is free, so that there is something left for whoever comes next, however many have
taken their part. (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998.)"""

MESSAGE: Final = 1536
"""A message takes so many bytes beside its text: its object, its headers, its transaction and timers."""
SESSION: Final = 4096
"""A session with the instance that it has made, beside its names."""
LEG: Final = 2048
"""A session that we have opened, beside its names."""
NAME: Final = 100
"""A header, beside its text."""
LONG: Final = 1024
"""What is longer is looked at more closely."""
ITEM: Final = 72
"""One value in an array or object: its place, and a small object."""
OBJECT: Final = 240
"""One JSON object: a dict."""
KEY: Final = 72
"""One name in it, beside its text and its value: a text of its own, and its place."""
WRITTEN: Final = 4
"""A character takes so many bytes at the most, as it is kept and as it is written: a text beyond ASCII that is sent on
has both from then on."""
COLLECT_EVERY: Final = 5.0
COLLECT_SHARE: Final = 100
"""The collector is called once in so many seconds at the most, and for one part in so many of the time."""
PAUSE_MAX: Final = 0.1
"""Where it has taken longer than that, in seconds, it looks only among what was made lately: everybody waits for it."""
YOUNG: Final = 1
ALL: Final = 2
EFFORT: Final = 4096
"""So many bytes of text take as long to read as a short message does."""
NESTED: Final = 40
"""So many bytes of text take as long to read as one array or object."""


class Memory:
    """Of one node: `held` is how many bytes are held for those who have limits. `connections` is how many there are."""

    def __init__(self, limits: Any, now: Callable[[], float] = monotonic) -> None:
        """`limits` is `gortc.admission.limits.Limits`; `now` is what the collector's time is measured by."""
        self._now = now
        self._collect_at = -1.0
        self._took = 0.0
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
        return 2 * self.held > self.most and (not self.reclaim() or 2 * self.held > self.most)

    def reclaim(self) -> bool:
        """Let the collector look for what is in cycles, of which there are none but those that services make; whether
        it has looked. By itself it comes when much has been made: never where nothing is made for want of memory."""
        now = self._now()
        if now < self._collect_at:
            return False
        self._collect_at = now + COLLECT_EVERY
        gc.collect(ALL if self._took <= PAUSE_MAX else YOUNG)
        took = self._now() - now
        self._took = max(self._took, took)
        self._collect_at = now + max(COLLECT_EVERY, COLLECT_SHARE * took)
        return True


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
        return 2 * self.held > self.memory.each and self._has_more(2)

    def is_over(self) -> bool:
        """Whether it has taken more than it may."""
        return self.held > self.memory.each and self._has_more(1)  # most have little, and need no more said

    def _has_more(self, times: int) -> bool:
        """Whether so many times what it has is more than it may have, also when what is in cycles has gone."""
        return self._exceeds(times) and (not self.memory.reclaim() or self._exceeds(times))

    def _exceeds(self, times: int) -> bool:
        return times * self.held > self.memory.each and times * self.held > self.memory.share


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
    ascii = data.isascii() and b"\\u" not in data
    if size <= LONG and not nested:
        size += NAME * len(headers) + ITEM * data.count(b"[") + OBJECT * data.count(b"{", 1)
        return MESSAGE + (size if ascii else size + WRITTEN * len(data))
    if nested:
        size += ITEM * (data.count(b",") + data.count(b"[")) + OBJECT * data.count(b"{") + KEY * _names(data)
        if not ascii:
            size += WRITTEN * len(data)
    else:
        size = getsizeof(headers) + sum(map(getsizeof, headers.values())) + sum(map(getsizeof, headers))
        if not ascii:
            size += len(data)  # as they are written
    return MESSAGE + size


def weigh_names(*names: str) -> int:
    """As many bytes as these texts take, when they have been written."""
    return sum(getsizeof(name) + (0 if name.isascii() else WRITTEN * (len(name) + 1)) for name in names)


def _names(data: bytes) -> int:
    """So many names are in it at the most: each has a colon behind it, with nothing or something blank between."""
    return data.count(b'":') + data.count(b" :") + data.count(b"\n:") + data.count(b"\t:") + data.count(b"\r:")


def effort(data: bytes) -> int:
    """How many short messages could be read in the time that this one takes."""
    size = len(data)
    if size <= LONG:
        return 1
    return 1 + (size + NESTED * (data.count(b"[") + data.count(b"{", 1))) // EFFORT
