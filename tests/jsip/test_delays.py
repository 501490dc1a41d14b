"""Histograms of delays."""

from __future__ import annotations

import pytest

from gortc.jsip.delays import BOUNDS, Delays


def test_each_bound_belongs_to_its_bucket() -> None:
    """As Prometheus has it: up to and including."""
    for place, bound in enumerate(BOUNDS):
        for seconds, bucket in ((bound, place), (bound - 0.001, place), (bound + 0.001, place + 1)):
            delays = Delays()
            delays.add(seconds)
            assert delays.buckets() == [int(other == bucket) for other in range(len(BOUNDS) + 1)], seconds
            assert delays.total == seconds


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (120.0, 13), (120.01, 14), (1e9, 14)])
def test_the_ends(seconds: float, bucket: int) -> None:
    delays = Delays()
    delays.add(seconds)
    delays.add(seconds)
    assert delays.buckets()[bucket] == 2
    assert sum(delays.buckets()) == 2
