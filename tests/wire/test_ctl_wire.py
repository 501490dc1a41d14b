"""gortcctl, as a program of its own, against a server process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import issue
from tests.wire.api import CONFIG, REALM, Api, started
from tests.wire.kit import Peer, ended_well
from tests.wire.proxy import free_port


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server."""
    made = started(tmp_path_factory.mktemp("ctl"))
    yield made
    ended_well(made.process)


def run(api: Api, *words: str, status: int = 0, port: int = 0) -> str:
    """What it prints, in the server's folder, where the token is; on standard error where it fails."""
    command = [sys.executable, "-m", "gortc.ctl.main", "--url", f"http://127.0.0.1:{port or api.port}", *words]
    done = subprocess.run(command, cwd=api.folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def asked(api: Api, *words: str) -> Any:
    """Its JSON."""
    return json.loads(run(api, "--json", *words))


def test_a_call_from_the_outside(api: Api) -> None:
    """It is seen, and ended."""
    alice = Peer(api.node, "alice")
    talk = alice.open("INVITE", "echo", Router=f"{REALM};type=echo", DialogueID="a [red]b/c")
    talk.expect(180)
    talk.expect(200)
    talk.ack()
    assert asked(api, "status")["sessions"] == 1
    told = run(api, "status")
    assert "serving" in told
    assert "overload" in told
    (row,) = asked(api, "sessions", "--service", "echo")["sessions"]
    assert row["dialogue"] == talk.id
    table = run(api, "sessions")
    assert "a [red]b/c" in table  # as it is: it is nobody's markup
    assert alice.name in table
    assert alice.name in run(api, "channels")
    assert run(api, "channels", "--offset", "1").split() == ["channels", "none"]
    assert "echo" in run(api, "services")
    assert "instance of echo" in run(api, "stack")
    assert asked(api, "session", talk.id)["legs"] == []
    assert "nothing names a service" in run(api, "which", "400@gortc.test")
    assert asked(api, "which", "x", "--router", f"{REALM};type=echo")["service"] == "echo"
    assert "limits.methods.INVITE.burst" in run(api, "settings")
    run(api, "session", talk.id, "--end")
    talk.reply(200, talk.expect("BYE"))
    run(api, "close", alice.name)
    assert alice.closed()[0] == 1001


def test_drain(api: Api) -> None:
    with_call = Peer(api.node, "bob")
    talk = with_call.open("INVITE", "echo", Router=f"{REALM};type=echo")
    talk.expect(180)
    talk.expect(200)
    talk.ack()
    assert asked(api, "drain")["state"] == "serving"
    assert "draining" in run(api, "drain", "begin")
    assert "it drains already" in run(api, "drain", "begin", status=1)
    assert "serving" in run(api, "drain", "cancel")
    talk.send("BYE")
    talk.expect(200)
    with_call.leave()


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("session", "x"), 1, "no such session"),
        (("sessions", "--limit", "x"), 1, "limit must be"),
        (("which", "x", "--router", "a@@b"), 1, ""), (("nothing",), 2, "invalid choice"), ((), 2, "usage"),
        (("--token-file", "nowhere", "status"), 3, "no token in nowhere"),
        (("--token-file", "some.tac", "status"), 1, "show a token"), (("--url", "nonsense", "status"), 3, "nonsense"),
    ],
)  # fmt: skip
def test_what_goes_wrong(api: Api, words: tuple[str, ...], status: int, why: str) -> None:
    """One line, and the exit status."""
    assert why in run(api, *words, status=status)


def test_no_server(api: Api) -> None:
    assert "refused" in run(api, "status", status=3, port=free_port())


def test_an_api_by_tls(tmp_path: Path) -> None:
    """Its certificate must be good."""
    ca = issue(tmp_path, "ca", ca=True)
    shown = issue(tmp_path, "localhost", by=ca)
    endpoint = f"tls:0:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}"
    api = started(tmp_path, CONFIG.replace('tcp:0:interface=127.0.0.1",\n', f'{endpoint}",\n'))
    url = f"https://localhost:{api.port}"
    command = [sys.executable, "-m", "gortc.ctl.main", "--url", url]
    trusting = ["--ca", str(ca.path)]
    for more, status, says in (
        (trusting, 0, "serving"),
        ([], 3, "certificate verify failed"),
        (["--ca", "nothing.pem"], 2, "nothing.pem"),
        ([*trusting, "--url", url.replace("https", "http")], 3, ""),
    ):
        done = subprocess.run(
            [*command, *more, "status"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert says in done.stdout + done.stderr
    ended_well(api.process)
