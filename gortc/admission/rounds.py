"""Rounds: who waits is taken household by household, one of each, so that none waits for another's many."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

One = TypeVar("One", bound=Hashable)


class Rounds(Generic[One]):
    """Those who wait, the next one of each household first."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, dict[One, None]] = {}
        """By household, whose turn it is first."""
        self._homes: dict[One, Hashable] = {}
        """In whose line each of them is, whatever it would be by now."""

    def __len__(self) -> int:
        return len(self._homes)

    def __iter__(self) -> Iterator[One]:
        return iter(self._homes)

    def add(self, one: One, home: Hashable, ahead: bool = False) -> None:
        """`one` waits, with its household, behind the others of it, or `ahead` of them; where it waits already, it goes
        on to."""
        home = self._homes.setdefault(one, home)
        line = self._lines.setdefault(home, {})
        line[one] = None
        if ahead:
            self._lines[home] = {one: None, **line}

    def drop(self, one: One) -> None:
        """It waits no longer, where it did."""
        if one not in self._homes:
            return
        home = self._homes.pop(one)
        line = self._lines[home]
        del line[one]
        if not line:
            del self._lines[home]

    def take(self) -> One:
        """Whose turn it is; its household is behind all others then."""
        home, line = next(iter(self._lines.items()))
        one = next(iter(line))
        del self._lines[home], line[one], self._homes[one]
        if line:
            self._lines[home] = line
        return one
