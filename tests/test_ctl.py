"""gortcctl: what it asks for, and how it prints it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from gortc.ctl.main import Client, Failed, main, show, told

ASKED = {
    "status": ("GET", "/runtime/v1/jstack", {}),
    "sessions --service s --limit 5": ("GET", "/runtime/v1/sessions", {"service": "s", "limit": "5"}),
    "session a@b d/e": ("GET", "/runtime/v1/sessions/a%40b/d%2Fe", {}),
    "session a d --end": ("DELETE", "/runtime/v1/sessions/a/d", {}),
    "channels --offset 3": ("GET", "/runtime/v1/channels", {"offset": "3"}),
    "close a@b": ("DELETE", "/runtime/v1/channels/a%40b", {}),
    "services": ("GET", "/slpm/v1/slps", {}),
    "drain": ("GET", "/runtime/v1/drain", {}),
    "drain begin": ("POST", "/runtime/v1/drain", {}),
    "drain cancel": ("DELETE", "/runtime/v1/drain", {}),
    "which x --router y": ("GET", "/runtime/v1/which", {"uri": "x", "router": "y"}),
    "settings": ("GET", "/runtime/v1/settings", {}),
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
        return {"code": 0, "msg": "OK", "some": {"thing": 1}}

    monkeypatch.setattr(Client, "ask", ask)
    assert main([*(["--json"] if as_json else []), *words.split()]) == 0
    assert asked[-1] == ASKED[words]
    out = capsys.readouterr().out
    assert json.loads(out)["some"] == {"thing": 1} if as_json else "some.thing" in out


def test_a_server_that_says_no(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(client: Client, *words: Any, **query: Any) -> Any:
        raise Failed(1, "no such thing")

    monkeypatch.setattr(Client, "ask", ask)
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
    assert [line.split() for line in lines[2:6]] == [["rows"], ["name", "number"], ["a", "[b]", "1"], ["?[2J", "-"]]
    assert lines[6] == "there are more: --offset, --limit"


@pytest.mark.parametrize(("body", "why"), [(b'{"msg": "why"}', "why"), (b"<html>", "<html>"), (b"[]", "[]")])
def test_what_the_server_says(body: bytes, why: str) -> None:
    assert told(body) == why
