"""Where a peer comes from, by opening handshakes in memory: whatever a proxy says, there is an address to count by."""

from __future__ import annotations

from typing import Any

import pytest
import txaio.tx
from twisted.logger import capturedLogs

from gortc.admission import Limits, Rate, Refused
from gortc.admission.admission import SILENT_MAX
from gortc.admission.interfaces import Handshake
from tests.transport.kit import Hub, Wire, handshake

PROXY = "127.0.0.1"
SILENT = {
    "no header": {},
    "no address": {"X_Forwarded_For": "unknown"},
    "an empty part": {"X_Forwarded_For": "6.6.6.6, "},
    "half an address": {"X_Forwarded_For": "[2001:db8::1"},
    "another header": {"Forwarded": "for=6.6.6.6", "X_Real_IP": "6.6.6.6", "X_Forwarded_For ": "6.6.6.6"},
    "another line": {"X_A": "a\x85X-Forwarded-For: 6.6.6.6"},
    "a proxy's": {"X_Forwarded_For": "127.0.0.1, ::1, 127.0.0.1"},
}


class Porch:
    """A server with an authenticator to whom all are strangers, but who shows a token."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.asked: list[Handshake] = []
        self.hub = Hub({"desk": self.ask}, **{"auth": {"desk": {}}, **settings})
        monkeypatch.setattr(txaio.tx.config, "loop", self.hub.clock)

    def ask(self, handshake: Handshake) -> str:
        """Any token is good."""
        self.asked.append(handshake)
        if handshake.token is None:
            raise Refused(401, "no")
        return handshake.userid

    def knock(self, address: str = PROXY, token: str = "", **headers: str) -> int:
        """The status that a peer gets. Who is not let in goes."""
        wire = Wire(self.hub, address)
        query = f"&token={token}" if token else ""
        wire.send(handshake(f"/rtc?userid=alice@gortc.local{query}", **headers))
        code = int(wire.take_http().split()[1])
        if code != 101:
            wire.lose()
        return code


@pytest.fixture
def porch(monkeypatch: pytest.MonkeyPatch) -> Porch:
    """One that takes three failures."""
    return Porch(monkeypatch, limits=Limits(failures=Rate(0.001, 3), logins=None))


@pytest.mark.proves("C-71")
@pytest.mark.parametrize("headers", SILENT.values(), ids=list(SILENT))
def test_whom_a_proxy_does_not_speak_for(porch: Porch, headers: dict[str, str]) -> None:
    """They count as one, and nobody else with them."""
    assert [porch.knock(**headers) for _ in range(5)] == [401, 401, 401, 429, 429]
    assert porch.knock(token="good", **headers) == 429
    assert porch.knock(token="good", X_Forwarded_For="203.0.113.5") == 101
    assert porch.knock(address="203.0.113.6", token="good") == 101
    assert porch.asked[0].address == ""
    assert porch.asked[0].home == PROXY
    assert porch.hub.journal.counts["proxy does not say"] == 6


@pytest.mark.proves("C-71")
def test_a_unix_socket(porch: Porch) -> None:
    """Whoever is there is a proxy of ours; all for whom it does not speak count as one."""
    assert [porch.knock("") for _ in range(4)] == [401, 401, 401, 429]
    assert porch.knock("", "good", X_Forwarded_For="203.0.113.5") == 101
    assert porch.knock(PROXY, "good") == 101
    assert {(one.address, one.home) for one in porch.asked} == {
        ("", "unix"), ("", PROXY), ("203.0.113.5", "203.0.113.5"),
    }  # fmt: skip


@pytest.mark.proves("C-71")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "forwarded"])
def test_one_header_counts(monkeypatch: pytest.MonkeyPatch, header: str) -> None:
    """What a proxy does not write, it hands on from a stranger."""
    porch = Porch(monkeypatch, proxy_header=header)
    said = {"X-Forwarded-For": "203.0.113.5:80", "Forwarded": 'for="203.0.113.5:80"', "X-Real-IP": "203.0.113.5"}
    forged = {name: text.replace("203.0.113.5", "6.6.6.6") for name, text in said.items()}
    name = next(name for name in said if name.lower() == header.lower())
    for headers in ({**forged, name: said[name]}, {**forged, name: f"{forged[name]}, {said[name]}"}):
        assert porch.knock(token="good", **{name.replace("-", "_"): text for name, text in headers.items()}) == 101
        assert porch.asked[-1].address == porch.asked[-1].home == "203.0.113.5"


@pytest.mark.proves("C-71")
def test_connections_for_which_no_proxy_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is counted once, at the one address that it is known to be behind; while it has said nothing, at none."""
    porch = Porch(monkeypatch, limits=Limits(connections=2, logins=None))
    waiting = [Wire(porch.hub, PROXY) for _ in range(5)]
    assert [porch.knock(token="good") for _ in range(3)] == [101, 101, 429]
    assert porch.knock(token="good", X_Forwarded_For="203.0.113.5") == 101
    assert porch.knock(token="good", X_Forwarded_For="203.0.113.5, unknown") == 429
    for wire in [*waiting, *porch.hub.factory.connections]:
        getattr(wire, "lose", lambda: None)()
    for protocol in list(porch.hub.factory.connections):
        protocol.dropConnection(abort=True)
    porch.hub.clock.advance(0)
    assert not porch.hub.factory.connections
    assert [porch.knock(token="good") for _ in range(3)] == [101, 101, 429]


@pytest.mark.proves("D-20")
def test_requests_of_whom_no_proxy_speaks_for(porch: Porch) -> None:
    """A guest who is limited has an address to count by."""
    for address in (PROXY, ""):
        assert porch.knock(address, "good") == 101
        guest = porch.hub.channels.by_name["alice@gortc.local"].guest
        assert guest is not None
        assert (guest.limited, guest.address) == (True, address or "unix")


def test_the_log_names_a_proxy_once(porch: Porch) -> None:
    """And no more than some of them."""
    with capturedLogs() as logged:
        for number in range(SILENT_MAX + 10):
            for _ in range(3):
                porch.knock(f"127.0.0.{number + 1}", "good")
    lines = [event for event in logged if event["log_level"].name == "warn" and "proxies" in event["log_format"]]
    assert [event["proxy"] for event in lines] == [f"127.0.0.{number + 1}" for number in range(SILENT_MAX)]
    assert {event["header"] for event in lines} == {"X-Forwarded-For"}


def test_nothing_is_said_where_nothing_is_limited() -> None:
    hub = Hub()
    with capturedLogs() as logged:
        wire = Wire(hub, PROXY)
        wire.send(handshake("/rtc?userid=alice@gortc.local"))
    assert wire.take_http().startswith("HTTP/1.1 101 ")
    assert not [event for event in logged if event["log_level"].name == "warn"]
