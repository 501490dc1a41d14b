"""API plugins, in memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attrs import evolve
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

import slp_plugins
from gortc.plugins import PluginError
from gortc.service.registry import ServiceError
from tests.oam.desk import Desk, Phone

TOYS = """
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI, IAccess, Problem

class Mute:
    def __str__(self):
        raise ValueError("no words")

ANSWERS = {
    "value": lambda asked: (0, {"got": [asked.method, asked.path, dict(asked.query), asked.body, asked.role]}),
    "later": lambda asked: succeed((0, {"later": True})),
    "none": lambda asked: (0, None),
    "own": lambda asked: (42, {"msg": "too many toys"}),
    "raw": lambda asked: (-1, "just text"),
    "raises": lambda asked: 1 / 0,
    "fails": lambda asked: fail(ValueError("no")),
    "cancels": lambda asked: fail(CancelledError()),
    "exits": lambda asked: exit(3),
    "odd": lambda asked: (_ for _ in ()).throw(Problem(410, 77, "gone \\ud83d")),
    "status": lambda asked: (_ for _ in ()).throw(Problem("no", 77, "status")),
    "far": lambda asked: (_ for _ in ()).throw(Problem(99, 77, "status")),
    "big": lambda asked: (_ for _ in ()).throw(Problem(410, 10**30, "code")),
    "allow": lambda asked: (_ for _ in ()).throw(Problem(405, 2, "allow", "GET\\r\\nX: y")),
    "mute": lambda asked: (_ for _ in ()).throw(Problem(410, 77, Mute())),
    "number": lambda asked: (_ for _ in ()).throw(Problem(410, 77, 5)),
    "rawodd": lambda asked: (-1, "half \\ud83d"),
    "bodyodd": lambda asked: (0, {"half": "\\ud83d"}),
    "problem": lambda asked: (_ for _ in ()).throw(Problem(410, 77, "gone")),
    "hangs": lambda asked: Deferred(),
    "code": lambda asked: ("0", {}),
    "bool": lambda asked: (True, {}),
    "negative": lambda asked: (-2, {}),
    "pair": lambda asked: {"no": "code"},
    "body": lambda asked: (0, {"not": object()}),
    "list": lambda asked: (0, [1]),
    "rawbody": lambda asked: (-1, b"bytes"),
}

@implementer(IPlugin, IAPI)
class Toys:
    name = "toys.v1"
    gone = False
    def load(self, context):
        if context.config.get("broken"):
            raise ValueError("broken toys")
        self.context = context
    def unload(self):
        if self.context.config.get("stays"):
            raise ValueError("it stays")
    async def coroutine(self, asked):
        return 0, {"await": await succeed(1)}
    def get(self, asked):
        if asked.path == "coroutine":
            return self.coroutine(asked)
        return ANSWERS[asked.path](asked)
    def post(self, asked):
        return ANSWERS["value"](asked)
    put = delete = post

toys = Toys()
"""
ACCESS = """
from twisted.internet.defer import Deferred, succeed
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IAPI, IAccess

@implementer(IPlugin, IAccess)
class Access:
    name = "access.v1"
    seen = []
    def load(self, context):
        pass
    def unload(self):
        pass
    def allow(self, asked):
        self.seen.append((asked.role, asked.method, asked.path, asked.address))
        if "hangs" in asked.path:
            return Deferred()
        if "raises" in asked.path:
            1 / 0
        if "later" in asked.path:
            return succeed(True)
        return 1 if "truthy" in asked.path else "v1/stack" not in asked.path
    get = post = put = delete = lambda self, asked: (0, {"seen": self.seen})

access = Access()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the plugins are."""
    monkeypatch.setattr(slp_plugins, "__path__", [*slp_plugins.__path__, str(tmp_path)])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("slp_plugins."):
            del sys.modules[name]
            delattr(slp_plugins, name.partition(".")[2])


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    """With the toys."""
    (folder / "toys.py").write_text(TOYS)
    made = Desk(folder)
    assert made.ask("/apim/v1/toys.v1", "POST")[0] == 200
    yield made
    made.server.stopService()


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("later", {"code": 0, "msg": "OK", "later": True}),
        ("coroutine", {"code": 0, "msg": "OK", "await": 1}),
        ("none", {"code": 0, "msg": "OK"}),
        ("own", {"code": 42, "msg": "too many toys"}),
        ("raw", "just text"),
    ],
)
def test_answers(desk: Desk, path: str, answer: Any) -> None:
    assert desk.ask(f"/toys/v1/{path}") == (200, answer)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_what_a_plugin_is_asked(desk: Desk, method: str) -> None:
    status, answer = desk.ask("/toys/v1/value?a=1&b=x%20y", method, body=b'{"c": [1]}')
    assert (status, answer["got"]) == (200, [method, "value", {"a": "1", "b": "x y"}, {"c": [1]}, "admin"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("raises", 500, 4), ("fails", 500, 4), ("exits", 500, 4), ("cancels", 500, 4),
        ("problem", 410, 77), ("code", 500, 5),
        ("bool", 500, 5), ("negative", 500, 5), ("pair", 500, 5), ("body", 500, 6), ("list", 500, 6),
        ("rawbody", 500, 6), ("unknown", 500, 4), ("status", 500, 4), ("far", 500, 4), ("big", 500, 4),
        ("allow", 500, 4), ("mute", 500, 4), ("rawodd", 500, 6), ("bodyodd", 500, 6),
    ],
)  # fmt: skip
def test_plugins_that_do_it_wrong(desk: Desk, path: str, status: int, code: int) -> None:
    said, answer = desk.ask(f"/toys/v1/{path}")
    assert (said, answer["code"]) == (status, code)
    assert desk.ask("/toys/v1/none")[0] == 200
    [row] = [row for row in desk.ask("/apim/v1/apis")[1]["apis"] if row["name"] == "toys.v1"]
    assert (row["total"], row["failures"]) == (2, int(path not in ("problem", "cancels")))


def test_problems_that_can_hardly_be_told(desk: Desk) -> None:
    """What can be said of them is."""
    assert desk.ask("/toys/v1/odd") == (410, {"code": 77, "msg": "gone ?"})
    assert desk.ask("/toys/v1/number") == (410, {"code": 77, "msg": "5"})


def test_a_plugin_that_hangs_is_waited_for_in_time_only(desk: Desk) -> None:
    waiting = desk.begin("/toys/v1/hangs")
    assert desk.ask("/toys/v1/none")[0] == 200
    desk.reactor.advance(9.9)
    assert not waiting.said()
    desk.reactor.advance(0.2)
    status, answer = waiting.answer()
    assert (status, answer["code"], answer["msg"]) == (504, 4, "no answer in 10 s")
    assert not desk.reactor.getDelayedCalls() or all("addTimeout" not in repr(call) for call in desk.reactor.calls)


def test_who_asks_and_leaves_leaves_nothing(desk: Desk) -> None:
    waiting = desk.begin("/toys/v1/hangs")
    waiting.leave()
    desk.reactor.advance(20)
    [row] = [row for row in desk.ask("/apim/v1/apis")[1]["apis"] if row["name"] == "toys.v1"]
    assert (row["total"], row["failures"]) == (1, 0)


def test_a_body_that_is_no_json(desk: Desk) -> None:
    status, answer = desk.ask("/toys/v1/value", "POST", body=b"{")
    assert (status, answer["code"]) == (400, 8)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/toys/v2/value", 404, 3), ("GET", "/nothing/v1/", 404, 3), ("PATCH", "/toys/v1/value", 405, 2),
        ("GET", "/runtime/v1/nothing/at/all", 404, 1), ("PUT", "/runtime/v1/stack", 405, 2),
        ("POST", "/apim/v1/none.v1", 422, 8), ("POST", "/apim/v1/toys", 422, 8), ("DELETE", "/apim/v1/none.v1", 404, 1),
        ("POST", "/apim/v1/toys.v1?file=../toys", 422, 8), ("POST", "/apim/v1/toys.v1?file=echo", 422, 8),
    ],
)  # fmt: skip
def test_what_can_not_be(desk: Desk, method: str, path: str, status: int, code: int) -> None:
    said, answer = desk.ask(path, method)
    assert (said, answer["code"]) == (status, code)


def test_it_is_loaded_anew_and_removed(desk: Desk, folder: Path) -> None:
    (folder / "toys.py").write_text(TOYS.replace("too many toys", "no toys"))
    status, row = desk.ask("/apim/v1/toys.v1", "POST")
    assert (status, row["name"], row["plugin"], row["total"]) == (200, "toys.v1", "toys.v1", 0)
    assert desk.ask("/toys/v1/own")[1]["msg"] == "no toys"
    (folder / "toys.py").write_text("broken")
    status, answer = desk.ask("/apim/v1/toys.v1", "POST")
    assert (status, answer["msg"]) == (422, "toys.py, line 1: NameError: name 'broken' is not defined")
    assert desk.ask("/toys/v1/own")[1]["msg"] == "no toys"
    assert desk.ask("/apim/v1/toys.v1", "DELETE")[0] == 200
    assert desk.ask("/toys/v1/own")[0] == 404


def test_a_second_name_survives_a_restart(desk: Desk, folder: Path) -> None:
    assert desk.ask("/apim/v1/more.v3?file=toys.v1", "POST")[0] == 200
    assert desk.ask("/apim/v1/conference.v1", "POST")[0] == 200
    assert desk.ask("/apim/v1/conference.v1", "DELETE")[0] == 200
    assert json.loads((folder / "state").read_text()) == {"apis": {"more.v3": "toys.v1", "conference.v1": None}}
    again = Desk(folder, start=True)
    assert again.ask("/more/v3/own")[1]["code"] == 42
    assert again.ask("/toys/v1/own")[1]["code"] == 42
    assert again.ask("/conference/v1/rooms")[0] == 404
    again.ask("/apim/v1/more.v3", "DELETE")
    again.ask("/apim/v1/conference.v1", "POST")
    assert not (folder / "state").exists()


def test_what_the_settings_say(folder: Path) -> None:
    (folder / "toys.py").write_text(TOYS)
    desk = Desk(folder, start=True, apis={"toys.v1": {"broken": True}, "conference.v1": None})
    assert [row["name"] for row in desk.ask("/apim/v1/apis")[1]["apis"]] == []


@pytest.mark.parametrize("text", [ACCESS.replace("        pass\n    def unload", "        1 / 0\n    def unload"), ""])
def test_without_what_decides_the_server_does_not_start(folder: Path, text: str) -> None:
    """Whether it fails, or its file has gone and it was loaded before."""
    (folder / "access_toy.py").write_text(text)
    (folder / "state").write_text('{"apis": {"access.v1": "access.v1"}}')
    with pytest.raises(ServiceError, match=r"access\.v1 can't be loaded"):
        Desk(folder, start=True)


BREAKS: dict[str, Callable[[str], str]] = {
    "a missing import": lambda text: f"import no_such_module\n{text}",
    "a syntax error": lambda text: f"{text}\n(",
    "an exit": lambda text: f"{text}\nraise SystemExit(0)",
    "a null byte": lambda text: f"{text}\n\0",
    "another name for it": lambda text: text.replace('"access.v1"', '"access" + ".v1"') + "\n1 / 0",
    "a base class of ours": lambda text: 'from no_such_module import Base\nclass A(Base):\n    name = "access.v1"\n',
}  # fmt: skip


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("place", ["access_toy.py", "access_toy/__init__.py"])
def test_what_may_decide_and_can_not_be_imported(folder: Path, how: str, place: str) -> None:
    """The server does not start, whether the settings name it or not."""
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_text(BREAKS[how](ACCESS))
    settings: dict[str, Any]
    for settings in ({}, {"apis": {"access.v1": {}}}):
        with pytest.raises(ServiceError, match=r"access\.v1 may be .* slp_plugins\.access_toy can't be imported: .+"):
            Desk(folder, start=True, **settings)


def test_what_may_decide_in_a_package_or_unread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "access_toy"
    package.mkdir()
    (package / "__init__.py").write_text("from slp_plugins.access_toy.rules import access\n")
    (package / "rules.py").write_text(f"{ACCESS}\n1 / 0")
    with pytest.raises(ServiceError, match=r"slp_plugins\.access_toy can't be imported"):
        Desk(folder, start=True)
    (package / "rules.py").unlink()
    monkeypatch.setattr(Path, "read_bytes", lambda path: path.open("x").read())  # as where it may not be read
    with pytest.raises(ServiceError, match=r"slp_plugins\.access_toy can't be imported"):
        Desk(folder, start=True)


def test_what_decides_nothing_and_can_not_be_imported(folder: Path) -> None:
    """It is left out, and so is a policy that was removed."""
    (folder / "toys.py").write_text(f"{TOYS.replace('IAccess, ', '')}\n(")
    (folder / "state").write_text('{"apis": {"access.v1": null}}')
    assert Desk(folder, start=True).ask("/toys/v1/none")[0] == 404
    (folder / "access_toy.py").write_text(f"{ACCESS}\n(")
    assert Desk(folder, start=True).ask("/runtime/v1/stack")[0] == 200


def test_what_decides_is_found_by_its_file_and_not_by_a_cache(folder: Path) -> None:
    """A file may come with an older time than twisted.plugin's cache has."""
    toy = folder / "access_toy.py"
    toy.write_text("")
    Desk(folder, start=True)
    sys.modules.pop("slp_plugins.access_toy", None)
    toy.write_text(ACCESS)
    os.utime(toy, (1e9, 1e9))
    assert Desk(folder, start=True).ask("/runtime/v1/stack")[0] == 403


def test_what_decides_can_not_be_had_later(folder: Path) -> None:
    """It says why, and changes nothing: neither a load nor other settings."""
    desk = Desk(folder, start=True)
    (folder / "access_toy.py").write_text(f"{ACCESS}\n1 / 0")
    status, answer = desk.ask("/apim/v1/access.v1", "POST")
    why = "slp_plugins.access_toy can't be imported: access_toy.py, line 28: ZeroDivisionError: division by zero"
    assert (status, answer["msg"]) == (422, f"no API is named 'access.v1'; {why}")
    for old, new in (({}, {"access.v1": {}}), ({"access.v1": None}, {})):
        desk.server.node.settings = evolve(desk.server.settings, apis=old)
        with pytest.raises(PluginError, match=r"access_toy can't be imported"):
            desk.server.management.apis.loader.prepare(new)
    desk.server.node.settings = evolve(desk.server.settings, apis={})
    desk.server.management.apis.loader.prepare({}).apply()
    assert [row["name"] for row in desk.ask("/apim/v1/apis")[1]["apis"]] == ["conference.v1"]
    (folder / "access_toy.py").write_text(ACCESS)
    assert desk.ask("/apim/v1/access.v1", "POST")[0] == 200
    (folder / "access_toy.py").write_text(f"{ACCESS}\n(")
    assert desk.ask("/apim/v1/conference.v1", "POST")[0] == 200
    assert desk.ask("/apim/v1/access.v1", "POST")[0] == 422
    assert desk.ask("/runtime/v1/stack")[0] == 403


def test_access_decides_first(desk: Desk, folder: Path) -> None:
    (folder / "access_toy.py").write_text(ACCESS)
    assert desk.ask("/apim/v1/access.v1", "POST")[0] == 200
    assert desk.ask("/runtime/v1/stack") == (403, {"code": 7, "msg": "access.v1 says no"})
    assert desk.ask("/runtime/v1/jstack")[0] == 200
    assert desk.ask("/toys/v1/later")[0] == 200
    assert desk.ask("/toys/v1/raises")[0] == 403
    assert desk.ask("/toys/v1/truthy")[0] == 403
    assert desk.ask("/healthz") == (200, "alive\n")
    waiting = desk.begin("/runtime/v1/channels/hangs")
    desk.reactor.advance(10)
    assert waiting.answer()[0] == 403
    assert desk.ask("/toys/v1/none", token="x" * 40)[0] == 401
    seen = desk.ask("/access/v1/")[1]["seen"]
    assert ["admin", "GET", "toys/v1/later", "192.168.1.1"] in seen
    assert not any("none" in path for _, _, path, _ in seen)


def test_what_is_called_access_must_be(desk: Desk) -> None:
    status, answer = desk.ask("/apim/v1/access.v1?file=toys.v1", "POST")
    assert (status, answer["msg"]) == (422, "access.v1 must provide IAccess")


def test_a_plugin_that_fails_as_it_is_unloaded(folder: Path) -> None:
    (folder / "toys.py").write_text(TOYS)
    desk = Desk(folder, start=True, apis={"toys.v1": {"stays": True}})
    assert desk.ask("/apim/v1/toys.v1", "DELETE")[0] == 200
    assert desk.ask("/toys/v1/none")[0] == 404


def test_readers_may_get_only(desk: Desk) -> None:
    desk.add("read", "r" * 40)
    desk.add("operate", "o" * 40)
    assert desk.ask("/toys/v1/none", token="r" * 40)[0] == 200
    assert desk.ask("/toys/v1/value", "POST", token="r" * 40)[0] == 403
    assert desk.ask("/toys/v1/value", "POST", token="o" * 40)[0] == 200
    assert desk.ask("/apim/v1/toys.v1", "POST", token="o" * 40)[0] == 403


def test_the_log_says_who(desk: Desk, folder: Path) -> None:
    """The name that the token file gives, in the log and in the access log; without one the role."""
    desk.add("operate", f"{'o' * 40} carol")
    events: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "gortc.api":
            events.append(str(formatEvent(event)))

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    try:
        desk.ask("/toys/v1/value?secret=1", "POST", token="o" * 40)
        desk.ask("/toys/v1/value", "POST")
        desk.ask("/toys/v1/value", "POST", token="x" * 40)
    finally:
        globalLogPublisher.removeObserver(observer)
    assert events == [
        "carol at 192.168.1.1: POST /toys/v1/value: 200",
        "admin at 192.168.1.1: POST /toys/v1/value: 200",
        "API 401: a stranger at 192.168.1.1: POST /toys/v1/value: 401",
    ]


NAMES = [
    "alice@gortc.local",
    "a/b@gortc.local",
    "sip://a//b",
    "50%",
    "100%25",
    "%2F",
    "a b?c=d#e",
    "ä/ö",
    "..",
    "/",
    "a;b&c+d",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relid", ["room1", "a/b", "50%", "%2F", "who?", "ä"])
def test_rooms_and_members_whatever_their_names(folder: Path, relid: str, name: str) -> None:
    """Percent-encoded in the path, so that a `/` of theirs is none of the path's."""
    desk = Desk(folder, start=True)
    phones = Phone(desk, "phone@gortc.local"), Phone(desk, "other@gortc.local")
    for phone, who in zip(phones, (name, "other@gortc.local"), strict=True):
        router = f"gortc.local;type=conference;relid={relid}"
        phone.say("INVITE", "d1", 1, "room", Router=router, From=who)
        phone.say("ACK", "d1", 2, "room", From=who)
    room = f"/conference/v1/rooms/{quote(relid, safe='')}"
    assert desk.ask("/conference/v1/rooms")[1]["rooms"] == [{"room": relid, "members": 2}]
    assert desk.ask(room)[1]["members"] == [name, "other@gortc.local"]
    assert desk.ask(f"{room}/{quote(quote(name, safe='') + '%', safe='')}", "DELETE")[0] == 404
    assert desk.ask(f"{room}/{quote(name, safe='')}", "DELETE")[0] == 200
    assert phones[0].said[-1]["Type"] == "BYE"
    assert desk.ask(room)[1]["members"] == ["other@gortc.local"]
    desk.server.stopService()


def test_a_room_says_who_is_away(folder: Path) -> None:
    desk = Desk(folder, start=True)
    phone = Phone(desk, "alice@gortc.local")
    phone.say("INVITE", "d1", 1, "room", Router="gortc.local;type=conference;relid=r")
    phone.say("ACK", "d1", 2, "room")
    channels = desk.server.node.channels
    channels.lost(channels.by_name[phone.name], phone)
    desk.reactor.advance(0)
    answer = desk.ask("/conference/v1/rooms/r/")[1]
    assert (answer["members"], answer["away"]) == (["alice@gortc.local"], ["alice@gortc.local"])
    desk.server.stopService()


def test_a_path_is_cut_before_it_is_decoded(desk: Desk, folder: Path) -> None:
    """A plugin gets both: the path in its one spelling, and its parts."""
    text = TOYS.replace(
        '"value": lambda asked: (0, {"got": [asked.method,', '"value": lambda asked: (0, {"got": [asked.parts,'
    )
    (folder / "toys.py").write_text(text)
    assert desk.ask("/apim/v1/toys.v1", "POST")[0] == 200
    got = desk.ask("/toys/v1/a%2Fb/c%252F/d%20?x=1", "POST")
    assert got[1]["got"][:2] == [["a/b", "c%2F", "d "], "a%2Fb/c%252F/d%20"]


def test_names_in_our_own_paths(folder: Path) -> None:
    """As everywhere: what is encoded in a path is a part of a name."""
    desk = Desk(folder, start=True)
    phone = Phone(desk, "a/b%25@gortc.local")
    phone.call("x/y z%")
    assert desk.ask(f"/runtime/v1/channels/{quote(phone.name, safe='')}")[1]["name"] == phone.name
    assert desk.ask(f"/runtime/v1/sessions/{quote('x/y z%', safe='')}")[1]["channel"] == phone.name
    assert desk.ask("/runtime/v1/sessions/x/y%20z%25")[1]["channel"] == phone.name
    assert desk.ask("/runtime/v1/channels/a/b")[0] == 404
    desk.server.stopService()
