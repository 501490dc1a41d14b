"""A command's exit status, whichever way the reactor has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gortc.client import running


def reactor_that_ends(code: int | None, plays: bool) -> Callable[[Callable[[Any], Deferred[None]]], None]:
    """What `react` does: plays, and ends the program."""

    def react(main: Callable[[Any], Deferred[None]]) -> None:
        if plays:
            main("the reactor")
        raise SystemExit(code)

    return react


@pytest.mark.parametrize(
    ("code", "plays", "status"),
    [(0, True, 7), (1, True, 7), (1, False, 1), (None, False, 1), (143, False, 143)],
    ids=["done", "done, then interrupted", "interrupted", "stopped", "ended by a signal"],
)
def test_status(monkeypatch: pytest.MonkeyPatch, code: int | None, plays: bool, status: int) -> None:
    """The command's own, where it has one; else not 0."""
    reactors: list[Any] = []

    async def command(reactor: Any) -> int:
        reactors.append(reactor)
        return 7

    monkeypatch.setattr(running, "react", reactor_that_ends(code, plays))
    assert running.run(command) == status
    assert reactors == ["the reactor"] * plays
