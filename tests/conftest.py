"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# make test: the same every time. make fuzz: at random, and long.
settings.register_profile("ci", max_examples=2_000, derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=20_000, deadline=None)

pytest.register_assert_rewrite("tests.jsip.kit")

from tests.jsip.kit import Stage  # noqa: E402
from tests.page import Page  # noqa: E402

PAGE = pytest.StashKey[Page]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make attack` says where its page goes."""
    parser.addoption("--page", type=Path, help="write the figures of attacks to this file")


def pytest_configure(config: pytest.Config) -> None:
    """It is empty."""
    config.stash[PAGE] = Page()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write it, where all went well."""
    path = session.config.getoption("--page")
    if path and exitstatus == 0:
        session.config.stash[PAGE].write(path)


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Page:
    """Takes the figures of attacks."""
    return request.config.stash[PAGE]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A node with a recording service; at the end nothing may be left that the test has not asserted."""
    with Stage() as stage:
        yield stage
