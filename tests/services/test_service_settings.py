"""Which services are found, and under which names and configurations they are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.logger import capturedLogs, formatEvent

from gortc import Use
from gortc.service.registry import ServiceError, discover, plan
from gortc.testing import Lab
from slp_plugins.default import default
from slp_plugins.echo import echo
from slp_plugins.hunt400 import hunt400

FOUND: dict[str, Any] = {"default": default, "echo": echo, "hunt400": hunt400}


def names(wanted: dict[str, Any]) -> dict[str, Any]:
    """Name -> (plugin, configuration) as they would be loaded."""
    return {name: (logic.name, config) for name, logic, config in plan(FOUND, wanted)}


def test_each_under_its_own_name() -> None:
    assert names({}) == {"default": ("default", {}), "echo": ("echo", {}), "hunt400": ("hunt400", {})}


def test_dict_use_and_none() -> None:
    assert names(
        {"default": {"numbers": {}}, "echo": None, "sales": Use("hunt400", {"within": 5}), "x": Use("echo")}
    ) == {
        "default": ("default", {"numbers": {}}),
        "hunt400": ("hunt400", {}),
        "sales": ("hunt400", {"within": 5}),
        "x": ("echo", {}),
    }


def test_another_plugin_as_default() -> None:
    assert names({"default": Use("hunt400")})["default"] == ("hunt400", {})


@pytest.mark.parametrize("wanted", [{"sales": {}}, {"sales": None}, {"x": Use("sales")}])
def test_plugin_that_was_not_found(wanted: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match=r"'sales'.*default, echo, hunt400"):
        plan(FOUND, wanted)


def test_one_plugin_under_two_names() -> None:
    config: Any = {"sales": Use("hunt400", {"agents": {"500@gortc.local": ["bob@gortc.local"]}})}
    lab = Lab(default, hunt400, config=config)
    alice, bob = lab.users("alice", "bob")
    call = alice.call("500", Router="gortc.local;type=sales")
    leg = bob.answering()
    leg.reply(486)
    leg.expect("ACK")
    call.expect(480)
    call.ack()
    lab.check_empty()


def test_shipped_services_are_found() -> None:
    assert {"default", "hunt400", "conference", "echo"} <= set(discover())


def test_services_of_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import slp_plugins

    monkeypatch.setattr(slp_plugins, "__path__", list(slp_plugins.__path__))
    folder = tmp_path / "slp_plugins"
    folder.mkdir()
    (folder / "local_greeter.py").write_text(
        "from gortc import service\n\n\n@service('greeter')\nasync def greeter(call):\n    call.caller.reject(486)\n"
    )
    (folder / "broken.py").write_text("import nothing_of_that_name\n")
    monkeypatch.chdir(tmp_path)
    found = discover()
    assert "greeter" in found
    assert "echo" in found


def test_second_plugin_of_a_name_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import slp_plugins

    monkeypatch.setattr(slp_plugins, "__path__", list(slp_plugins.__path__))
    folder = tmp_path / "slp_plugins"
    folder.mkdir()
    (folder / "local_echo.py").write_text(
        "from gortc import service\n\n\n@service('echo')\nasync def mine(call):\n    call.caller.reject(486)\n"
    )
    monkeypatch.chdir(tmp_path)
    with capturedLogs() as logged:
        found = discover()
    warnings = [formatEvent(event) for event in logged if event.get("name") == "echo"]
    assert len(warnings) == 1
    assert "a second plugin of that name" in str(warnings[0])
    used = found["echo"].__module__
    other = {"slp_plugins.echo", "slp_plugins.local_echo"} - {used}
    assert other.pop() in str(warnings[0])  # which one was left out
