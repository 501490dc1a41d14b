"""gortcctl, as a program of its own, against a server process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gortc.ctl.main import main
from gortc.printable import printable
from tests.certificates import issue
from tests.wire.api import CONFIG, REALM, Api, started
from tests.wire.kit import Peer, Talk, ended_well
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


ODD = [
    "/a", "//", "/", "a/../b", "..", ".", "...", "../../slpm/v1/slps", "a?b#c", "%2F%2e%2e%00", "100%", "a;b=c&d",
    "a b+c", "\n", "x\n2026-01-05 forged", "\x1b[2J\x1b]0;forged\x07", ":smile:", "[red]x[/red]", "[/]",
    "\u202egnol", "\u200b\u3164", "\x9b2J", "-x", "--end", "messages", "x/messages", "x/ladder.svg", '{"a": "b"}',
    "\ufe0f", "\U0001f600", "a\\nb", "\x7f", "\u2028",
]  # fmt: skip
"""DialogueIDs that a peer may choose."""


class Odd:
    """Who has a call under each of them."""

    def __init__(self, api: Api) -> None:
        self.peer = Peer(api.node, "odd")
        self.talks = {dialogue: self._call(dialogue) for dialogue in ODD}

    def _call(self, dialogue: str) -> Talk:
        talk = self.peer.open("INVITE", "echo", Router=f"{REALM};type=echo", DialogueID=dialogue)
        talk.expect(180)
        talk.expect(200)
        talk.ack()
        return talk


class Operator:
    """gortcctl in this process, which is quicker."""

    def __init__(self, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
        self._common = ["--url", f"http://127.0.0.1:{api.port}", "--token-file", str(api.folder / "gortc.token")]
        self._capsys = capsys

    def run(self, *words: str, status: int = 0) -> str:
        """What is printed."""
        self._capsys.readouterr()
        assert main([*self._common, *words]) == status, words
        out, error = self._capsys.readouterr()
        return out if status == 0 else error

    def dialogues(self) -> set[str]:
        """Those that are told of."""
        rows = json.loads(self.run("--json", "sessions", "--limit", "500"))["sessions"]
        return {row["dialogue"] for row in rows}


@pytest.fixture(scope="module")
def odd(api: Api) -> Iterator[Odd]:
    """The calls."""
    made = Odd(api)
    yield made
    made.peer.leave()


@pytest.fixture
def operator(api: Api, capsys: pytest.CaptureFixture[str]) -> Operator:
    """Who looks at them."""
    return Operator(api, capsys)


def test_who_chooses_an_id_chooses_nothing_of_what_a_terminal_does(odd: Odd, operator: Operator) -> None:
    """Every answer is lines of what can be seen, and an ID is told as it is, but for what can't be."""
    for words in (["sessions", "--limit", "500"], ["stack"], ["channels"], ["session", "--", "..."], ["status"]):
        for text in (operator.run(*words), operator.run("--json", *words)):
            assert [line for line in text.split("\n") if not line.isprintable()] == []
            assert [line for line in text.split("\n") if line.startswith("2026-")] == []
    table = operator.run("sessions", "--limit", "500")
    assert [dialogue for dialogue in ODD if f" {printable(dialogue)} " not in table] == []
    assert set(ODD) <= operator.dialogues()


def test_every_id_is_an_argument(odd: Odd, operator: Operator) -> None:
    """Whatever is in it, it names its own session and no other path; and it is ended by it."""
    for dialogue in ODD:
        assert json.loads(operator.run("--json", "session", "--", dialogue))["dialogue"] == dialogue
        assert "INVITE" in operator.run("session", "--ladder", "text", "--", dialogue)
        operator.run("session", "--end", "--", dialogue)
        talk = odd.talks[dialogue]
        talk.reply(200, talk.expect("BYE"))
    assert not set(ODD) & operator.dialogues()


@pytest.mark.parametrize(
    "words",
    [
        ("session", ""), ("session", "", "--end"), ("session", "", "--ladder", "svg"), ("close", ""), ("trace", ""),
        ("trace", "", "--end"), ("trace", "", "--file"), ("services", "load", ""), ("apis", "rm", ""),
    ],
)  # fmt: skip
def test_no_name_is_no_argument(api: Api, words: tuple[str, ...]) -> None:
    assert run(api, *words, status=2) == "gortcctl: a name must not be empty\n"


def test_what_a_server_says_no_with_is_one_line(operator: Operator) -> None:
    for words in (("close", "\x1b[2J\nforged"), ("services", "load", "\x1b[2J"), ("set", "log_level=\x1b[2J\nx")):
        told = operator.run(*words, status=1)
        assert told.count("\n") == 1
        assert told[:-1].isprintable()


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
