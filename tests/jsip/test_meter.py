"""Meters: token buckets, a number each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gortc.jsip.meter import Meter
from gortc.jsip.timers import Timers


def fail() -> None:
    """A timer has raised."""
    raise AssertionError


def meter(clock: Clock, per_second: float, burst: int) -> Meter:
    """A meter in virtual time."""
    return Meter(Timers(clock, fail), per_second, burst)


def test_a_burst_then_its_rate() -> None:
    clock = Clock()
    made = meter(clock, 2, 3)
    assert [made.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert made.wait("a") == pytest.approx(0.5)
    assert made.take("a") == pytest.approx(0.5)
    assert made.take("a") == pytest.approx(0.5)  # what is refused takes nothing
    clock.advance(0.5)
    assert made.wait("a") == 0.0
    assert made.take("a") == 0.0
    assert made.take("a") == pytest.approx(0.5)


def test_keys_have_buckets_of_their_own() -> None:
    made = meter(Clock(), 1, 1)
    assert made.take("a") == made.take("b") == 0.0
    assert made.take("a") > 0.0
    assert made.take("b") > 0.0


def test_a_full_bucket_has_no_row() -> None:
    clock = Clock()
    made = meter(clock, 1, 4)
    assert made.wait("a") == 0.0
    assert len(made) == 0
    for key in "aab":
        made.take(key)
    assert len(made) == 2
    clock.advance(2)
    for _ in range(3):
        made.take("c")
    clock.advance(2)  # the sweep finds a and b full
    assert len(made) == 1
    clock.advance(4)
    assert len(made) == 0
    clock.advance(4)
    assert not clock.getDelayedCalls()
    made.take("a")
    clock.advance(8)
    assert len(made) == 0


def test_what_is_given_back() -> None:
    clock = Clock()
    made = meter(clock, 2, 3)
    for _ in range(3):
        assert made.take("a") == 0.0
    made.give_back("a")
    assert made.take("a") == 0.0
    assert made.take("a") == pytest.approx(0.5)
    clock.advance(1)
    for _ in range(3):  # full it is, and no more
        made.give_back("a")
    assert [made.take("a") == 0.0 for _ in range(4)] == [True, True, True, False]
    clock.advance(3)
    assert len(made) == 0
    made.give_back("a")
    assert len(made) == 0


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5))), st.floats(0.1, 50), st.integers(1, 10))
def test_never_more_than_the_burst_and_the_rate(asks: list[tuple[float, int]], per_second: float, burst: int) -> None:
    """In any stretch of time from the start on."""
    clock = Clock()
    made = meter(clock, per_second, burst)
    taken = 0
    for pause, times in asks:
        clock.advance(pause)
        taken += sum(made.take("a") == 0.0 for _ in range(times))
        assert taken <= burst + per_second * clock.seconds() + 1e-6


def test_a_meter_may_fall_into_debt() -> None:
    clock = Clock()
    made = meter(clock, 10, 5)
    clock.advance(100)
    assert made.spend("a", 5) == 0.0
    assert made.spend("a", 20) == pytest.approx(2.0)
    assert made.spend("b", 5) == 0.0
    clock.advance(1)
    assert made.spend("a", 0) == pytest.approx(1.0)
    clock.advance(1)
    assert made.spend("a", 0) == pytest.approx(0.0)
    clock.advance(8)
    assert made.spend("a", 5) == 0.0  # no more is saved than the burst
    assert made.spend("a", 1) == pytest.approx(0.1)
    clock.advance(2)
    assert len(made) == 0
