"""Turns: who waits for whom."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred

from gortc.admission.interfaces import Refused
from gortc.admission.turns import KNOWN_MAX, Turns


class Hall:
    """Who takes turns, and what came of it."""

    def __init__(self, most: int = 1, each: int = 99, waiting_max: int = 99) -> None:
        self.turns = Turns(most, each, waiting_max)
        self.served: list[str] = []
        self.running: list[str] = []
        self.refused: list[str] = []
        self.gone: list[str] = []
        self.at_once = False
        """Turns end as they begin."""

    def come(self, *names: str) -> list[Deferred[Any]]:
        """They want a turn; `a1` is one of `a`."""
        return [self._come(name) for name in names]

    def _come(self, name: str) -> Deferred[Any]:
        return self.turns.take(name[0]).addCallbacks(
            lambda _: self._serve(name), lambda failure: self._lose(name, failure)
        )

    def _serve(self, name: str) -> None:
        self.served.append(name)
        self.running.append(name)
        if self.at_once:
            self.end(name)

    def _lose(self, name: str, failure: Any) -> None:
        if failure.check(CancelledError):
            self.gone.append(name)
            return
        error = failure.trap(Refused) and failure.value
        assert error.code == 503
        self.refused.append(name)

    def end(self, *names: str) -> None:
        """Their turns are over."""
        for name in names:
            self.running.remove(name)
            self.turns.end(name[0])

    def over(self) -> None:
        """All turns end; nothing is left."""
        while self.running:
            self.end(self.running[0])
        assert len(self.turns) == 0
        assert not self.turns._waiting
        assert not self.turns._running


def test_who_comes_alone_has_all_turns() -> None:
    hall = Hall(most=2)
    hall.come("a1", "a2", "a3", "a4")
    assert hall.served == ["a1", "a2"]
    hall.end("a1", "a2")
    assert hall.served == ["a1", "a2", "a3", "a4"]
    hall.over()


def test_one_that_comes_late_does_not_wait_for_anothers_many() -> None:
    hall = Hall()
    hall.come(*(f"a{number}" for number in range(9)), "b0", "c0", "c1")
    hall.over()
    assert hall.served == ["a0", "a1", "b0", "c0", "a2", "c1", "a3", "a4", "a5", "a6", "a7", "a8"]


def test_who_has_none_comes_first() -> None:
    """Before another turn of who has some."""
    hall = Hall(most=3)
    hall.come("a1", "a2", "a3", "a4", "a5", "b1", "b2")
    hall.end("a1")
    assert hall.served[3:] == ["b1"]
    hall.end("a2")
    assert hall.served[4:] == ["a4"]
    hall.end("a3")
    assert hall.served[5:] == ["b2"]
    hall.over()
    assert len(hall.served) == 7


def test_no_key_has_more_turns_than_it_may() -> None:
    """Though there are some; whoever else comes has one at once."""
    hall = Hall(most=5, each=2)
    hall.come("a1", "a2", "a3", "a4", "b1", "a5", "c1")
    assert hall.served == ["a1", "a2", "b1", "c1"]
    hall.end("b1")
    assert hall.served == ["a1", "a2", "b1", "c1"]
    hall.come("d1", "e1", "f1")
    assert hall.served[4:] == ["d1", "e1"]
    hall.end("a1")
    assert hall.served[6:] == ["f1"]
    hall.end("f1")
    assert hall.served[7:] == ["a3"]


def test_where_all_places_are_taken() -> None:
    """The last one of who has most goes; who has as many as he is refused."""
    hall = Hall(waiting_max=4)
    hall.come("a0", "a1", "a2", "a3", "b1")
    assert (len(hall.turns), hall.refused) == (4, [])
    hall.come("c1")
    assert hall.refused == ["a3"]
    hall.come("c2", "d1", "b2")
    assert hall.refused == ["a3", "c2", "a2", "b2"]
    hall.come("a4", "a5")
    assert hall.refused == ["a3", "c2", "a2", "b2", "a4", "a5"]
    hall.over()
    assert hall.served == ["a0", "a1", "b1", "c1", "d1"]


def test_who_goes_gives_up_its_place() -> None:
    hall = Hall(waiting_max=2)
    first, second, _ = hall.come("a0", "a1", "b1")
    second.cancel()
    hall.come("c1")
    assert (hall.gone, hall.refused) == (["a1"], [])
    first.cancel()  # its turn has begun: it is for whoever has it to end it
    assert len(hall.turns) == 2
    hall.over()
    assert hall.served == ["a0", "b1", "c1"]


def test_turns_that_end_as_they_begin() -> None:
    """However many: they don't pile up."""
    hall = Hall(waiting_max=100_000)
    hall.come("a0", *("bcd"[number % 3] + str(number) for number in range(5000)))
    hall.at_once = True
    hall.end("a0")
    assert len(hall.served) == 5001
    assert len(hall.turns) == 0


@pytest.mark.parametrize("again", [1, 3])
def test_who_is_refused_may_come_again_at_once(again: int) -> None:
    """There are never more places than there may be."""
    hall = Hall(waiting_max=3)
    left = [again]

    def back(_: object) -> None:
        if left[0]:
            left[0] -= 1
            hall.come("a9")[0].addCallback(back)

    hall.come("a0", "a1", "a2", "a3")
    for place in hall.come("a4"):
        place.addCallback(back)
    assert len(hall.turns) == 3
    hall.come("b1")
    assert len(hall.turns) == 3
    hall.over()
    assert "b1" in hall.served


EVENTS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["come", "go", "end"]), st.integers(0, 9)))


@given(EVENTS, st.integers(1, 3), st.integers(1, 3), st.integers(1, 4))
def test_whatever_comes_and_goes(events: list[tuple[str, str, int]], most: int, each: int, waiting_max: int) -> None:
    """Nobody waits where he could have a turn, no more have one than may, and at the end nothing is left."""
    hall = Hall(most, each, waiting_max)
    came: list[tuple[str, Deferred[Any]]] = []
    for number, (key, event, which) in enumerate(events):
        name = f"{key}{number}"
        if event == "come":
            came.append((name, hall.come(name)[0]))
        elif event == "go" and came:
            came[which % len(came)][1].cancel()
        elif event == "end" and hall.running:
            hall.end(hall.running[which % len(hall.running)])
        running = Counter(name[0] for name in hall.running)
        waiting = {name for name, _ in came} - {*hall.served, *hall.refused, *hall.gone}
        assert sum(running.values()) <= most
        assert all(number <= each for number in running.values())
        assert len(hall.turns) == len(waiting) <= waiting_max
        if sum(running.values()) < most:
            assert all(running[name[0]] == each for name in waiting)
    hall.over()


def known(hall: Hall, **keys: bool | None) -> None:
    """What came of their last turns."""
    for key, right in keys.items():
        hall.turns.take(key)
        hall.turns.end(key, right)


def test_what_came_of_the_last_turn_decides() -> None:
    """Who was right comes first, who was wrong last, and of each as before."""
    hall = Hall()
    known(hall, a=False, b=None, d=True)
    hall.turns.take("x")
    hall.come("a1", "a2", "b1", "c1", "c2", "d1", "d2")
    hall.turns.end("x")
    while hall.running:
        hall.running.clear()
        key = hall.served[-1][0]
        hall.turns.end(key, {"a": False, "d": True}.get(key))
    assert hall.served == ["d1", "d2", "b1", "c1", "c2", "a1", "a2"]
    assert len(hall.turns) == 0


def test_of_those_who_were_wrong_one_goes_first() -> None:
    """Though others have more who wait; and it is the newcomer only where it is no better than anybody."""
    hall = Hall(waiting_max=4)
    known(hall, c=False, d=True)
    hall.come("a1", "b1", "b2", "c1", "e1")
    assert hall.refused == []
    hall.come("d1")
    assert hall.refused == ["c1"]
    hall.come("f1")
    assert hall.refused == ["c1", "b2"]
    hall.come("g1")
    assert hall.refused == ["c1", "b2", "g1"]
    hall.come("d2")
    assert hall.refused == ["c1", "b2", "g1", "b1"]
    hall.over()


def test_so_many_are_known() -> None:
    """The last ones."""
    turns = Turns(1, 1, 99)
    for key in range(KNOWN_MAX + 5):
        turns.take(str(key))
        turns.end(str(key), False)
    assert len(turns._known) == KNOWN_MAX
    assert "4" not in turns._known
    assert "5" in turns._known
