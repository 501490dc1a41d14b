"""A server's start: where it listens, and what stops it."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.application.service import Application, IService
from twisted.internet import reactor
from twisted.logger import ILogObserver

from gortc.server import Server
from gortc.settings import Settings


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """What a start does to Python's collector is a server's, not the tests'."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest_twisted.ensureDeferred
async def test_urls(tmp_path: Path) -> None:
    path = tmp_path / "rtc.sock"
    endpoints = ("tcp:0:interface=127.0.0.1", "tcp:0:interface=\\:\\:1", f"unix:{path}")
    server = Server(Settings(rtc=endpoints, path="/calls", api=""), reactor)
    server.privilegedStartService()
    four, six, unix = server.urls()
    ports = [getattr(port.getHost(), "port", None) for port in server.ports[:2]]
    assert four == f"ws://127.0.0.1:{ports[0]}/calls?userid=USERID"
    assert six == f"ws://[::1]:{ports[1]}/calls?userid=USERID"
    assert unix.startswith(f"ws+unix:{path}/")
    await server.stopService()
    assert not path.exists()


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
@pytest.mark.parametrize(
    ("more", "mode"), [("", 0o600), (":mode=660", 0o660), (":666", 0o666), (":backlog=5", 0o600), (":600:5", 0o600)]
)
@pytest_twisted.ensureDeferred
async def test_who_may_connect_to_a_socket(tmp_path: Path, umask: int, more: str, mode: int) -> None:
    """Its string says; where it does not, our own user alone. Both of peers and of operators, whatever the umask is."""
    rtc, api = tmp_path / "rtc", tmp_path / "api"
    files = {"api_token_file": str(tmp_path / "token"), "state_file": str(tmp_path / "state")}
    settings = Settings(rtc=(f"unix:{rtc}{more}",), api=f"unix:{api}{more}", **files)  # type: ignore[arg-type]
    server = Server(settings, reactor)
    seen = []
    bound = socket.socket.bind

    def bind(self: socket.socket, address: Any) -> None:
        bound(self, address)
        seen.append(os.stat(address).st_mode & 0o077)

    before = os.umask(umask)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "bind", bind)
            server.privilegedStartService()
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (rtc, api)] == [mode, mode]
    assert seen == [0, 0]  # nor was it anybody's in between
    await server.stopService()


@pytest_twisted.ensureDeferred
async def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(Settings(rtc=(f"tcp:{port}:interface=127.0.0.1",), api=""), reactor)
        with pytest.raises(SystemExit, match=f"can't listen on tcp:{port}:interface=127.0.0.1: .*in use"):
            server.privilegedStartService()
        await server.stopService()


@pytest_twisted.ensureDeferred
async def test_a_service_that_is_missing() -> None:
    server = Server(Settings(rtc=("tcp:0:interface=127.0.0.1",), api="", services={"nowhere": {}}), reactor)
    server.privilegedStartService()
    with pytest.raises(SystemExit, match="no plugin is named 'nowhere'"):
        server.startService()
    await server.stopService()


@pytest.mark.parametrize("log_file", [None, "-"])
def test_the_log_goes_along_to_the_application(log_file: str | None) -> None:
    application = Application("gortc")
    server = Server(Settings(api=""), reactor, log_file)
    server.setServiceParent(application)
    assert (application.getComponent(ILogObserver) is not None) == (log_file is not None)
    assert IService(application).getServiceNamed  # type: ignore[attr-defined]
