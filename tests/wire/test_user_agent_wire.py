"""`gortc-ua` as a program of its own against `twistd gortc`: raw messages over a socket, in real time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gortc.admission.static import hash_password
from tests.flows.kit import FOLDER, names
from tests.wire.kit import Node, Process, ended_well

PATIENCE = "30"


def plain(name: str) -> bool:
    """Whether a flow needs neither a service of its own, nor settings, nor time."""
    words = ("pause", "within", "repeat", "services", "settings")
    return name.startswith("rfc3") and not any(word in (FOLDER / name).read_text() for word in words)


def user_agent(node: Node, *words: str) -> subprocess.CompletedProcess[str]:
    url = f"ws://127.0.0.1:{node.port}/rtc"
    command = [sys.executable, "-m", "gortc.client.main", *words, "--url", url, "--realm", node.realm]
    return subprocess.run([*command, "--patience", PATIENCE], capture_output=True, text=True, check=False, timeout=300)


def test_flows_against_a_server(server: Node, tmp_path: Path) -> None:
    """Basic calls, PRACK and UPDATE: the flows that need no time, and nothing that a default server has not."""
    scripts = [str(FOLDER / name) for name in names() if plain(name)]
    assert len(scripts) > 20
    report = tmp_path / "report.xml"
    done = user_agent(server, "play", *scripts, "--junit", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(scripts)} played, 0 failed" in done.stdout
    assert f'tests="{len(scripts)}"' in report.read_text()


def test_load_on_a_server(server: Node, tmp_path: Path) -> None:
    """Several calls at a time, by few users, mixed up by nobody."""
    figures = tmp_path / "figures.json"
    words = ("bridge", "--rate", "100", "--calls", "50", "--users", "3", "--json", str(figures))
    done = user_agent(server, "load", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(figures.read_text())["calls"] == {"started": 50, "ok": 50, "failed": 0}


def test_a_server_that_asks_who_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each user shows a secret of its own; without one nobody gets in."""
    users = {f"{name}@gortc.local": hash_password(f"secret-of-{name}@gortc.local") for name in ("alice", "bob")}
    (tmp_path / "some.tac").write_text(
        "from gortc.tap import configure, make_application\n"
        f'settings = configure(rtc=("tcp:0:interface=127.0.0.1",), log_format="json",'
        "load_high=9.0, lag_high=1e9,"
        f'auth={{"static": {{"users": {users!r}}}}})\n'
        "application = make_application(settings)\n"
    )
    process = Process(tmp_path, "gortc", "--config", "some.tac")
    try:
        node = Node(process, process.ports()[0], "gortc.local")
        script = str(FOLDER / next(filter(plain, names())))
        assert "401" in user_agent(node, "play", script).stdout
        monkeypatch.setenv("GORTC_TOKEN", "secret-of-{user}")
        done = user_agent(node, "play", script)
        assert "1 played, 0 failed" in done.stdout, done.stdout
    finally:
        ended_well(process)
