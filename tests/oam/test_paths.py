"""However a path is spelled, what is done and what `access.v1` sees are the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

import slp_plugins
from gortc.oam.paths import Operation, Table, encoded, read
from gortc.oam.route import ADMIN, OPERATE, READ, Problem, Route
from tests.oam.desk import Desk, Phone

WATCHED = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI, IAccess

@implementer(IPlugin, IAccess)
class Access:
    name = "access.v1"
    seen = []
    forbidden = ("runtime/v1/drain", "runtime/v1/messages", "runtime/v1/channels/alice@gortc.local", "rooms/v1/")
    def load(self, context):
        self.seen.clear()
    def unload(self):
        pass
    def allow(self, asked):
        self.seen.append((asked.operation, asked.path, asked.parts, dict(asked.query), asked.body))
        return not asked.path.startswith(self.forbidden)
    get = post = put = delete = lambda self, asked: (0, {"seen": self.seen})

access = Access()

@implementer(IPlugin, IAPI)
class Rooms:
    name = "rooms.v1"
    def load(self, context):
        pass
    unload = lambda self: None
    get = post = put = delete = lambda self, asked: (0, {"path": asked.path, "parts": asked.parts})

rooms = Rooms()
"""
TABLE = Table([
    Route(method, path, role, "", lambda query: {})
    for method, path, role in (
        ("GET", "/a/v1/channels/<user:name>", READ), ("DELETE", "/a/v1/channels/<user:name>", OPERATE),
        ("GET", "/a/v1/sessions/<path:dialogue>", READ), ("DELETE", "/a/v1/sessions/<path:dialogue>", OPERATE),
        ("GET", "/a/v1/sessions/<path:dialogue>/ladder.svg", READ),
        ("GET", "/a/v1/sessions/<path:dialogue>/messages", OPERATE),
        ("GET", "/slpm/v1/slps", READ), ("POST", "/slpm/v1/<name>", ADMIN), ("DELETE", "/slpm/v1/<name>", ADMIN),
    )
])  # fmt: skip


def find(method: str, target: str) -> Operation:
    """What is asked for."""
    return TABLE.find(method, read(target).parts)


@pytest.mark.parametrize(
    ("method", "target", "name", "path", "named"),
    [
        ("GET", "/a/v1/channels/x@y", "GET /a/v1/channels/{name}", "a/v1/channels/x@y", "x@y"),
        ("HEAD", "/%61/v1/channels/x%40y", "GET /a/v1/channels/{name}", "a/v1/channels/x@y", "x@y"),
        ("DELETE", "/a/v1/channels/sip:x@Y", "DELETE /a/v1/channels/{name}", "a/v1/channels/x@y", "x@y"),
        ("GET", "http://h/a/v1/channels/x@y?q=/", "GET /a/v1/channels/{name}", "a/v1/channels/x@y", "x@y"),
        ("GET", "/a/v1/sessions/x/y", "GET /a/v1/sessions/{dialogue}", "a/v1/sessions/x%2Fy", "x/y"),
        ("GET", "/a/v1/sessions/x%2fy", "GET /a/v1/sessions/{dialogue}", "a/v1/sessions/x%2Fy", "x/y"),
        ("GET", "/a/v1/sessions/x%252Fy", "GET /a/v1/sessions/{dialogue}", "a/v1/sessions/x%252Fy", "x%2Fy"),
        ("GET", "/a/v1/sessions/..", "GET /a/v1/sessions/{dialogue}", "a/v1/sessions/..", ".."),
        ("GET", "/a/v1/sessions//", "GET /a/v1/sessions/{dialogue}", "a/v1/sessions/%2F", "/"),
        (
            "GET", "/a/v1/sessions/x/messages", "GET /a/v1/sessions/{dialogue}/messages",
            "a/v1/sessions/x/messages", "x",
        ),
        (
            "GET", "/a/v1/sessions/x%2Fmessages", "GET /a/v1/sessions/{dialogue}",
            "a/v1/sessions/x%2Fmessages", "x/messages",
        ),
        (
            "GET", "/a/v1/sessions/x/y/%6cadder.svg", "GET /a/v1/sessions/{dialogue}/ladder.svg",
            "a/v1/sessions/x%2Fy/ladder.svg", "x/y",
        ),
        ("GET", "/slpm/v1/slps", "GET /slpm/v1/slps", "slpm/v1/slps", None),
        ("POST", "/slpm/v1/%e4%bd%a0", "POST /slpm/v1/{name}", "slpm/v1/%E4%BD%A0", "你"),
    ],
)  # fmt: skip
def test_what_a_path_leads_to(method: str, target: str, name: str, path: str, named: str | None) -> None:
    found = find(method, target)
    assert (found.name, found.path, list(found.named.values())) == (name, path, [] if named is None else [named])


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/a/v1//channels/x", 404), ("GET", "//a/v1/channels/x", 404), ("GET", "/a/./v1/channels/x", 404),
        ("GET", "/a/x/../v1/channels/x", 404), ("GET", "/a/v1/channels/x/", 404), ("GET", "/A/v1/channels/x", 404),
        ("GET", "/a%2Fv1/channels/x", 404), ("GET", "/slpm/v1/slps/", 404), ("GET", "/slpm/v1/slps;x=1", 405),
        ("POST", "/slpm/v1/slps", 405), ("DELETE", "/a/v1/sessions/x/messages", 405),
        ("GET", "/a/v1/channels/%", 400), ("GET", "/a/v1/channels/%4", 400), ("GET", "/a/v1/channels/%ff", 400),
        ("GET", "/a/v1/channels/%ed%a0%80", 400), ("GET", "/\x80", 400), ("GET", "*", 400), ("GET", "a/v1", 400),
        ("GET", "http://me@h/a", 400), ("GET", "ftp://h/a", 400), ("CONNECT", "h:80", 400),
    ],
)  # fmt: skip
def test_what_leads_nowhere(method: str, target: str, status: int) -> None:
    """Whatever else may be there for it (an API plugin), it is none of these operations."""
    if status == 404 and not target.startswith("/slpm"):
        assert find(method, target).route is None
    else:
        with pytest.raises(Problem) as refused:
            find(method, target)
        assert refused.value.status == status


def test_a_method_that_is_not_there() -> None:
    for target, allow in (
        ("/slpm/v1/slps", "GET"),
        ("/slpm/v1/x", "DELETE, POST"),
        ("/a/v1/sessions/x/messages", "GET"),
    ):
        with pytest.raises(Problem) as refused:
            find("PUT", target)
        assert refused.value.allow == allow


PARTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=5)


@given(PARTS)
def test_one_spelling(parts: list[str]) -> None:
    """What is written in it is read as the same; it needs no other."""
    path = encoded(*parts)
    assert read(f"/{path}").parts == tuple(parts)
    assert path.isascii()
    assert path.isprintable()
    everything = "/".join("".join(f"%{octet:02x}" for octet in part.encode()) for part in parts)
    assert read(f"/{everything}").parts == tuple(parts)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """With a policy that forbids some paths."""
    monkeypatch.setattr(slp_plugins, "__path__", [*slp_plugins.__path__, str(tmp_path)])
    (tmp_path / "watched.py").write_text(WATCHED)
    made = Desk(tmp_path)
    assert made.ask("/apim/v1/rooms.v1", "POST")[0] == 200
    assert made.ask("/apim/v1/access.v1", "POST")[0] == 200
    yield made
    made.server.stopService()
    for name in [name for name in sys.modules if name.startswith("slp_plugins.watched")]:
        del sys.modules[name]


def spellings(path: str) -> list[str]:
    """Of one path."""
    first, _, rest = path.partition("/")
    return [
        f"/{path}", f"//{path}", f"/{path}/", f"/./{path}", f"/x/../{path}", f"/{first}//{rest}", f"/{first}/./{rest}",
        f"http://127.0.0.1:2539/{path}", f"HTTPS://localhost/{path}", f"http://evil.example/{path}", f"/{path}?x=1",
        f"/{path}?", f"/{path};x=1", f"/{path}%20", f"/{path}%00", f"/{path}%2F", f"/{path.upper()}", f"/{path}#x",
        "/" + "".join(f"%{ord(letter):02x}" if letter != "/" else letter for letter in path),
        "/" + "".join(f"%{ord(letter):02X}" for letter in path), f"/{quote(quote(path[:1] + '%', safe=''))}{path[1:]}",
        f"/{path[:-1]}%{ord(path[-1]):02x}", f"/{path[:-1]}%25{ord(path[-1]):02x}", f"/{path}%", path,
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "runtime/v1/drain", "runtime/v1/messages", "runtime/v1/channels/alice@gortc.local",
        "runtime/v1/channels/sip:alice@GORTC.local", "rooms/v1", "rooms/v1/any",
    ],
)  # fmt: skip
def test_what_is_forbidden_in_one_spelling_is_so_in_all(desk: Desk, method: str, path: str) -> None:
    Phone(desk, "alice@gortc.local")
    for spelled in spellings(path):
        waiting = desk.begin(spelled, method)
        assert int(waiting.said().split()[1]) in (400, 403, 404, 405), spelled
        waiting.leave()
    assert desk.server.drain.state == "serving"


def test_what_a_policy_sees(desk: Desk) -> None:
    """The operation, and the very query and body that it gets."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for method, spelled, body, headers in (
        ("HEAD", "/%72untime/v1/stack", b"", {}),
        ("GET", "/runtime/v1/sessions/a/b/ladder.txt?channel=x%20y", b"", {}),
        ("GET", "/runtime/v1/sessions/a%2Fladder.txt", b"", {}),
        ("POST", "/slpm/v1/%6eothing?file=x;y", b'{"file": "z"}', form),
        ("DELETE", "/other/v1", b"", {}),
        ("DELETE", "/other/v1/a%2Fb/", b"", {}),
    ):
        desk.begin(spelled, method, body=body, **headers)
    seen: Any = desk.ask("/access/v1")[1]["seen"][-7:]
    assert [(operation, path) for operation, path, *_ in seen] == [
        ("GET /runtime/v1/stack", "runtime/v1/stack"),
        ("GET /runtime/v1/sessions/{dialogue}/ladder.txt", "runtime/v1/sessions/a%2Fb/ladder.txt"),
        ("GET /runtime/v1/sessions/{dialogue}", "runtime/v1/sessions/a%2Fladder.txt"),
        ("POST /slpm/v1/{name}", "slpm/v1/nothing"),
        ("DELETE /other/v1/...", "other/v1/"),
        ("DELETE /other/v1/...", "other/v1/a%2Fb"),
        ("GET /access/v1/...", "access/v1/"),
    ]
    assert [parts for _, _, parts, *_ in seen][1] == ["runtime", "v1", "sessions", "a/b", "ladder.txt"]
    assert [(query, body) for *_, query, body in seen[:4]] == [
        ({}, None), ({"channel": "x y"}, None), ({}, None), ({"file": "x;y"}, {"file": "z"}),
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["vault/open", "a b/\u00e4", "50%/x", "x//y", "/x", "a;b=1/c"])
def test_a_plugin_and_its_policy_see_one_path(desk: Desk, path: str) -> None:
    """A slash that is escaped is not one that is not: neither does what the other may not."""
    asked: dict[str, Any] = {}
    for spelled in (quote(path), quote(path, safe=""), quote(path).replace("o", "%6f"), quote(path) + "//"):
        desk.ask("/apim/v1/access.v1", "POST")
        status, answer = desk.ask(f"/other/v1/{spelled}")
        assert (status, answer["code"]) == (404, 3)
        seen = desk.ask("/access/v1")[1]["seen"][0]
        desk.ask("/apim/v1/access.v1", "DELETE")
        answer = desk.ask(f"/rooms/v1/{spelled}")[1]
        assert f"other/v1/{answer['path']}" == seen[1]
        asked[answer["path"]] = asked.get(answer["path"], answer["parts"])
        assert asked[answer["path"]] == answer["parts"] == seen[2][2:]
    assert len(asked) == 2


def test_nobody_learns_what_there_is_before_he_may_read(desk: Desk) -> None:
    for path in ("/", "/nothing", "/runtime/v1/nothing", "/toys/v1/x", "/rooms/v1/x", "/%", "/runtime/v1/drain"):
        for method in ("GET", "PUT", "PATCH", "OPTIONS"):
            status, answer = desk.ask(path, method, token="x" * 40)
            assert (status, answer["code"]) == (401, 7), (method, path)


def test_of_who_is_nobody_no_path_is_taken_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open is open as it is written, to who has a token in each spelling."""
    assert desk.ask("/%68ealthz")[0] == desk.ask("http://localhost/healthz?x")[0] == 200
    assert desk.ask("/healthz", "HEAD", token="x" * 40)[0] == 200
    monkeypatch.setattr("gortc.oam.paths.decoded", None)
    monkeypatch.setattr("gortc.oam.paths.encoded", None)
    for target in ("/x" * 8000, "/%68ealthz", "/runtime/v1/drain", "*", "/healthz/", "healthz"):
        for method in ("GET", "POST"):
            assert desk.ask(target, method, token="x" * 40)[0] == 401
    for target in ("/healthz", "http://127.0.0.1/healthz"):
        assert desk.ask(target, token="x" * 40) == (200, "alive\n")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/x" * 64, 404), ("/x" * 65, 400), ("/" * 15000, 400), ("/access/v1/" + "x" * 8181, 200),
        ("/access/v1/" + "x" * 8182, 400), ("/access/v1/" + "x" * 8000 + "?x=" + "y" * 300, 400),
    ],
)  # fmt: skip
def test_a_target_has_bounds(desk: Desk, target: str, status: int) -> None:
    """64 parts, 8192 bytes."""
    assert desk.ask(target)[0] == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1", 200), ("limit=1&limit=1", 400), ("limit=%ff", 400), ("limit=%", 400), ("%ff=1", 400),
        ("&".join(f"f{at}=1" for at in range(200)), 400), ("=", 400), ("", 200), ("&&", 200), ("offset=", 400),
    ],
)  # fmt: skip
def test_queries(desk: Desk, query: str, status: int) -> None:
    assert desk.ask(f"/runtime/v1/sessions?{query}")[0] == status
