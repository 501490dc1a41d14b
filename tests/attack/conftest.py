"""Attacks, and the page of their figures: `make attack`, or `pytest tests/attack --page FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attack.kit import Victim

HEAD = """# Attacks

What was tried on a server, what came of it, and what others noticed, as `make attack` has measured it on one core
beside the attackers. The limits are the defaults, unless it is said. What stops whom is in
[security.md](security.md#threats).

| attack | what came of it | an honest user meanwhile |
|---|---|---|
"""

Record = Callable[..., None]
_ROWS: list[tuple[str, str, str]] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the page goes."""
    parser.addoption("--page", help="write the figures of the attacks to this file")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, where all went well."""
    page = session.config.getoption("--page")
    if page and exitstatus == 0:
        Path(page).write_text(HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _ROWS))


@pytest.fixture
def record() -> Record:
    """Takes a row of the page: the attack, what came of it, and what an honest user says."""

    def take(attack: str, outcome: str, honest: str = "") -> None:
        _ROWS.append((attack, outcome, honest))

    return take


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Callable[..., Victim]]:
    """Makes a server, which at the end has logged no traceback."""
    made: list[Victim] = []

    def make(settings: str, level: str = "info") -> Victim:
        made.append(Victim(tmp_path, settings, level))
        return made[-1]

    yield make
    for one in made:
        one.stop()
