"""Figures of many calls."""

from __future__ import annotations

import pytest

from gortc.client.figures import per_second, percentile


@pytest.mark.parametrize(
    ("q", "value"), [(0, 15), (5, 15), (20, 15), (30, 20), (40, 20), (50, 35), (99, 50), (99.9, 50), (100, 50)]
)
def test_a_percentile_is_one_of_the_values(q: float, value: float) -> None:
    assert percentile([15, 20, 35, 40, 50], q) == value


@pytest.mark.parametrize("q", range(1, 101))
def test_of_a_hundred_values_the_percentile_is_the_one_of_its_rank(q: int) -> None:
    assert percentile(range(1, 101), q) == q


@pytest.mark.parametrize(("values", "q"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_no_percentile(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, q)


def test_the_rate_of_starts() -> None:
    assert per_second([1.0, 1.25, 1.5, 2.0]) == 3.0
    assert per_second([1.0, 1.0]) is None
    assert per_second([1.0]) is None
    assert per_second([]) is None
