"""gortcctl, where what answers is no gortc server, or leads elsewhere, or the output takes not everything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from gortc.ctl.main import main

HTML = b"<html>\x1b[2J\xff</html>"
USER = "zo\u00eb \u65e5\u672c \U0001f600"


class Odd:
    """Says the same to everybody, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._says = b""
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, body: bytes, kind: str = "application/json", status: str = "200 OK", more: str = "") -> None:
        """From now on."""
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        self.say_bytes(head.encode() + body)

    def say_bytes(self, data: bytes) -> None:
        """All of it."""
        self._says = data

    def _serve(self) -> None:
        while True:
            try:
                asking, _ = self._socket.accept()
            except OSError:
                return
            with asking:
                self.asked.append(asking.recv(65536))
                asking.sendall(self._says)

    def close(self) -> None:
        """No more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Odd]:
    """Where the token is in the folder."""
    (tmp_path / "gortc.token").write_text(f"admin {'a' * 40}\n")
    monkeypatch.chdir(tmp_path)
    made = Odd()
    yield made
    made.close()


def asked(odd: Odd, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit status, and what was said about it: a line."""
    status = main(["--url", odd.url, *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.count("\n") <= 1
    return status, said.err


COMMANDS = (
    ("status",), ("users",), ("top", "--rounds", "1"), ("trace", "bob", "--rounds", "1"), ("stack",), ("session", "d"),
    ("services",), ("drain", "begin"), ("session", "d", "--ladder", "svg"), ("--json", "users"),
)  # fmt: skip
ODD: dict[str, bytes] = {
    "a list": b"[1]",
    "a number": b"1",
    "null": b"null",
    "somebody else's": b'{"status": "ok"}',
    "broken": b"[",
    "nothing": b"",
    "deep": b"[" * 200_000,
    "no UTF-8": b'{"code": 0, "x": "\xff"}',
    "an integer that is too long": b'{"code": 0, "x": ' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("body", ODD)
def test_json_of_another_shape(
    odd: Odd, capsys: pytest.CaptureFixture[str], body: str, command: tuple[str, ...]
) -> None:
    odd.say(ODD[body])
    status, said = asked(odd, capsys, *command)
    assert status == 3
    assert said.startswith(f"gortcctl: {odd.url}: ")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "502 Bad Gateway"])
def test_a_page(odd: Odd, capsys: pytest.CaptureFixture[str], status: str, command: tuple[str, ...]) -> None:
    odd.say(HTML, "text/html", status)
    assert asked(odd, capsys, *command)[0] == 3


SHAPES: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("services",), {"slps": [{"name": "a", "loaded_at": 1e300}]}),
    (("services",), {"slps": [{"name": "a", "loaded_at": 1e17}]}),
    (("top", "--rounds", "1"), {"slps": [{"instances": "x"}], "counts": {"a": "b"}}),
    (("top", "--rounds", "1"), {"slps": 5, "counts": 5}),
    (("top", "--rounds", "1"), {}),
    (("trace", "bob", "--rounds", "1"), {"next": 3, "messages": [{"time": 1e300, "message": {}, "from": 1, "to": 2}]}),
    (("trace", "bob", "--rounds", "1"), {"next": 3, "messages": [{"time": 1e17, "message": {}, "from": 1, "to": 2}]}),
    (("trace", "bob", "--rounds", "1"), {"next": 3, "messages": [5]}),
    (("trace", "bob", "--rounds", "1"), {"next": 3, "messages": 5}),
    (("trace", "bob", "--rounds", "1"), {"messages": []}),
    (("session", "d"), {}),
)


@pytest.mark.parametrize(("command", "answer"), SHAPES)
def test_an_answer_of_another_shape(
    odd: Odd, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], answer: dict[str, Any]
) -> None:
    odd.say(json.dumps({"code": 0, "msg": "OK", **answer}).encode())
    assert asked(odd, capsys, *command)[0] == 3


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
@pytest.mark.parametrize(
    "says",
    [
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{",
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\n\r\n{{",
        "HTTP/1.1 {}\r\nContent-Ty",
        "SSH-2.0 {}\r\n",
    ],
)
def test_an_answer_that_ends_early(odd: Odd, capsys: pytest.CaptureFixture[str], says: str, status: str) -> None:
    odd.say_bytes(says.format(status).encode())
    is_no = status.startswith("403") and says.endswith("Content-Ty")  # whatever else it would have said
    assert asked(odd, capsys, "users")[0] == (1 if is_no else 3)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("command", [("users",), ("drain", "begin"), ("stack",), ("close", "bob")], ids=" ".join)
@pytest.mark.parametrize("how", ["{}/loot", "//{}/loot", "file:///etc/passwd", ""])
def test_a_token_goes_nowhere_else(
    odd: Odd, capsys: pytest.CaptureFixture[str], status: int, command: tuple[str, ...], how: str
) -> None:
    thief = Odd()
    thief.say(b'{"code": 0, "msg": "OK"}')
    location = how.format(thief.url.removeprefix("http:" if how.startswith("//") else ""))
    odd.say(b'{"code": 0, "msg": "OK"}', status=f"{status} Moved", more=f"Location: {location}\r\n" if how else "")
    code, said = asked(odd, capsys, *command)
    thief.close()
    assert code == 3
    assert "it leads elsewhere" in said
    assert (len(odd.asked), thief.asked) == (1, [])


def test_a_server_that_says_no(odd: Odd, capsys: pytest.CaptureFixture[str]) -> None:
    odd.say(b'{"code": 7, "msg": "that needs\\n the role admin"}', status="403 Forbidden")
    assert asked(odd, capsys, "reload") == (1, "gortcctl: that needs\\n the role admin\n")
    odd.say(b"", status="408 Request Timeout")
    assert asked(odd, capsys, "reload") == (1, "gortcctl: 408 Request Timeout\n")


@pytest.mark.parametrize("every", ["-1", "nan", "inf", "1e300", "x"])
def test_what_can_not_be_waited_for(odd: Odd, every: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--url", odd.url, "top", f"--every={every}"])
    assert left.value.code == 2


def run(odd: Odd, shell: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """As a program of its own, in a shell."""
    program = f"{sys.executable} -m gortc.ctl.main --url {odd.url}"
    root = str(Path(__file__).parent.parent.parent)
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell.format(program)}"],
        env={**os.environ, "PYTHONPATH": root, **environment}, capture_output=True, timeout=60, check=False,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("command", ["users", "--json users", "top --rounds 1"])
def test_letters_that_the_output_has_not(odd: Odd, encoding: str, command: str) -> None:
    """They are as in JSON."""
    row = {"name": USER, "version": "1", "instances": 1, "total": 1, "failures": 0, "retired": False}
    odd.say(json.dumps({"code": 0, "msg": "OK", "users": [row], "slps": [row], "counts": {}}).encode())
    done = run(odd, f"{{}} {command}", PYTHONIOENCODING=encoding, LC_ALL="C.UTF-8")
    assert (done.returncode, done.stderr) == (0, "")
    if encoding == "utf-8" and command == "users":
        assert USER in done.stdout
    if encoding == "ascii":
        assert json.dumps(USER)[1:-1] in done.stdout


@pytest.mark.parametrize("reader", ["head -1", "true"])
@pytest.mark.parametrize("command", ["users", "--json users", "stack", "top --rounds 3 --every 0.1", "completion bash"])
def test_a_reader_that_has_seen_enough(odd: Odd, reader: str, command: str) -> None:
    row = {"name": "x" * 100, "version": "1", "instances": 1, "total": 1, "failures": 0, "retired": False}
    answer = {"code": 0, "msg": "OK", "users": [row] * 3000, "slps": [row] * 3000, "counts": {}}
    odd.say(json.dumps(answer).encode())
    if command == "stack":
        odd.say(b"a line of it\n" * 100_000, "text/plain")
    done = run(odd, f"{{}} {command} | {reader}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["users", "--json users", "stack"])
def test_an_output_that_is_full(odd: Odd, command: str) -> None:
    odd.say(b"text\n" if command == "stack" else b'{"code": 0, "users": []}')
    if command == "stack":
        odd.say(b"text\n", "text/plain")
    done = run(odd, f"{{}} {command} > /dev/full")
    assert (done.returncode, done.stderr) == (3, "gortcctl: [Errno 28] No space left on device\n")
