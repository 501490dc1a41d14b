"""Other settings while the server runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve, fields

from gortc import Route, Settings, Times, Use
from gortc.admission import Limits, Rate
from gortc.oam.config import SIMPLE
from gortc.oam.log import observer
from gortc.reconfigure import LIVE, NotApplied, differences, reconfigure
from gortc.server import Server
from gortc.tap import read_config
from tests.oam.desk import Desk, Phone

OTHER: dict[str, Any] = {
    "api_answer_max": 5000, "api_log_of_one": Rate(1, 2), "api_connections": 5, "api_request_seconds": 4.0,
    "api_seconds": 3.0, "api_write_seconds": 6.0, "apis": {"conference.v1": {"a": 1}}, "closes_per_second": 7,
    "asking_seconds": 7.0,
    "dial": True, "drop_log_per_second": 3, "frame_max": 1000, "garbage_max": 2, "garbage_seconds": 2.0,
    "handshake_max": 1000,
    "handshake_seconds": 2.0, "hops_max": 2, "lag_high": 1.0, "lag_low": 0.2, "limits": Limits(dialogues=2),
    "load_high": 0.9, "load_low": 0.5, "log_level": "debug", "nodes": ("b.example",), "origins": ("https://a.example",),
    "own_from": False, "proxies": ("10.0.0.0/8",), "proxy_header": "Forwarded", "requests_max": 3, "retry_after": 9,
    "drop_log_of_one": Rate(2, 3), "log_bytes_per_second": 1024, "log_line_max": 2048, "log_per_second": 3,
    "log_value_max": 100,
    "routes": {"b.example": Route("ws://127.0.0.1:1/rtc")}, "select_by_host": True, "services": {"echo": {"a": 1}},
    "trace": True, "trusted_nodes": ("b.example",), "unread_max": 5, "unsent_max": 9999, "waiting_max": 4,
}  # fmt: skip
"""Another value for each setting that can change."""

SEEN: dict[str, Callable[[Server], Any]] = {
    "api_answer_max": lambda server: site(server).settings().api_answer_max,
    "api_connections": lambda server: site(server).settings().api_connections,
    "api_log_of_one": lambda server: server.management.known._settings().api_log_of_one,
    "api_request_seconds": lambda server: site(server).settings().api_request_seconds,
    "api_write_seconds": lambda server: site(server).settings().api_write_seconds,
    "api_seconds": lambda server: server.management.apis._node.settings.api_seconds,
    "asking_seconds": lambda server: server._factory.asking_seconds,
    "apis": lambda server: {"conference.v1": server.management.apis.loaded["conference.v1"].context.config},
    "closes_per_second": lambda server: server.drain._node.settings.closes_per_second,
    "dial": lambda server: server._outbound.settings.dial,
    "drop_log_of_one": lambda server: server.node.drops._budget.each,
    "drop_log_per_second": lambda server: server.node.drops._budget.rate.per_second,
    "frame_max": lambda server: server._factory.maxFramePayloadSize and server._factory.reading.frame_max,
    "garbage_max": lambda server: server.node.channels.garbage_max,
    "garbage_seconds": lambda server: server.node.channels.garbage_seconds,
    "handshake_max": lambda server: server._factory.handshake_max,
    "handshake_seconds": lambda server: server._factory.openHandshakeTimeout,
    "hops_max": lambda server: server._outbound.settings.hops_max,
    "lag_high": lambda server: server.overload.settings.lag_high,
    "lag_low": lambda server: server.overload.settings.lag_low,
    "limits": lambda server: Limits(dialogues=server.node.gate._dialogues_max),
    "load_high": lambda server: server.overload.settings.load_high,
    "load_low": lambda server: server.overload.settings.load_low,
    "log_bytes_per_second": lambda server: server.log and server.log._all.per_second,
    "log_level": lambda server: server._level.predicate.logLevelForNamespace("").name,
    "log_line_max": lambda server: server.log and server.log._sizes.event,
    "log_per_second": lambda server: server.log and server.log._lines.rate.per_second,
    "log_value_max": lambda server: server.log and server.log._sizes.value,
    "nodes": lambda server: tuple(server._factory.admission._nodes),
    "origins": lambda server: tuple(server._factory._origins),
    "own_from": lambda server: server._factory.admission._own_from,
    "proxies": lambda server: ("10.0.0.0/8",) if server._factory.admission.is_proxy("10.1.1.1") else (),
    "proxy_header": lambda server: server._factory.admission._proxies.header,
    "requests_max": lambda server: server.node.transactions.requests_max,
    "retry_after": lambda server: server.node.gate._retry_after,
    "routes": lambda server: server._outbound.settings.routes,
    "select_by_host": lambda server: server.node.dispatch.by_host,
    "services": lambda server: {"echo": server.node.services.loaded["echo"].config},
    "trace": lambda server: server.node.syntax.trace is not None,
    "trusted_nodes": lambda server: tuple(server._factory.admission._trusted),
    "unread_max": lambda server: server.node.services.loaded["echo"].unread_max,
    "unsent_max": lambda server: server.node.channels.unsent_max,
    "waiting_max": lambda server: server.node.channels.waiting_max,
}  # fmt: skip
"""Where it is seen that it has changed."""


def site(server: Server) -> Any:
    """Of its management."""
    return server.reactor.tcpServers[-1][1]


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    """A server with its plugins."""
    made = Desk(tmp_path, start=True)
    made.server.log = observer("info", "text", "-")
    yield made
    made.server.stopService()


def test_all_that_can_change_is_tried() -> None:
    assert set(OTHER) == LIVE == set(SEEN)
    assert {field.name for field in fields(Settings)} >= LIVE


@pytest.mark.parametrize("name", sorted(LIVE - {"trusted_nodes"}))
def test_it_changes_at_once_and_back(desk: Desk, name: str) -> None:
    server, old = desk.server, desk.server.settings
    assert SEEN[name](server) != OTHER[name]
    changes = reconfigure(server, evolve(old, **{name: OTHER[name]}))
    assert (changes.live, changes.restart) == ((name,), ())
    assert SEEN[name](server) == OTHER[name]
    assert server.settings == server.node.settings == evolve(old, **{name: OTHER[name]})
    reconfigure(server, old)
    assert SEEN[name](server) != OTHER[name]


def test_all_at_once(desk: Desk) -> None:
    changes = reconfigure(desk.server, evolve(desk.server.settings, **OTHER))
    assert set(changes.live) == LIVE
    assert {name: SEEN[name](desk.server) for name in LIVE} == OTHER


def test_what_needs_a_restart_is_told_and_stays(desk: Desk) -> None:
    old = desk.server.settings
    new = evolve(old, realm="other.example", path="/other", times=Times(drain=9.0, ping=3.0), retry_after=7)
    changes = reconfigure(desk.server, new)
    assert set(changes.live) == {"retry_after", "times.drain"}
    assert set(changes.restart) == {"realm", "path", "times"}
    assert desk.server.settings == evolve(old, retry_after=7, times=evolve(old.times, drain=9.0))
    assert differences(desk.server.settings, new).live == ()


def test_limits_change_and_who_has_none_gets_some(desk: Desk) -> None:
    server = desk.server
    methods = {"INVITE": None, "MESSAGE": Rate(1, 1)}
    limits = Limits(requests=None, handshakes=None, failures=None, logins=None, frames=None, methods=methods)
    reconfigure(server, evolve(server.settings, limits=limits))
    assert set(server.node.gate._methods) == {"MESSAGE"}
    assert server.node.gate._requests is None
    before = server.node.gate._methods["MESSAGE"]
    reconfigure(server, evolve(server.settings, limits=Limits()))
    assert server.node.gate._methods["MESSAGE"] is before
    assert [before.take("alice") for _ in range(200)] == [0.0] * 200
    assert before.take("alice") > 0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("services", {"nothing": {}}, "services: no service is named 'nothing'"),
        ("services", {"echo": {}, "hunt400": {"colour": 1}}, "hunt400: hunt400.py, line .*no such configuration"),
        ("services", {"sales": Use("nothing")}, "services: no service is named 'nothing'"),
        ("apis", {"x.v1": {}}, "apis: no API is named 'x.v1'"),
        ("routes", {"b.example": Route("wss://b.example/rtc", ca="/nothing")}, "routes: b.example: "),
    ],
)  # fmt: skip
def test_what_can_not_be_changes_nothing(desk: Desk, name: str, value: Any, why: str) -> None:
    server, old = desk.server, desk.server.settings
    contexts = dict(server.node.services.loaded)
    with pytest.raises(NotApplied, match=why):
        reconfigure(server, evolve(old, retry_after=9, **{name: value}))
    assert server.settings is old
    assert server.node.gate._retry_after == old.retry_after
    assert server.node.services.loaded == contexts


def test_services_that_change_while_they_are_called(desk: Desk) -> None:
    server, old = desk.server, desk.server.settings
    alice = Phone(desk, "alice@gortc.local")
    alice.call("one")
    reconfigure(server, evolve(old, services={"echo": None, "sales": Use("echo")}))
    assert "echo" not in server.node.services.loaded
    assert server.node.services.loaded["sales"].logic.name == "echo"
    assert [(context.name, len(context.tasks)) for context in server.node.services.retired] == [("echo", 1)]
    alice.call("two")
    assert alice.said[-1]["Code"] == 404
    reconfigure(server, old)
    assert "sales" not in server.node.services.loaded
    alice.call("three")
    assert alice.said[-1]["Code"] == 200


def test_what_an_operator_has_said_outlives_the_settings(desk: Desk) -> None:
    server = desk.server
    server.management.services.remove("echo")
    server.management.services.load("sales", "hunt400")
    reconfigure(server, evolve(server.settings, services={"echo": {"a": 1}, "sales": {"within": 3}}))
    assert "echo" not in server.node.services.loaded
    assert server.node.services.loaded["sales"].config["within"] == 3


TAC = """
from gortc import Times
from gortc.tap import configure, make_application
settings = configure({})
application = make_application(settings, __file__)
"""


def test_the_configuration_is_read_again(tmp_path: Path) -> None:
    tac = tmp_path / "some.tac"
    desk = Desk(tmp_path, start=True)
    server = desk.server
    with pytest.raises(NotApplied, match="there is no configuration to read again"):
        server.reload()
    assert desk.ask("/runtime/v1/reload", "POST")[0] == 409
    server._reread = lambda: read_config(str(tac))
    files = f"api={server.settings.api!r}, api_token_file={str(desk.file)!r}, state_file={server.settings.state_file!r}"
    tac.write_text(TAC.format(f"{files}, retry_after=5, realm='other.example'"))
    assert desk.ask("/runtime/v1/reload", "POST")[1] == {
        "code": 0, "msg": "OK", "changed": ["retry_after"], "restart": ["realm"],
    }  # fmt: skip
    for broken, why in {
        "retry_after=0": "retry_after: must be more than 0",
        "nothing=0": "settings: .*nothing",
        "1/0": "line 4: ZeroDivisionError",
        "(": "line 4: ",
        "services={'no': {}}": "services: no service is named 'no'",
    }.items():
        tac.write_text(TAC.format(f"{files}, {broken}" if "/" not in broken else broken))
        with pytest.raises(NotApplied, match=why):
            server.reload()
        server.hang_up_signal()  # raises nothing
        status, answer = desk.ask("/runtime/v1/reload", "POST")
        assert (status, answer["code"]) == (409, 9)
    assert server.settings.retry_after == 5
    server.stopService()


def test_settings_over_the_api(desk: Desk) -> None:
    assert desk.ask("/runtime/v1/settings?log_level=debug&retry_after=4&trace=true", "PUT")[1]["changed"] == [
        "log_level", "trace", "retry_after",
    ]  # fmt: skip
    assert desk.ask('/runtime/v1/settings?origins=["https://a.example"]', "PUT")[0] == 200
    assert desk.server.settings.origins == ("https://a.example",)
    for query in ("retry_after=0", "retry_after=x", "realm=x", "services={}", "log_level=loud", "nothing=1"):
        status, answer = desk.ask(f"/runtime/v1/settings?{query}", "PUT")
        assert (status, answer["code"]) == (400, 8), query
    assert desk.server.settings.retry_after == 4


@pytest.mark.parametrize(
    "text",
    [
        "Infinity", "-Infinity", "NaN", "1e999", "1e308", "1" + "0" * 400, "-1", "5e-324", "null", "{}", "[[]]", "[{}]",
        '{"a": 1}', '"\\ud83d"', '["\\ud83d"]', "[" * 900 + "]" * 900, "[" * 5000, "[5]", "[true]", "[1e999]", '[""]',
        '[["10.0.0.0", 8]]', '"\\u0000"', '["http://["]',
    ],
)  # fmt: skip
def test_odd_values_over_the_api(desk: Desk, text: str) -> None:
    """Each is taken whole, or is told to be none; the settings can be told afterwards."""
    for name in SIMPLE:
        before = desk.server.settings
        status, answer = desk.ask(f"/runtime/v1/settings?{name}={quote(text, safe='[]')}", "PUT")
        assert status in (200, 400), (name, answer)
        if status == 400:
            assert answer["msg"].partition(":")[0] in SIMPLE  # maybe the other one of a pair
            assert desk.server.settings is before
    assert desk.ask("/runtime/v1/settings")[0] == 200
    assert desk.server.settings == desk.server.node.settings


def test_operations_names_what_can_change() -> None:
    """All of it, and nothing else."""
    text = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    sentence = text.partition("No restart is needed for ")[2].partition("Limits hold")[0]
    assert set(re.findall(r"`([a-z_.]+)`", sentence)) == LIVE | {"times.drain"}
