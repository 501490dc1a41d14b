"""What attacks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.kit import Victim


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> bool:
    """Whether there is a page to fill; else attacks are small, and what a slow machine would break is not looked at."""
    return bool(request.config.getoption("--page"))


@pytest.fixture
def victim(tmp_path: Path, measured: bool) -> Iterator[Callable[..., Victim]]:
    """Makes a server, which at the end has logged no traceback."""
    made: list[Victim] = []

    def make(settings: str, level: str = "info", rtc: str = "", api: bool | str = False, **plugins: str) -> Victim:
        made.append(Victim(tmp_path, settings, level, rtc, api, measured, **plugins))
        return made[-1]

    yield make
    for one in made:
        one.stop()
