"""The settings of limits: what can't be is said at the start."""

from __future__ import annotations

from typing import Any

import pytest

from gortc.admission import Limits, Rate


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"per_second": 0, "burst": 1}, "per_second must be more than 0, not 0"),
        ({"per_second": float("inf"), "burst": 1}, "per_second must be more than 0"),
        ({"per_second": float("nan"), "burst": 1}, "per_second must be more than 0"),
        ({"per_second": True, "burst": 1}, "per_second must be more than 0, not True"),
        ({"per_second": "5", "burst": 1}, "per_second must be more than 0, not '5'"),
        ({"per_second": 1, "burst": 0}, "burst must be an integer from 1, not 0"),
        ({"per_second": 1, "burst": 1.5}, "burst must be an integer from 1, not 1.5"),
    ],
)
def test_bad_rates(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Rate(**bad)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"connections": 0}, "connections must be an integer from 1, not 0"),
        ({"dialogues": True}, "dialogues must be an integer from 1, not True"),
        ({"frames": 200}, "frames must be a Rate or None, not 200"),
        ({"methods": [("INVITE", None)]}, "methods must be a dict: method -> Rate"),
        ({"methods": {"INVITE": 5}}, "methods must be a Rate or None, not 5"),
        ({"methods": {"BYE": Rate(1, 1)}}, "methods: 'BYE' is no method that can be limited"),
        ({"methods": {"Invite": Rate(1, 1)}}, "methods: 'Invite' is no method that can be limited"),
    ],
)
def test_bad_limits(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Limits(**bad)


def test_no_limit() -> None:
    assert Limits(frames=None, methods={"INVITE": None}).methods == {"INVITE": None}
