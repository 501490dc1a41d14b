"""README.md lists every flow, and no other."""

from __future__ import annotations

import re

import pytest

from tests.flows.kit import FOLDER, flow, names

LISTED = re.findall(r"`([a-z0-9]+/[a-z0-9-]+\.yaml)`", (FOLDER / "README.md").read_text())


def test_every_flow_is_listed() -> None:
    assert sorted(set(LISTED)) == names()


@pytest.mark.parametrize("name", names())
def test_a_flow_says_what_it_is(name: str) -> None:
    scenario = flow(name)
    assert scenario.title != name
    assert scenario.source
