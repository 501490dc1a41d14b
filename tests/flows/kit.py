"""The flows of this folder, and what a server needs to play them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gortc.client.scenario import Scenario, read
from gortc.jsip.times import Times
from gortc.node import Node
from gortc.service.interfaces import IServiceLogic
from gortc.settings import Settings
from slp_plugins.conference import conference
from slp_plugins.default import default
from slp_plugins.echo import echo
from slp_plugins.hunt400 import hunt400
from tests.flows import services

FOLDER = Path(__file__).parent

SERVICES: Mapping[str, IServiceLogic] = {
    service.name: service for service in (default, hunt400, conference, echo, *services.ALL)
}
"""What is loaded for every flow, by name."""


def names() -> list[str]:
    """Every flow's file, as this folder calls it."""
    return sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.yaml"))


def flow(name: str) -> Scenario:
    """The flow in a file: one flow a file."""
    (scenario,) = read(FOLDER / name)
    return scenario


def settings_of(scenario: Scenario) -> dict[str, Any]:
    """The settings that a flow asks for, but its services; `times` is an object in its file."""
    settings = dict(scenario.settings)
    if "times" in settings:
        settings["times"] = Times(**settings["times"])
    return settings


def server_settings(scenario: Scenario, **more: Any) -> Settings:
    """The settings of a server for it."""
    return Settings(services=scenario.services, **settings_of(scenario), **more)


def check_node(node: Node, scenario: Scenario) -> None:
    """No service has failed, and the stack has dropped what the flow says (its variable `dropped`), nothing else."""
    failed = [context.name for context in node.services if context.failures]
    assert not failed, failed
    assert dict(node.journal.counts) == scenario.variables.get("dropped", {})
