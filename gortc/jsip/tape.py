"""The tape: the last messages of all dialogues, so that one can see what a call did, also one that is over.

It is a ring of bytes with an index: what is written costs one copy, and what is overwritten costs nothing, for there is
no object to be let go. (A deque of tuples takes a microsecond a message: each one that leaves it has left the
processor's caches long ago.)
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from io import BytesIO
from math import copysign
from typing import Any, Final, NamedTuple

ROW: Final = 512
"""There is one row of the index for so many bytes: a message of usual length."""

LEG: Final = 256
"""A leg takes so many bytes beside its DialogueID."""

Leg = tuple[str, str]
"""The name of a channel, and a DialogueID there."""


class Entry(NamedTuple):
    """A message on the tape: its number since the start, when it came by (seconds), whether we have sent it, the name
    of the channel, and its JSON text."""

    number: int
    time: float
    sent: bool
    channel: str
    data: bytes


class Tape:
    """Keeps so many bytes at `most`. `number` is how many messages have come by."""

    def __init__(self, now: Callable[[], float], most: int) -> None:
        self.number = 0
        self._now = now
        self._most = most
        self._rows = most // ROW + 2
        self._buffer = BytesIO()
        self._write: Callable[[bytes], int] = self._buffer.write  # a copy to where it stands, and little else
        self._left = most
        """So many bytes are left until the ring's end."""
        self._at = 0
        """Where the next message begins, counted on and on, as if there were no ring."""
        self._row = 0
        self._begins: Any = array("q", bytes(8 * self._rows))
        self._times: Any = array("d", bytes(8 * self._rows))  # less than 0: we have sent it
        self._channels: list[str] = [""] * self._rows
        self._related: deque[tuple[Leg, Leg]] = deque(maxlen=self._rows)
        self._names = 0
        """So many characters have the ids of those legs: they may be long, and there are as many as messages."""

    def note(self, channel: str, data: bytes, sent: bool) -> None:
        """A message that was received from `channel`, or sent there."""
        size = len(data)
        if size < self._left:
            self._write(data)
            self._left -= size
        elif size <= self._most:
            self._begin_again(data, size)
        else:
            return
        row = self._row
        now = self._now()
        self._begins[row] = self._at
        self._times[row] = -now if sent else now
        self._channels[row] = channel
        self._at += size
        self.number += 1
        self._row = row + 1 if row + 1 < self._rows else 0

    def _begin_again(self, data: bytes, size: int) -> None:
        """What does not fit at the ring's end goes on at its beginning."""
        left = self._left
        self._buffer.write(data[:left])
        self._buffer.seek(0)
        self._buffer.write(data[left:])
        self._left = self._most - (size - left)

    def relate(self, channel: str, dialogue_id: str, first: Leg) -> None:
        """This leg belongs to the instance whose first leg is `first`."""
        if len(self._related) == self._rows:
            self._forget()
        self._names += len(dialogue_id) + LEG
        self._related.append(((channel, dialogue_id), first))
        while self._names > self._most:
            self._forget()

    def _forget(self) -> None:
        (_, dialogue_id), _ = self._related.popleft()
        self._names -= len(dialogue_id) + LEG

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """The messages that are there, from the number `after` on, the oldest first."""
        oldest = self._at - self._most
        for number in range(max(after, self.number - self._rows), self.number):
            row = number % self._rows
            begin = self._begins[row]
            end = self._begins[(number + 1) % self._rows] if number + 1 < self.number else self._at
            if begin >= oldest:
                time = self._times[row]
                sent = copysign(1.0, time) < 0
                yield Entry(number, abs(time), sent, self._channels[row], self._read(begin, end))

    def _read(self, begin: int, end: int) -> bytes:
        first, last = begin % self._most, (end - 1) % self._most + 1
        with self._buffer.getbuffer() as view:
            return bytes(view[first:last]) if first < last else bytes(view[first:]) + bytes(view[:last])

    def legs(self, leg: Leg) -> set[Leg]:
        """All legs of the instance that `leg` belongs to, itself included, as far as the tape knows them."""
        related = dict(self._related)
        first = related.get(leg, leg)
        return {leg, first, *(other for other, its in related.items() if its == first)}
