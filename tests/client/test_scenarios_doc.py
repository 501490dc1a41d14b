"""docs/scenarios.md does what it says: each scenario in it is played, each message that it shows is given."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gortc.client.play import said
from gortc.client.scenario import Scenario, ScenarioError, parse
from gortc.testing import lab_for
from slp_plugins.default import default
from slp_plugins.echo import echo

PAGE = (Path(__file__).parents[2] / "docs/scenarios.md").read_text()
BLOCKS = re.findall(r"^```(yaml|json|text)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SCENARIOS = [(kind, text) for kind, text in BLOCKS if kind != "text"]
HELLO = SCENARIOS[0][1]
FAILURE, MISTAKE = (text for kind, text in BLOCKS if kind == "text")
WRONG = next(text for _, text in SCENARIOS if "bob MESSAGE" in text and "bob]" not in text)


def played(scenario: Scenario) -> str:
    """What the command says of it."""
    lab = lab_for(scenario, {"default": default, "echo": echo})
    outcome = lab.perform(scenario)
    if outcome.wrong is None:
        lab.check_empty()
    return said("hello.yaml", outcome, ladder=False)


@pytest.mark.parametrize(("kind", "text"), [block for block in SCENARIOS if block[1] != WRONG])
def test_a_scenario_of_the_page(kind: str, text: str) -> None:
    (scenario,) = parse(text, "page", json=kind == "json")
    assert played(scenario).startswith("ok ")


def test_the_failure_of_the_page() -> None:
    (scenario,) = parse(HELLO.replace("bob 200", "bob 603"), "hello.yaml")
    shown = re.sub(r'"DialogueID":"[^"]+"', '"DialogueID":"d1"', played(scenario))
    assert shown.splitlines() == FAILURE.splitlines()


def test_the_mistake_of_the_page() -> None:
    with pytest.raises(ScenarioError) as mistake:
        parse(WRONG, "mistake.yaml")
    assert f"{mistake.value}\n" == MISTAKE
