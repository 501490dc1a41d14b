"""A crowd: who is at the door, by household, and who of them has been there for too long where there is no room."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

One = TypeVar("One", bound=Hashable)


class Crowd(Generic[One]):
    """Each household's, the oldest first. `ranks[n]` are the households that have n there, in the order in which they
    came to have so many; so whoever has most is found at once, however many there are."""

    def __init__(self) -> None:
        self._home: dict[One, Hashable] = {}
        self._there: dict[Hashable, dict[One, None]] = {}
        self._ranks: list[dict[Hashable, None]] = []

    def __len__(self) -> int:
        return len(self._home)

    def __contains__(self, one: One) -> bool:
        return one in self._home

    def __iter__(self) -> Iterator[One]:
        return iter(self._home)

    def add(self, one: One, home: Hashable) -> None:
        """`one` is there, and of that household."""
        self.remove(one)
        self._home[one] = home
        there = self._there.setdefault(home, {})
        there[one] = None
        self._move(home, len(there) - 1, len(there))

    def remove(self, one: One) -> None:
        """It has gone, where it was there."""
        if one not in self._home:
            return
        home = self._home.pop(one)
        there = self._there[home]
        del there[one]
        self._move(home, len(there) + 1, len(there))
        if not there:
            del self._there[home]

    @property
    def most(self) -> int:
        """So many has the household that has most there."""
        return max(0, len(self._ranks) - 1)

    def oldest_of_most(self) -> One:
        """Of the household that has most there, the one that came first. (Of those that have as many, the one that has
        for longest.)"""
        return next(iter(self._there[next(iter(self._ranks[-1]))]))

    def _move(self, home: Hashable, before: int, after: int) -> None:
        ranks = self._ranks
        if before:
            del ranks[before][home]
        if after:
            while len(ranks) <= after:
                ranks.append({})
            ranks[after][home] = None
        while ranks and not ranks[-1]:
            ranks.pop()
