"""How many files may be open: docs/operations.md, "Open files"."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from gortc import descriptors


@pytest.fixture
def said() -> Any:
    """What the log says."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(f"{event['log_level'].name} {formatEvent(event)}")

    publisher: Any = globalLogPublisher
    publisher.addObserver(observe)
    yield lines
    publisher.removeObserver(observe)


class System:
    """In place of the operating system's limits."""

    def __init__(self, soft: int, hard: int, most: int = 1_000_000) -> None:
        self.limits = soft, hard
        self.most = most

    def get(self, _: int) -> tuple[int, int]:
        """Of this process."""
        return self.limits

    def set(self, _: int, limits: tuple[int, int]) -> None:
        """They are changed."""
        if limits[0] > self.most:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "most", "files", "told"),
    [
        (1024, 4096, 1_000_000, 4096, ["info 4096 files may be open, instead of 1024"]),
        (4096, 4096, 1_000_000, 4096, []),
        (1024, 4096, 2000, 1024, []),
    ],
)
def test_as_many_as_may_be(
    monkeypatch: pytest.MonkeyPatch, said: list[str], soft: int, hard: int, most: int, files: int, told: list[str]
) -> None:
    system = System(soft, hard, most)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert descriptors.open_files() == files
    assert system.limits[0] == files
    assert said == told


def test_no_limit_at_all(monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    system = System(1024, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", system.get)
    monkeypatch.setattr(resource, "setrlimit", system.set)
    assert descriptors.open_files() > 1_000_000
    assert said == ["info any number of files may be open, instead of 1024"]


@pytest.mark.parametrize(("files", "most"), [(1255, 999), (1024, 768), (100, 1)])
def test_they_are_too_few(said: list[str], files: int, most: int) -> None:
    """One line says what to do."""
    assert descriptors.fit(files, 1000) == most
    (line,) = said
    assert line.startswith(f"warn only {files} files may be open, so no more than {most} connections can be")
    assert "let it have 1256 or more (LimitNOFILE= of systemd, ulimit -n" in line


def test_they_are_enough(said: list[str]) -> None:
    assert descriptors.fit(1256, 1000) == 1000
    assert said == []
