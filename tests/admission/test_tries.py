"""Tries: an address fails so often, however it goes about it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from gortc.admission import Rate
from gortc.admission.tries import TooMany, Tries
from gortc.jsip.timers import Timers


def fail() -> None:
    """A timer has raised."""
    raise AssertionError


class Crowd:
    """Who tries, in virtual time."""

    def __init__(self, burst: int = 3, per_second: float = 0.2) -> None:
        self.clock = Clock()
        self.tries = Tries(Timers(self.clock, fail))
        self.tries.configure(Rate(per_second, burst))
        self.asked: list[str] = []
        """Those whose try has begun, of all who came."""
        self.refused: list[tuple[str, float]] = []
        self.gone: list[str] = []

    def come(self, *names: str) -> list[Deferred[Any]]:
        """They try; `a1` is one of `a`."""
        return [Deferred.fromCoroutine(self._come(name)) for name in names]

    async def _come(self, name: str) -> None:
        try:
            await self.tries.begin(name[0])
        except TooMany as many:
            self.refused.append((name, round(many.wait, 3)))
        except CancelledError:
            self.gone.append(name)
        else:
            self.asked.append(name)

    def wrong(self, *names: str) -> None:
        """They have failed."""
        for name in names:
            self.tries.end(name[0], True)

    def right(self, *names: str) -> None:
        """They have not."""
        for name in names:
            self.tries.end(name[0], False)


def test_one_after_the_other() -> None:
    crowd = Crowd()
    for name in ("a1", "a2", "a3"):
        crowd.come(name)
        crowd.wrong(name)
    crowd.come("a4", "b1")
    assert crowd.asked == ["a1", "a2", "a3", "b1"]
    assert crowd.refused == [("a4", 5.0)]
    crowd.clock.advance(5)
    crowd.come("a5", "a6")
    crowd.wrong("a5")
    assert crowd.asked[4:] == ["a5"]
    assert crowd.refused[1:] == [("a6", 5.0)]


def test_all_at_once() -> None:
    """As many, and no more; the others hear so as soon as it is known."""
    crowd = Crowd()
    crowd.come(*(f"a{number}" for number in range(50)))
    assert (crowd.asked, crowd.refused) == (["a0", "a1", "a2"], [])
    crowd.wrong("a0", "a1")
    assert crowd.refused == []
    crowd.wrong("a2")
    assert 3 <= len(crowd.refused) < 20  # not all in one turn of the reactor
    crowd.come("a50")
    crowd.clock.advance(0)
    assert crowd.refused == [(f"a{number}", 5.0) for number in range(3, 51)]
    assert len(crowd.asked) == 3
    assert len(crowd.tries) == 0


def test_many_who_are_right() -> None:
    """They wait for each other, in the order in which they came, and all get in."""
    crowd = Crowd()
    names = [f"a{number}" for number in range(50)]
    crowd.come(*names)
    for at, name in enumerate(names):
        assert crowd.asked == names[: at + 3]
        crowd.right(name)
    assert crowd.refused == []
    assert len(crowd.tries) == 0


def test_who_comes_later_waits_behind_them() -> None:
    crowd = Crowd(burst=1)
    crowd.come("a1", "a2")
    crowd.clock.advance(60)  # there is another one by now
    crowd.come("a3")
    crowd.right("a1")
    assert crowd.asked[:2] == ["a1", "a2"]
    crowd.right("a2")
    crowd.right("a3")
    assert crowd.asked == ["a1", "a2", "a3"]


def test_one_that_is_wrong_among_them() -> None:
    crowd = Crowd()
    crowd.come("a0", "a1", "a2", "a3", "a4")
    crowd.wrong("a0", "a1")
    crowd.right("a2")
    assert crowd.asked[3:] == ["a3"]
    crowd.right("a3")
    assert crowd.asked[4:] == ["a4"]
    crowd.wrong("a4")
    crowd.come("a5")
    assert crowd.refused == [("a5", 5.0)]


def test_who_goes_while_it_waits() -> None:
    crowd = Crowd(burst=1)
    _, second, _ = crowd.come("a1", "a2", "a3")
    second.cancel()
    crowd.right("a1")
    assert (crowd.asked, crowd.gone) == (["a1", "a3"], ["a2"])
    crowd.right("a3")
    assert len(crowd.tries) == 0


def test_tries_that_end_as_they_begin() -> None:
    """However many wait: they don't pile up."""
    crowd = Crowd(burst=1)

    async def at_once() -> None:
        await crowd.tries.begin("a")
        crowd.asked.append("at once")
        crowd.tries.end("a", False)

    crowd.come("a0")
    for _ in range(5000):
        Deferred.fromCoroutine(at_once())
    crowd.right("a0")
    assert len(crowd.asked) < 100
    crowd.clock.advance(0)
    assert len(crowd.asked) == 5001
    assert len(crowd.tries) == 0


def test_all_have_gone_before_they_were_served() -> None:
    crowd = Crowd(burst=1)
    places = crowd.come(*(f"a{number}" for number in range(40)))
    crowd.wrong("a0")
    for place in places:
        place.cancel()
    assert len(crowd.gone) + len(crowd.refused) == 39
    assert crowd.gone
    crowd.clock.advance(0)
    assert len(crowd.tries) == 0


def test_no_limit() -> None:
    """Nor for those who wait as it is lifted; and it can come back."""
    crowd = Crowd(burst=1)
    crowd.come("a1", "a2", "a3")
    crowd.tries.configure(None)
    crowd.wrong("a1")
    assert crowd.asked == ["a1", "a2", "a3"]
    crowd.tries.configure(Rate(1, 1))
    crowd.right("a2")
    crowd.wrong("a3")
    crowd.come("a4", "a5")
    crowd.wrong("a4")
    assert crowd.asked[3:] == ["a4"]
    assert crowd.refused == [("a5", 1.0)]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["come", "come", "wrong", "right", "go", "wait"]), st.floats(0.1, 9), st.integers(0, 9))
)


@given(EVENTS, st.integers(1, 4), st.floats(0.1, 2))
def test_never_more_failures_than_promised(events: list[tuple[str, float, int]], burst: int, per_second: float) -> None:
    """Whoever comes, goes, is right or wrong, and when. And nobody waits where nobody is asked about."""
    crowd = Crowd(burst, per_second)
    came: list[Deferred[Any]] = []
    open_, failures = 0, 0
    for number, (event, pause, which) in enumerate(events):
        if event == "come":
            came += crowd.come(f"a{number}")
        elif event == "go" and came:
            came[which % len(came)].cancel()
        elif event == "wait":
            crowd.clock.advance(pause)
        if event in ("wrong", "right") and open_ < len(crowd.asked):
            open_ += 1
            failures += event == "wrong"
            crowd.tries.end("a", event == "wrong")
        crowd.clock.advance(0)
        assert failures <= burst + crowd.clock.seconds() * per_second + 1e-6
        waiting = len(came) - len(crowd.asked) - len(crowd.refused) - len(crowd.gone)
        assert not waiting or open_ < len(crowd.asked)
        assert len(crowd.tries) == (open_ < len(crowd.asked))
