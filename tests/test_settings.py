"""The settings: what can't be is refused with one line, and docs/operations.md and etc/gortc.tac have them all."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields
from attrs.exceptions import FrozenInstanceError
from twisted.python import usage

from gortc import Route, Settings, Times, Use
from gortc.admission import Limits, Rate
from gortc.settings import SettingsError, is_loopback, listening_host
from gortc.tap import Options, configure, read_config

ROOT = Path(__file__).parent.parent
TAC = ROOT / "etc" / "gortc.tac"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()

# the documentation


def documented(heading: str) -> dict[str, Any]:
    """Name -> default, from the table under `heading`."""
    table = OPERATIONS.split(heading, 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| \S.* \|$", table, re.MULTILINE)
    return {name: value(text) for name, text in rows}


def value(text: str) -> Any:
    """What a default says: a literal, or one of our objects with literals."""
    tree = ast.parse(text, mode="eval").body
    if not isinstance(tree, ast.Call):
        return ast.literal_eval(text)
    assert isinstance(tree.func, ast.Name)
    return {"Times": Times, "Limits": Limits, "Rate": Rate}[tree.func.id](*map(ast.literal_eval, tree.args))


def defaults(made_by: type) -> dict[str, Any]:
    """Name -> default of every attribute."""
    return {attribute.name: attribute.default for attribute in fields(made_by)}


def test_every_setting_is_in_operations_with_its_default() -> None:
    assert documented("### Settings") == defaults(Settings)


def test_every_time_is_in_operations_with_its_default() -> None:
    assert documented("### Times") == defaults(Times)


def test_every_limit_is_in_operations_with_its_default() -> None:
    found = documented("### Limits")
    limits = defaults(Limits)
    rates = limits.pop("methods")
    table = OPERATIONS.split("### Limits", 1)[1].split("\n## ", 1)[0]
    assert {
        method: value(text) for method, text in re.findall(r"^\| (\w+) \| `(Rate\([^`]+)` \|$", table, re.M)
    } == rates
    assert found == limits


def test_every_option_is_in_operations() -> None:
    options = Options()
    names = [*(row[0] for row in options.optParameters), *(row[0] for row in options.optFlags), "rtc"]
    assert [name for name in names if f"`--{name}" not in OPERATIONS] == []


# the tac


def test_tac_has_every_setting_with_its_default() -> None:
    calls = {
        node.func.id: [keyword.arg for keyword in node.keywords]
        for node in ast.walk(ast.parse(TAC.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.keywords
    }
    assert calls["configure"] == list(defaults(Settings))
    assert calls["Times"] == list(defaults(Times))
    assert calls["Limits"] == list(defaults(Limits))
    assert read_config(str(TAC)) == Settings()


@pytest.mark.parametrize("way", [["-ny"], ["-n", "gortc", "--config"]])
def test_tac_starts_a_server_both_ways(way: list[str], tmp_path: Path) -> None:
    tac = tmp_path / "gortc.tac"
    tac.write_text(TAC.read_text().replace("tcp:8080:", "tcp:0:").replace("tcp:2539:", "tcp:0:"))
    twistd = [str(Path(sys.executable).with_name("twistd")), "--pidfile="]
    if way[0] == "-n":
        twistd, way = [*twistd, "-n"], way[1:]
    server = subprocess.Popen([*twistd, *way, str(tac)], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert server.stdout is not None
    try:
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "listening on ws://127.0.0.1:" in line:
                break
    finally:
        os.kill(server.pid, signal.SIGTERM)
        lines += server.communicate(timeout=20)[0].splitlines(keepends=True)
    text = "".join(lines)
    assert server.returncode == -signal.SIGTERM, text  # how twistd ends, once all is closed
    assert "services: conference, default, echo, hunt400" in text
    assert "/rtc?userid=USERID" in text


# what can't be


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("realm", ""), ("realm", "a b"), ("realm", "user@host"), ("realm", "host:5060"), ("realm", 5),
        ("domains", "example.com"), ("domains", ("ok.example.com", "a,b")),
        ("rtc", ()), ("rtc", "tcp:8080"), ("rtc", ("tcp",)), ("rtc", ("tcp:x",)), ("rtc", ("tcp:70000",)),
        ("rtc", ("carrier-pigeon:1",)), ("rtc", (5,)),
        ("path", "rtc"), ("path", None), ("origins", "https://example.com"), ("origins", (1,)),
        ("auth", ""), ("auth", {}), ("auth", {"none": {}}),
        ("auth", {"jwt": None}), ("auth", 1), ("nodes", "b.example"), ("nodes", ("B.example",)), ("nodes", ("a b",)),
        ("trusted_nodes", ("b.example",)), ("own_from", 1), ("proxies", "10.0.0.0/8"), ("proxies", ("10.0.0.1/8",)),
        ("limits", {}), ("load_low", 0.99), ("lag_low", 1.0), ("retry_after", 0),
        ("services", []), ("services", {"echo": 5}), ("select_by_host", 1),
        ("log_level", "loud"), ("log_format", "xml"), ("log_file", ""), ("log_file", None), ("trace", "yes"),
        ("frame_max", 10**400), ("trace_bytes", 10**400), ("log_bytes_per_second", 10**400), ("lag_high", float("inf")),
        ("load_high", float("nan")), ("api_seconds", 1e300), ("proxies", (5,)), ("nodes", ("\ud83d",)),
        ("origins", ("\ud83d",)), ("frame_max", 0), ("handshake_seconds", -1), ("garbage_max", "20"),
        ("garbage_seconds", True),
        ("drop_log_per_second", None), ("times", 5), ("times", Times(session_min=20, session_max=10)),
    ],
)  # fmt: skip
def test_bad_value_is_one_line_that_names_the_setting(name: str, value: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    text = str(caught.value)
    assert text.startswith(f"{name}: ")
    assert "\n" not in text
    with pytest.raises(SystemExit, match=f"^gortc: {name}: "):
        configure(**{name: value})


def test_unknown_setting() -> None:
    with pytest.raises(SystemExit, match=r"^gortc: settings: .*relam"):
        configure(relam="gortc.local")


@pytest.mark.parametrize("attribute", fields(Times), ids=lambda attribute: str(attribute.name))
def test_bad_time(attribute: Any) -> None:
    bad: tuple[Any, ...] = (-1, "5")
    for value in bad:
        with pytest.raises((ValueError, TypeError)):
            Times(**{attribute.name: value})


@pytest.mark.parametrize("attribute", fields(Times), ids=lambda attribute: str(attribute.name))
def test_bad_time_in_a_tac_is_one_line_that_names_it(attribute: Any, tmp_path: Path) -> None:
    tac = tmp_path / "gortc.tac"
    tac.write_text(f"from gortc import Times\n\ntimes = Times({attribute.name}=-1)\n")
    with pytest.raises(usage.UsageError, match=f"line 3.*{attribute.name}") as caught:
        read_config(str(tac))
    assert "\n" not in str(caught.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().realm = "example.org"  # type: ignore[misc]
    assert evolve(Settings(), realm="example.org").realm == "example.org"


def test_services() -> None:
    wanted = {"hunt400": {"within": 5}, "sales": Use("hunt400"), "echo": None}
    assert Settings(services=wanted).services == wanted


def test_own_domains() -> None:
    assert Settings(realm="Example.ORG", domains=("b.example",)).own_domains == {"example.org", "b.example"}
    assert Settings(realm="b\u00fccher.Example", domains=("[2001:DB8:0::1]",)).own_domains == {
        "xn--bcher-kva.example",
        "[2001:db8::1]",
    }


@pytest.mark.proves("C-93")
@pytest.mark.parametrize(
    ("settings", "spelled"),
    [
        ({"nodes": ("sip:b.example",)}, "b.example"),
        ({"nodes": ("b.EXAMPLE",)}, "b.example"),
        ({"trusted_nodes": ("b\u00fccher.example",)}, "xn--bcher-kva.example"),
        ({"routes": {"B.example": Route("ws://x/rtc")}}, "b.example"),
        ({"routes": {"b\u00fccher.example": Route("ws://x/rtc")}}, "xn--bcher-kva.example"),
    ],
)
def test_a_name_to_look_up_has_its_one_spelling(settings: Any, spelled: str) -> None:
    with pytest.raises(SettingsError, match=f"must be written {spelled}$"):
        Settings(**settings)


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"realm": "a.example"}, "a.example"),
        ({"domains": ("c.example", "A.Example")}, "a.example"),
        ({"domains": ("b\u00fccher.example",)}, "xn--bcher-kva.example"),
    ],
)
def test_no_route_leads_to_our_own_domains(settings: Any, host: str) -> None:
    """Whoever is there would speak for our users."""
    routes = {"b.example": Route("ws://x/rtc"), host: Route("ws://x/rtc")}
    with pytest.raises(SettingsError, match=f"^routes: '{host}' is a domain of our own$"):
        Settings(routes=routes, **settings)


@pytest.mark.proves("C-92")
@pytest.mark.parametrize("host", ["gortc\u3002com", "\u212aelvin.example", "M\u00dcNCHEN.example", "snow\u2603man.com"])
def test_no_domain_of_ours_beyond_idna(host: str) -> None:
    for settings in (
        {"realm": host},
        {"domains": (host,)},
        {"nodes": (host,)},
        {"routes": {host: Route("ws://x/rtc")}},
    ):
        with pytest.raises(SettingsError):
            Settings(**settings)


# where to listen


@pytest.mark.parametrize(
    ("endpoint", "host", "loopback"),
    [
        ("tcp:8080", "", False),
        ("tcp:8080:interface=127.0.0.1", "127.0.0.1", True),
        ("tcp:8080:interface=127.9.9.9", "127.9.9.9", True),
        ("tcp:port=8080:interface=localhost", "localhost", True),
        (r"tcp6:8080:interface=\:\:1", "::1", True),
        ("tcp:8080:interface=10.0.0.1", "10.0.0.1", False),
        ("tcp:8080:interface=0.0.0.0", "0.0.0.0", False),
        ("unix:/run/gortc.sock", "/run/gortc.sock", True),
    ],
)
def test_peers_that_nobody_asks_come_from_this_machine(endpoint: str, host: str, loopback: bool) -> None:
    assert listening_host(endpoint) == host
    assert is_loopback(host) == loopback
    if loopback:
        assert Settings(rtc=(endpoint,)).rtc == (endpoint,)
    else:
        with pytest.raises(SettingsError, match=r"^rtc: .*--auth none"):
            Settings(rtc=(endpoint,))
    assert Settings(rtc=(endpoint,), auth="none").auth == "none"
