"""Every flow of this folder in memory, in virtual time."""

from __future__ import annotations

import pytest

from gortc.testing import Lab
from tests.flows.kit import SERVICES, check_node, flow, names, settings_of


@pytest.mark.parametrize("name", names())
def test_flow(name: str) -> None:
    scenario = flow(name)
    lab = Lab(*SERVICES.values(), config=scenario.services, **settings_of(scenario))
    lab.run(scenario)
    lab.check_empty()
    check_node(lab.node, scenario)
