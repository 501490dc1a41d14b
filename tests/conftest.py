"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# make test: the same every time. make fuzz: at random, and long.
settings.register_profile("ci", max_examples=2_000, derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)

pytest.register_assert_rewrite("tests.jsip.kit")

from tests.jsip.kit import Stage  # noqa: E402


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A node with a recording service; at the end nothing may be left that the test has not asserted."""
    with Stage() as stage:
        yield stage
