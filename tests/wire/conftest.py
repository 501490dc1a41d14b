"""Two server processes for all tests here: one node with the default times, and many nodes with one short time each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire.kit import PUPPET, Node, Process, Wire, ended_well, plugin_folder, wired

REALM = "gortc.test"

CONFIG = f"""
from gortc.tap import configure, make_application
settings = configure(
    realm="{REALM}", domains=("second.test",), rtc=("tcp:0:interface=127.0.0.1",), log_format="json",
    origins=("https://app.example.com",), handshake_seconds=30, load_high=9.0, lag_high=1e9,
    services={{"hunt400": {{"agents": {{
        "400@{REALM}": ["agent1@{REALM}", "agent2@{REALM}", "agent3@{REALM}"],
        "401@{REALM}": ["nobody@{REALM}", "nobody2@{REALM}"]}}, "within": 0.5}},
        "default": {{"numbers": {{"40?@{REALM}": "hunt400"}}}}}},
)
application = make_application(settings)
"""

SHORT = {
    "transaction": {"transaction": 0.3},
    "provisional": {"provisional": 0.3},
    "invite": {"invite": 0.3},
    "invitemax": {"invite_max": 0.3},
    "cancel": {"cancel": 0.3},
    "gaveup": {"invite": 0.3, "cancel": 0.3},
    "ack": {"ack": 0.3},
    "errorack": {"error_ack": 0.3},
    "refresh": {"session_min": 1, "session": 1},
    "unrefreshed": {"session_min": 1, "session": 1, "transaction": 0.2},
    "expired": {"session_min": 1, "session_margin": 0.1},
    "most": {"session_min": 1, "session_max": 1, "session_margin": 0.1},
    "dead": {"ping": 0.3, "dead": 2.0},
    "handshake": {},
}

MANY = f"""
from twisted.application.service import Application
from twisted.logger import ILogObserver
from gortc.oam.log import observer
from gortc import Times
from gortc.tap import configure, make_service
application = Application("nodes")
application.setComponent(ILogObserver, observer("info", "json", "-"))
for name, times in {SHORT!r}.items():
    settings = configure(api="", realm=f"{{name}}.test", rtc=("tcp:0:interface=127.0.0.1",), times=Times(**times),
                         handshake_seconds=1.5 if name == "handshake" else 30.0, load_high=9.0, lag_high=1e9)
    make_service(settings).setServiceParent(application)
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with the default times, run as `twistd gortc --config`."""
    folder = plugin_folder(tmp_path_factory.mktemp("server"), puppet=PUPPET)
    (folder / "some.tac").write_text(CONFIG)
    process = Process(folder, "gortc", "--config", "some.tac")
    try:
        yield Node(process, process.ports()[0], REALM)
    finally:
        ended_well(process)


@pytest.fixture(scope="session")
def quick_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """Nodes with short times, by what is short; run as `twistd -ny`."""
    folder = plugin_folder(tmp_path_factory.mktemp("servers"), puppet=PUPPET)
    (folder / "many.tac").write_text(MANY)
    process = Process(folder, "-y", "many.tac")
    try:
        ports = process.ports(len(SHORT))
        yield {name: Node(process, port, f"{name}.test") for name, port in zip(SHORT, ports, strict=True)}
    finally:
        ended_well(process)


@pytest.fixture
def wire(server: Node) -> Iterator[Wire]:
    """Peers and puppets on the node with the default times."""
    with wired(server) as made:
        yield made


@pytest.fixture
def quick(quick_servers: dict[str, Node], request: pytest.FixtureRequest) -> Iterator[Wire]:
    """The same on the node where the time is short that the test's marker `parametrize(quick, indirect)` names."""
    with wired(quick_servers[request.param]) as made:
        yield made
