"""A server that is changed while it runs, under load: services, settings, log files; by several operators at once."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.wire.api import CONFIG, REALM, Api, started
from tests.wire.kit import PATIENCE, Node, Peer, Process, ended_well, plugin_folder, twistd
from tests.wire.proxy import free_port

GREETER = """
from gortc import service

@service("greeter")
async def greeter(call):
    call.caller.ring()
    await call.caller.answer({greeting!r})
    await call.caller.closed()
"""
SCENARIO = """
title: A call that lasts for a while
parties: [alice]
steps:
  - {send: alice INVITE, to: greeter, Router: "$realm;type=greeter", Body: offer}
  - {expect: alice 180 INVITE}
  - {expect: alice 200 INVITE}
  - {send: alice ACK}
  - {pause: 0.5}
  - {send: alice BYE}
  - {expect: alice 200 BYE}
"""


class Load:
    """`gortc-ua load` on a server."""

    def __init__(self, folder: Path, port: int, calls: int, rate: int = 100) -> None:
        (folder / "scenario.yaml").write_text(SCENARIO)
        self._figures = folder / "figures.json"
        self._calls = calls
        program = str(Path(sys.executable).with_name("gortc-ua"))
        url = f"ws://127.0.0.1:{port}/rtc"
        command = [program, "load", "scenario.yaml", "--url", url, "--realm", REALM, "--rate", str(rate)]
        command += ["--calls", str(calls), "--json", str(self._figures), "--patience", "30"]
        self._child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    @property
    def goes_on(self) -> bool:
        """Whether calls are still made."""
        return self._child.poll() is None

    def end(self) -> dict[str, Any]:
        """Wait for its end: every call went well. Its figures."""
        out = self._child.communicate(timeout=300)[0]
        assert self._child.returncode == 0, out
        figures: dict[str, Any] = json.loads(self._figures.read_text())
        assert figures["calls"] == {"started": self._calls, "ok": self._calls, "failed": 0}, out
        assert figures["strays"] == 0
        return figures


def folder_with(path: Path, greeting: str = "0") -> Path:
    """A folder with the greeter."""
    return plugin_folder(path, greeter=GREETER.format(greeting=greeting))


def figure(api: Api, line: str) -> float:
    """One of /metrics."""
    found = re.search(rf"^{re.escape(line)} (\S+)$", api.get("/metrics"), re.M)
    assert found is not None, line
    return float(found[1])


def greeting(peer: Peer) -> Any:
    """What a call is answered with now."""
    talk = peer.open("INVITE", "greeter", Router=f"{REALM};type=greeter")
    talk.expect(180)
    said = talk.expect(200)["Body"]
    talk.ack()
    talk.send("BYE")
    talk.expect(200)
    return said


def wait_until(true: Callable[[], Any]) -> None:
    """Until it is so."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_reloaded_100_times_under_load(tmp_path: Path) -> None:
    """No call fails, each one finishes on the code that it began with, nothing grows; and the server has counted what
    the client has."""
    api = started(folder_with(tmp_path))
    module = tmp_path / "slp_plugins" / "greeter.py"
    alice = Peer(api.node, "visitor")
    held = alice.open("INVITE", "greeter", Router=f"{REALM};type=greeter")
    held.expect(180)
    held.expect(200, Body="0")
    held.ack()
    load = Load(tmp_path, api.node.port, 2000)
    wait_until(lambda: figure(api, "gortc_calls_total") > 50)
    versions, memory = set(), []
    for number in range(1, 101):
        module.write_text(GREETER.format(greeting=str(number)))
        status, row, _ = api.ask("POST", "/slpm/v1/greeter")
        assert status == 200, row
        versions.add(row["version"])
        assert greeting(alice) == str(number)
        if number in (20, 100):
            memory.append(figure(api, "process_resident_memory_bytes"))
        module.write_text("this is no Python")
        assert api.ask("POST", "/slpm/v1/greeter")[0] == 422
    assert load.goes_on, "there were fewer reloads under load than was meant"
    load.end()
    assert len(versions) == 100
    assert memory[1] - memory[0] < 16 * 2**20, memory  # the tape fills meanwhile, up to trace_bytes, 16 MiB
    rows = [row for row in api.get("/slpm/v1/slps")["slps"] if row["name"] == "greeter"]
    assert [(row["retired"], row["instances"]) for row in rows] == [(False, 0), (True, 1)]
    held.send("BYE")
    held.expect(200)
    wait_until(lambda: len([row for row in api.get("/slpm/v1/slps")["slps"] if row["name"] == "greeter"]) == 1)
    calls = 2000 + 100 + 1
    for line, number in {
        'gortc_messages_received_total{code="",type="INVITE"}': calls,
        'gortc_messages_received_total{code="",type="ACK"}': calls,
        'gortc_messages_received_total{code="",type="BYE"}': calls,
        'gortc_messages_sent_total{code="180",type="RESPONSE"}': calls,
        'gortc_messages_sent_total{code="200",type="RESPONSE"}': 2 * calls,
        'gortc_instances_started_total{service="greeter"}': calls,
        'gortc_failures_total{service="greeter"}': 0,
        'gortc_instances{service="greeter"}': 0,
        "gortc_calls_total": calls,
        "gortc_sessions_opened_total": calls,
        "gortc_set_up_seconds_count": calls,
        "gortc_post_dial_delay_seconds_count": calls,
        "gortc_sessions": 0,
    }.items():
        assert figure(api, line) == number, line
    assert not (tmp_path / "gortc.state").exists()
    ended_well(api.process)


def test_what_was_loaded_is_so_after_a_restart(tmp_path: Path) -> None:
    api = started(folder_with(tmp_path))
    for method, path in (
        ("POST", "/slpm/v1/sales?file=greeter"), ("DELETE", "/slpm/v1/echo"), ("DELETE", "/apim/v1/conference.v1"),
    ):  # fmt: skip
        assert api.ask(method, path)[0] == 200
    ended_well(api.process)
    again = started(tmp_path)
    names = {row["name"] for row in again.get("/slpm/v1/slps")["slps"]}
    assert "sales" in names
    assert "echo" not in names
    assert again.get("/apim/v1/apis")["apis"] == []
    ended_well(again.process)


def test_watch_mode(tmp_path: Path) -> None:
    folder_with(tmp_path, "one")
    (tmp_path / "some.tac").write_text(CONFIG)
    process = Process(tmp_path, "gortc", "--config", "some.tac", "--reload")
    node = Node(process, process.ports()[0], REALM)
    alice = Peer(node, "alice")
    assert greeting(alice) == "one"
    module = tmp_path / "slp_plugins" / "greeter.py"
    module.write_text(GREETER.format(greeting="two"))
    process.wait_for(lambda events: any("greeter is replaced" in event["event"] for event in events) or None)
    assert greeting(alice) == "two"
    module.write_text("def broken(:")
    process.wait_for(lambda events: any("what was loaded before stays" in event["event"] for event in events) or None)
    assert greeting(alice) == "two"
    alice.leave()
    ended_well(process)


def hang_up(process: Process, says: str) -> dict[str, Any]:
    """SIGHUP; wait until the log says so."""
    before = len(process.events)
    process.signal(signal.SIGHUP)
    return process.wait_for(lambda events: next((event for event in events[before:] if says in event["event"]), None))


def test_a_configuration_with_an_error_changes_nothing(tmp_path: Path) -> None:
    """SIGHUP with a call up: errors of all kinds, then a change, then none."""
    api = started(folder_with(tmp_path))
    tac = tmp_path / "some.tac"
    alice, bob = Peer(api.node, "alice"), Peer(api.node, "bob")
    up = alice.open("INVITE", bob.name)
    down = bob.answering()
    down.reply(200)
    up.expect(200)
    up.ack()
    down.expect("ACK")
    before = api.get("/runtime/v1/settings")["settings"]
    for wrong, why in {
        CONFIG.replace("configure(", "configure(("): "line ",
        CONFIG.replace("realm=", "retry_after=0, realm="): "retry_after: must be more than 0",
        CONFIG.replace("realm=", "services={'nothing': {}}, realm="): "no service is named 'nothing'",
        CONFIG.replace("realm=", "services={'hunt400': {'colour': 1}}, realm="): "no such configuration: colour",
        "raise OSError('away')": "away",
        "settings = 5": "binds no `settings`",
    }.items():
        tac.write_text(wrong)
        event = hang_up(api.process, "nothing has changed")
        assert why in event["event"]
        assert event["level"] == "error"
    tac.unlink()
    assert "No such file" in hang_up(api.process, "nothing has changed")["event"]
    assert api.get("/runtime/v1/settings")["settings"] == before
    tac.write_text(
        CONFIG.replace("realm=", "retry_after=9, path='/other', services={'hunt400': {'within': 3}}, realm=")
    )
    assert "need a restart: path" in hang_up(api.process, "need a restart")["event"]
    after = api.get("/runtime/v1/settings")["settings"]
    assert (after["retry_after"], after["path"]) == (9, "/rtc")
    hang_up(api.process, "need a restart")
    tac.write_text(CONFIG)
    hang_up(api.process, "settings have changed: services, retry_after")
    hang_up(api.process, "no setting has changed")
    up.send("INFO", Body="still there")
    down.reply(200, down.expect("INFO", Body="still there"))
    up.expect(200)
    up.send("BYE")
    down.reply(200, down.expect("BYE"))
    up.expect(200)
    ended_well(api.process)


def test_log_files_that_are_rotated_under_load_lose_no_line(tmp_path: Path) -> None:
    """Each message is a line of the log, each request one of the access log: none is lost, none is broken."""
    port, api_port = free_port(), free_port()
    files = 'log_file="gortc.log", access_log="access.log", trace=True, log_format="json"'
    (folder_with(tmp_path) / "some.tac").write_text(
        "from gortc.tap import configure, make_application\n"
        f'settings = configure(realm="{REALM}", rtc=("tcp:{port}:interface=127.0.0.1",), {files},\n'
        f'    api="tcp:{api_port}:interface=127.0.0.1", load_high=9.0, lag_high=1e9)\n'
        "application = make_application(settings, __file__)\n"
    )
    child = subprocess.Popen(twistd("-n", "--pidfile=", "gortc", "--config", "some.tac"), cwd=tmp_path)
    try:
        log = tmp_path / "gortc.log"
        wait_until(lambda: log.exists() and "listening" in log.read_text())
        load = Load(tmp_path, port, 500)
        asked = rotated = 0
        api = Asker(tmp_path, api_port)
        while load.goes_on:
            api.ask()
            asked += 1
            if asked % 5 == 0:
                rotated += 1
                for name in ("gortc.log", "access.log"):
                    (tmp_path / name).rename(tmp_path / f"{name}.{rotated}")
                os.kill(child.pid, signal.SIGUSR1)
                for name in ("gortc.log", "access.log"):
                    wait_until((tmp_path / name).exists)
            time.sleep(0.02)
        load.end()
        assert rotated > 10
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE)
    logged = lines_of(tmp_path, "gortc.log")
    messages = [line for line in logged if line["source"] == "gortc.trace"]
    assert len(messages) == 500 * 6
    assert sum("log files are opened again" in line["event"] for line in logged) == rotated
    requests = lines_of(tmp_path, "access.log")
    assert len(requests) == asked
    assert {(line["path"], line["status"], line["role"]) for line in requests} == {("/runtime/v1/jstack", 200, "admin")}


class Asker:
    """Asks a server for its counts."""

    def __init__(self, folder: Path, port: int) -> None:
        self._token = (folder / "gortc.token").read_text().split()[1]
        self._port = port

    def ask(self) -> None:
        """Once."""
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as client:
            head = f"GET /runtime/v1/jstack HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {self._token}\r\n\r\n"
            client.sendall(head.encode())
            answer = b""
            while data := client.recv(65536):
                answer += data
        assert b"200 OK" in answer.partition(b"\r\n")[0]


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """All lines of a log and of what it was moved to."""
    return [json.loads(line) for path in folder.glob(f"{name}*") for line in path.read_text().splitlines()]


def test_two_operators_at_once(tmp_path: Path) -> None:
    """Each request is answered, each answer is right, and in the end all is as it was told last."""
    api = started(folder_with(tmp_path))
    failures: list[BaseException] = []
    begun: list[int] = []

    def operate(name: str, other: str) -> None:
        try:
            for number in range(30):
                assert api.ask("POST", f"/slpm/v1/{name}?file=greeter")[0] == 200
                assert api.ask("PUT", f"/runtime/v1/settings?retry_after={number + 1}")[0] == 200
                assert name in {row["name"] for row in api.get("/slpm/v1/slps")["slps"] if not row["retired"]}
                assert api.ask("POST", "/slpm/v1/shared?file=greeter")[0] == 200
                assert api.ask("DELETE", f"/slpm/v1/{name}")[0] == 200
                assert api.ask("DELETE", f"/slpm/v1/{name}")[0] == 404
                assert api.ask("DELETE", "/slpm/v1/shared")[0] in (200, 404)
            assert api.ask("POST", f"/slpm/v1/{name}?file=greeter")[0] == 200
        except BaseException as error:  # it is told to who waits
            failures.append(error)

    alice = Peer(api.node, "alice")
    talk = alice.open("INVITE", "echo", Router=f"{REALM};type=echo")
    talk.expect(180)
    talk.expect(200)
    talk.ack()
    together(lambda: operate("one", "two"), lambda: operate("two", "one"))
    assert not failures, failures
    names = {row["name"] for row in api.get("/slpm/v1/slps")["slps"]}
    assert {"one", "two", "greeter"} <= names
    state = json.loads((tmp_path / "gortc.state").read_text())["services"]
    assert {name: state.get(name) for name in ("one", "two")} == {"one": "greeter", "two": "greeter"}
    for _ in range(10):
        begun.clear()
        ask = [lambda: begun.append(api.ask("POST", "/runtime/v1/drain")[0])] * 2
        together(*ask)
        assert sorted(begun) == [200, 409]
        assert api.ask("DELETE", "/runtime/v1/drain")[0] == 200
    talk.send("BYE")
    talk.expect(200)
    ended_well(api.process)


def together(*calls: Callable[[], object]) -> None:
    """At the same time."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


HANGS = """
from twisted.internet.defer import Deferred
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI

@implementer(IPlugin, IAPI)
class Bad:
    name = "bad.v1"
    def load(self, context):
        pass
    def unload(self):
        pass
    def get(self, asked):
        if asked.path == "raises":
            raise RuntimeError("the puppet was told to fail")
        return Deferred()
    post = put = delete = get

bad = Bad()
"""


def test_an_api_plugin_that_hangs_or_raises(tmp_path: Path) -> None:
    """Nobody else waits for it."""
    folder = plugin_folder(tmp_path, bad=HANGS)
    api = started(folder, CONFIG.replace("realm=", "api_seconds=2.0, realm="))
    answers: list[tuple[int, int]] = []

    def ask() -> None:
        status, answer, _ = api.ask("GET", "/bad/v1/hangs")
        answers.append((status, answer["code"]))

    waiting = [threading.Thread(target=ask) for _ in range(5)]
    for thread in waiting:
        thread.start()
    while any(thread.is_alive() for thread in waiting):
        status, answer, _ = api.ask("GET", "/bad/v1/raises")
        assert (status, answer["code"]) == (500, 4)
        api.get("/runtime/v1/jstack")
    assert answers == [(504, 4)] * 5
    [row] = [row for row in api.get("/apim/v1/apis")["apis"] if row["name"] == "bad.v1"]
    assert row["failures"] == row["total"] > 5
    ended_well(api.process)


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It serves, it lives, it reads its configuration again, it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        api = started(folder_with(tmp_path))

        def hear(wanted: str) -> None:
            while not manager.recv(4096).decode().startswith(wanted):
                pass

        for wanted in ("READY=1\nSTATUS=ws://127.0.0.1:", "WATCHDOG=1", "WATCHDOG=1"):
            hear(wanted)
        api.process.signal(signal.SIGHUP)
        for wanted in ("RELOADING=1\nMONOTONIC_USEC=", "READY=1"):
            hear(wanted)
        api.process.signal(signal.SIGTERM)
        hear("STOPPING=1")


def test_a_conference_s_rooms(tmp_path: Path) -> None:
    """Listed, told, and a member removed, whom the others hear leave."""
    api = started(folder_with(tmp_path))
    talks = []
    for name in ("alice", "bob"):
        peer = Peer(api.node, name)
        talk = peer.open("INVITE", "room", Router=f"{REALM};type=conference;relid=room1")
        talk.expect(200)
        talk.ack()
        talk.reply(200, talk.expect("INFO"))
        talks.append(talk)
    first, second = talks
    first.reply(200, first.expect("INFO", Body={"event": "joined", "member": second.peer.name}))
    assert api.get("/conference/v1/rooms")["rooms"] == [{"room": "room1", "members": 2}]
    members = api.get("/conference/v1/rooms/room1")["members"]
    assert members == [first.peer.name, second.peer.name]
    assert api.ask("DELETE", f"/conference/v1/rooms/room1/{second.peer.name}")[0] == 200
    second.reply(200, second.expect("BYE", Reason="removed from the conference"))
    first.reply(200, first.expect("INFO", Body={"event": "left", "member": second.peer.name}))
    for path in (f"rooms/room1/{second.peer.name}", "rooms/room2/x", "nothing"):
        assert api.ask("DELETE", f"/conference/v1/{path}")[0] == 404
    assert api.ask("GET", "/conference/v1/rooms/room2")[0] == 404
    assert api.ask("POST", "/conference/v1/rooms")[0] == 405
    first.send("BYE")
    first.expect(200)
    wait_until(lambda: api.get("/conference/v1/rooms")["rooms"] == [])
    ended_well(api.process)


@pytest.fixture(autouse=True)
def _no_other_notify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests is not told."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
