"""What systemd is told, and the files in etc/ that run a server."""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from gortc.oam.systemd import Systemd, watchdog
from gortc.settings import Settings
from gortc.tap import Options

ETC = Path(__file__).parents[2] / "etc"


class Manager:
    """systemd's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.setblocking(False)

    def heard(self) -> list[list[str]]:
        """What has been said since the last time."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode().split("\n"))
            except BlockingIOError:
                return messages

    def close(self) -> None:
        """It goes."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """One."""
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@gortc-test-{os.getpid()}")
    yield made
    made.close()


def test_a_life(manager: Manager) -> None:
    clock = Clock()
    systemd = Systemd(clock, {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "30000000"})
    assert manager.heard() == []
    systemd.ready("on ws://127.0.0.1:1/rtc")
    assert manager.heard() == [["READY=1", "STATUS=on ws://127.0.0.1:1/rtc"], ["WATCHDOG=1"]]
    clock.advance(14.9)
    assert manager.heard() == []
    clock.advance(0.2)
    assert manager.heard() == [["WATCHDOG=1"]]
    systemd.reloading()
    [[first, second]] = manager.heard()
    assert first == "RELOADING=1"
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", second)
    systemd.ready("again")
    assert manager.heard() == [["READY=1", "STATUS=again"]]
    systemd.stopping("draining")
    assert manager.heard() == [["STOPPING=1", "STATUS=draining"]]
    systemd.gone()
    assert clock.getDelayedCalls() == []


def test_without_systemd() -> None:
    clock = Clock()
    systemd = Systemd(clock, {"WATCHDOG_USEC": "30000000"})
    systemd.ready("")
    systemd.stopping("")
    systemd.gone()
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody", "/" + "x" * 200, "vsock:2:1"])
def test_nobody_is_there(address: str) -> None:
    """The log has a line, and nothing is raised."""
    with capturedLogs() as logged:
        Systemd(Clock(), {"NOTIFY_SOCKET": address}).ready("")
    [line] = map(formatEvent, logged)
    assert line.startswith("systemd can't be told READY=1: ")


def test_it_has_gone(manager: Manager) -> None:
    """The server lives on."""
    clock = Clock()
    systemd = Systemd(clock, {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "30000000"})
    systemd.ready("")
    manager.close()
    clock.advance(15)
    assert len(clock.getDelayedCalls()) == 1


def test_what_is_no_text(manager: Manager) -> None:
    """A file's name may be any bytes."""
    Systemd(Clock(), {"NOTIFY_SOCKET": manager.name}).ready("unix:/\udcff")
    assert manager.heard() == [["READY=1", "STATUS=unix:/?"]]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0), ({"WATCHDOG_USEC": "1500000"}, 1.5), ({"WATCHDOG_USEC": "x"}, 0.0), ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({"WATCHDOG_USEC": ""}, 0.0), ({"WATCHDOG_USEC": "0"}, 0.0), ({"WATCHDOG_USEC": "9" * 400}, 0.0),
        ({"WATCHDOG_USEC": "9" * 5000}, 0.0), ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "x"}, 0.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
    ],
)  # fmt: skip
def test_the_watchdog(environ: dict[str, str], seconds: float) -> None:
    assert watchdog(environ) == seconds


def test_the_unit() -> None:
    """It starts what there is, and gives it time to drain."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ETC / "gortc.service")
    service = unit["Service"]
    words = shlex.split(service["ExecStart"])
    options = words[words.index("gortc") + 1 :]
    assert options[:1] == ["--config"]
    Options().parseOptions(["--config", str(ETC / "gortc.tac"), *options[2:]])
    assert float(service["TimeoutStopSec"]) > Settings().times.drain
    assert service["ExecReload"].split()[1] == "-HUP"
    assert service["Type"] == "notify"


def test_logrotate_and_docker_name_the_signals_of_the_docs() -> None:
    text = (ETC.parent / "docs" / "operations.md").read_text()
    for path, pattern in {"logrotate": r"--signal=(\w+)", "Dockerfile": r"STOPSIGNAL (\w+)"}.items():
        match = re.search(pattern, (ETC / path).read_text())
        assert match is not None
        assert f"| {match[1]} |" in text
