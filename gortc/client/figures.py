"""Figures of many calls."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def percentile(ordered: Sequence[float], q: float) -> float:
    """The `q`-th percentile (0..100) of values in ascending order, by nearest rank: always one of them.

    Raises ValueError where there is none, or no such percentile.
    """
    if not ordered or not 0 <= q <= 100:
        raise ValueError(f"no percentile {q:g} of {len(ordered)} values")
    return ordered[max(ceil(q * len(ordered) / 100), 1) - 1]


def per_second(starts: Sequence[float]) -> float | None:
    """The rate of events that happened at these times (s), in ascending order; None where it can't be told."""
    lasted = starts[-1] - starts[0] if starts else 0.0
    return (len(starts) - 1) / lasted if lasted > 0 else None
