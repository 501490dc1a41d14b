"""`gortc-ua` as a program of its own against `twistd gortc`: raw messages over a socket, in real time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.flows.kit import FOLDER, names
from tests.wire.kit import Node

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
