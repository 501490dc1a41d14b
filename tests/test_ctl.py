"""gortcctl: what it asks for, and how it prints it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import OpenerDirector, Request

import pytest
from rich.console import Console

from gortc.ctl.client import Client, Failed, named, told
from gortc.ctl.main import COMMANDS, main
from gortc.ctl.show import show

ASKED = {
    "status": ("GET", "/runtime/v1/jstack", {}),
    "sessions --service s --limit 5": ("GET", "/runtime/v1/sessions", {"service": "s", "limit": "5"}),
    "session d/e": ("GET", "/runtime/v1/sessions/d%2Fe", {}),
    "session d --channel a@b --end": ("DELETE", "/runtime/v1/sessions/d", {"channel": "a@b"}),
    "session d --ladder svg": ("GET", "/runtime/v1/sessions/d/ladder.svg", {}),
    "users": ("GET", "/runtime/v1/users", {}),
    "channels --offset 3": ("GET", "/runtime/v1/channels", {"offset": "3"}),
    "close a@b": ("DELETE", "/runtime/v1/channels/a%40b", {}),
    "services": ("GET", "/slpm/v1/slps", {}),
    "services load a": ("POST", "/slpm/v1/a", {}),
    "services load a b": ("POST", "/slpm/v1/a", {"file": "b"}),
    "services rm a": ("DELETE", "/slpm/v1/a", {}),
    "apis ls": ("GET", "/apim/v1/apis", {}),
    "apis load a.v1": ("POST", "/apim/v1/a.v1", {}),
    "drain": ("GET", "/runtime/v1/drain", {}),
    "drain begin": ("POST", "/runtime/v1/drain", {}),
    "drain cancel": ("DELETE", "/runtime/v1/drain", {}),
    "trace bob --file --minutes 5": ("POST", "/runtime/v1/traces", {"party": "bob", "minutes": "5"}),
    "trace bob-2026 --end": ("DELETE", "/runtime/v1/traces/bob-2026", {}),
    "traces": ("GET", "/runtime/v1/traces", {}),
    "which x --router y": ("GET", "/runtime/v1/which", {"uri": "x", "router": "y"}),
    'which {"Request-URI":"x","Router":"y"}': ("GET", "/runtime/v1/which", {"uri": "x", "router": "y"}),
    "settings": ("GET", "/runtime/v1/settings", {}),
    "set log_level=debug retry_after=3": ("PUT", "/runtime/v1/settings", {"log_level": "debug", "retry_after": "3"}),
    "reload": ("POST", "/runtime/v1/reload", {}),
    "stack": ("GET", "/runtime/v1/stack", {}),
}


@pytest.mark.parametrize("words", ASKED)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_asked(
    words: str, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def ask(client: Client, method: str, path: str, **query: Any) -> Any:
        asked.append((method, path, {name: value for name, value in query.items() if value is not None}))
        return {"code": 0, "msg": "OK", "some": {"thing": 1}, "messages": []}

    monkeypatch.setattr(Client, "ask", ask)
    monkeypatch.setattr(Client, "text", lambda client, path, **query: ask(client, "GET", path, **query))
    assert main([*(["--json"] if as_json else []), *words.split()]) == 0
    assert asked[-1] == ASKED[words]
    out = capsys.readouterr().out
    assert json.loads(out)["some"] == {"thing": 1} if as_json else "some.thing" in out


def test_settings_of_any_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """None is mistaken for what the client asks with."""
    asked: list[str] = []

    def refuse(opener: OpenerDirector, request: Request, timeout: float) -> None:
        asked.append(request.full_url)
        raise URLError("no server")

    monkeypatch.setattr(OpenerDirector, "open", refuse)
    (tmp_path / "tokens").write_text("admin " + "x" * 40)
    assert main(["--token-file", str(tmp_path / "tokens"), "set", "method=x", "path=1", "self=y"]) == 3
    assert asked == ["http://127.0.0.1:2539/runtime/v1/settings?method=x&path=1&self=y"]
    assert "no server" in capsys.readouterr().err


def test_a_message_that_is_too_deep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["which", '{"a":' + "[" * 100_000]) == 2
    assert capsys.readouterr().err.startswith("gortcctl: the message can't be read: RecursionError")


def test_a_server_that_says_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(client: Client, *words: Any, **query: Any) -> Any:
        raise Failed(1, "no such thing")

    monkeypatch.setattr(Client, "text", ask)
    assert main(["stack"]) == 1
    assert capsys.readouterr().err == "gortcctl: no such thing\n"


def shown(answer: Any) -> list[str]:
    """The lines for people."""
    out = io.StringIO()
    show(answer, Console(file=out, width=200, markup=False, highlight=False))
    return [line.strip() for line in out.getvalue().splitlines()]


def test_what_is_shown() -> None:
    assert shown("as it is [red]\n") == ["as it is [red]"]
    rows = [{"name": "a [b]", "number": 1}, {"name": "\x1b[2J", "number": None}]
    lines = shown({"code": 0, "msg": "OK", "rows": rows, "more": True, "in": {"side": [1, 2]}, "nobody": []})
    assert lines[0].split() == ["in.side", "1,", "2"]
    assert lines[1].split() == ["nobody", "none"]
    assert [line.split() for line in lines[2:6]] == [
        ["rows"],
        ["name", "number"],
        ["a", "[b]", "1"],
        ["\\u001b[2J", "-"],
    ]
    assert lines[6] == "there are more: --offset, --limit"


@pytest.mark.parametrize(
    ("body", "why"),
    [(b'{"msg": "why"}', "why"), (b"", None), (b"<html>", None), (b"[]", None), (b"[" * 200_000, None)],
)
def test_what_the_server_says(body: bytes, why: str | None) -> None:
    assert told(body) == why


@pytest.mark.parametrize("words", ["services load", "services rm", "apis rm", "set loud", "which {", "which {}"])
def test_what_can_not_be_asked(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr().err.startswith("gortcctl: ")


SAID = {
    "number": 5, "time": 1700000000.25, "from": "alice@gortc.local", "to": "gortc",
    "message": {"Type": "INVITE", "Request-URI": "400\x1b[2J", "DialogueID": "d", "CSeq": 1},
}  # fmt: skip
STATUS: dict[str, Any] = {
    "calls_a_minute": 7, "sessions": 1, "transactions": 0, "tasks": 1, "timers": 1, "channels": 2, "connected": 2,
    "connections": 2, "load": 0.5, "lag": 0.0, "overload": "calm", "counts": {"bad message": 3},
}  # fmt: skip


class Server:
    """Answers as one, from one look to the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[dict[str, Any]] = []
        self.looks = 0
        monkeypatch.setattr(Client, "ask", lambda client, method, path, **query: self.ask(path, query))
        monkeypatch.setattr(Client, "text", lambda client, path, **query: self.ask(path, query))
        monkeypatch.setattr("gortc.ctl.live.time.sleep", lambda seconds: None)

    def ask(self, path: str, query: dict[str, Any]) -> Any:
        """An answer."""
        self.asked.append(query)
        if path == "/slpm/v1/slps":
            row = {"version": "1", "total": 9, "failures": 0}
            names = ("echo", "default", "echo")
            return {
                "slps": [
                    {**row, "name": name, "instances": number, "retired": number == 2}
                    for number, name in enumerate(names)
                ]
            }
        if path == "/runtime/v1/jstack":
            self.looks += 1
            return {**STATUS, "counts": {"bad message": 3 * self.looks}}
        if path.endswith("ladder.txt"):
            return "alice gortc\n"
        if path.startswith("/runtime/v1/sessions"):
            return {"code": 0, "msg": "OK", "dialogue": "d", "legs": [], "messages": [SAID]}
        return {"messages": [SAID] if query.get("after") else [], "next": query.get("after", 4) + 1}


@pytest.mark.parametrize("as_json", [False, True])
def test_top(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    Server(monkeypatch)
    assert main([*(["--json"] if as_json else []), "top", "--rounds", "2"]) == 0
    out = capsys.readouterr().out
    if as_json:
        assert [json.loads(line)["status"]["counts"] for line in out.splitlines()] == [
            {"bad message": 3}, {"bad message": 6},
        ]  # fmt: skip
    else:
        assert [line.split() for line in out.splitlines() if "bad" in line][-1] == ["bad", "message", "6", "3"]
        assert "echo (retired)" in out


@pytest.mark.parametrize("as_json", [False, True])
def test_trace(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    server = Server(monkeypatch)
    assert main([*(["--json"] if as_json else []), "trace", "alice", "--rounds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [query.get("after") for query in server.asked] == [None, 5, 6]
    assert len(lines) == 2
    if as_json:
        assert json.loads(lines[0]) == SAID
    else:
        assert lines[0].endswith(".250 alice@gortc.local -> gortc: INVITE 400\\u001b[2J d 1")


def test_a_session_has_its_ladder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Server(monkeypatch)
    assert main(["session", "d"]) == 0
    assert capsys.readouterr().out.endswith("\nalice gortc\n")


def test_who_interrupts_it_has_seen_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*words: Any, **query: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "ask", interrupted)
    assert main(["top"]) == 0


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_operations_names_every_command() -> None:
    text = (Path(__file__).parent.parent / "docs" / "operations.md").read_text()
    assert [name for name in COMMANDS if f"gortcctl {name}" not in text] == []


HOSTILE = "x\n\x1b[2J\u202e\u200b:smile:[red]\x9b\ufe0f"


@pytest.mark.parametrize("as_json", [False, True])
def test_nothing_that_is_told_moves_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    """Names, values, rows and their columns, texts: whichever the server says, and whoever has chosen it."""
    row = {HOSTILE: HOSTILE, "list": [HOSTILE], "number": 1}
    answers = {
        "status": {"code": 0, HOSTILE: HOSTILE, "counts": {HOSTILE: 1}, "rows": [row]},
        "sessions": {"code": 0, HOSTILE: [row]},
        "stack": f"one\ntwo {HOSTILE[1:]}\n",
    }
    for command, answer in answers.items():
        for verb in ("ask", "text"):
            monkeypatch.setattr(Client, verb, lambda *words, told=answer, **query: told)
        assert main([*(["--json"] if as_json else []), command]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.split("\n") if not line.isprintable()] == []
        assert ":smile:[red]" in out
        assert "\ufe0f" not in out


def test_nothing_that_happens_moves_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"name": HOSTILE, "version": HOSTILE, "instances": 1, "total": 1, "failures": 0, "retired": False}
    status = {**STATUS, "overload": HOSTILE, "counts": {HOSTILE: 1}}
    for as_json in ([], ["--json"]):
        monkeypatch.setattr(
            Client, "ask", lambda client, method, path: status if path.endswith("jstack") else {"slps": [row]}
        )
        assert main([*as_json, "top", "--rounds", "1"]) == 0
        out = capsys.readouterr().out
        assert [line for line in out.split("\n") if not line.isprintable()] == []
        assert ":smile:[red]" in out


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a/b", "a%2Fb"), ("/", "%2F"), ("..", "%2E%2E"), (".", "%2E"), ("...", "..."), ("a.b", "a.b"), ("\n", "%0A"),
        ("?#%", "%3F%23%25"), ("\udcff", "%FF"), ("\u00fc", "%C3%BC"),
    ],
)  # fmt: skip
def test_a_name_is_one_part_of_a_path(text: str, part: str) -> None:
    assert named(text) == part


@pytest.mark.parametrize("text", ["", "\ud800"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Failed) as failed:
        named(text)
    assert failed.value.status == 2
