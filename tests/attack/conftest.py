"""What attacks share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.kit import Victim


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Callable[..., Victim]]:
    """Makes a server, which at the end has logged no traceback."""
    made: list[Victim] = []

    def make(settings: str, level: str = "info", rtc: str = "", api: bool = False, **plugins: str) -> Victim:
        made.append(Victim(tmp_path, settings, level, rtc, api, **plugins))
        return made[-1]

    yield make
    for one in made:
        one.stop()
