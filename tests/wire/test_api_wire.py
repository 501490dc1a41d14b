"""The management API of a server process, by a real HTTP client."""

from __future__ import annotations

import http.client
import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from attrs import fields

from gortc.settings import Settings
from tests.wire.api import CONFIG, OPERATOR, READER, REALM, Api, started
from tests.wire.kit import PUPPET, Peer, ended_well, plugin_folder, twistd


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One for all tests here."""
    made = started(plugin_folder(tmp_path_factory.mktemp("api"), puppet=PUPPET))
    with made.file.open("a") as file:
        file.write(f"# others\nread {READER}\noperate {OPERATOR}\n")
    yield made
    ended_well(made.process)


def test_its_token(api: Api) -> None:
    """It is made at the first start, for its owner only, and taken again at the next."""
    assert stat.S_IMODE(os.stat(api.file).st_mode) == 0o600
    assert len(api.token) >= 40


ENDPOINTS = [
    ("GET", "/runtime/v1/stack", "read"), ("GET", "/runtime/v1/jstack", "read"), ("GET", "/openapi.json", "read"),
    ("GET", "/runtime/v1/distribute", "read"), ("GET", "/runtime/v1/sessions", "read"),
    ("GET", "/runtime/v1/channels", "read"), ("GET", "/runtime/v1/drain", "read"), ("GET", "/slpm/v1/slps", "read"),
    ("GET", "/runtime/v1/settings", "admin"), ("GET", "/runtime/v1/which", "read"),
    ("DELETE", "/runtime/v1/drain", "operate"),
    ("DELETE", "/runtime/v1/channels/nobody@gortc.test", "operate"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "role"), ENDPOINTS)
def test_who_may(api: Api, method: str, path: str, role: str) -> None:
    """Nobody without a token, with a wrong one, or with too small a role."""
    for token in (None, "wrong", api.token[:-1], api.token + "x"):
        status, answer, headers = api.ask(method, path, token)
        assert (status, answer["code"]) == (401, 7)
        assert headers["WWW-Authenticate"].startswith("Bearer")
    roles = ("read", "operate", "admin")
    for own, token in zip(roles, (READER, OPERATOR, api.token), strict=True):
        status, answer, _ = api.ask(method, path, token)
        if roles.index(own) < roles.index(role):
            assert (status, answer["code"], answer["msg"]) == (403, 7, f"that needs the role {role}")
        else:
            assert status not in (401, 403)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_is_open(api: Api, path: str) -> None:
    assert api.ask("GET", path, None)[0] == 200
    assert api.ask("HEAD", path, None)[0] == 200


@pytest.mark.parametrize("path", ["/healthz", "/runtime/v1/jstack", "/metrics"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
        {"Host": "evil.example"}, {"Host": ""}, {"Host": "evil.example:2539", "Origin": "http://evil.example:2539"},
    ],
)  # fmt: skip
def test_no_page_may(api: Api, path: str, headers: dict[str, str]) -> None:
    """Neither across origins, nor by DNS rebinding."""
    status, answer, _ = api.ask("GET", path, "", b"", **headers)
    assert (status, answer["code"]) == (403, 7)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, 3), ("GET", "/nothing/v1", 404, 3), ("GET", "/runtime/v1/nothing", 404, 1),
        ("GET", "/runtime/v1/channels/nobody@gortc.test", 404, 1), ("PUT", "/runtime/v1/drain", 405, 2),
        ("PUT", "/slpm/v1/slps", 405, 2), ("GET", "/runtime/v1/sessions?limit=x", 400, 8),
        ("GET", "/runtime/v1/sessions?limit=1001", 400, 8), ("GET", "/runtime/v1/sessions?limit=1&limit=2", 400, 8),
        ("GET", "/runtime/v1/sessions?nothing=1", 400, 8), ("DELETE", "/runtime/v1/drain", 409, 9),
    ],
)  # fmt: skip
def test_what_can_not_be(api: Api, method: str, path: str, status: int, code: int) -> None:
    said, answer, _ = api.ask(method, path)
    assert (said, answer["code"]) == (status, code)
    assert answer["msg"]


def test_too_much(api: Api) -> None:
    """A body without an end is hung up on; a path that is too long gets an answer of HTTP's own."""
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        api.ask("POST", "/runtime/v1/drain", body=b"x" * 50_000_000)
    assert api.ask("POST", "/runtime/v1/drain", body=b"x" * 65_537)[0] == 413
    assert api.ask("GET", "/" + "x" * 60_000)[0] == 400
    api.get("/healthz")


def test_what_runs(api: Api) -> None:
    """A call, as each of them tells it."""
    alice = Peer(api.node, "alice")
    talk = alice.open("INVITE", "puppet", Router=f"{REALM};type=puppet;relid=api-key", Body="v=0")
    api.node.wait_seen(talk.id, "INVITE")
    echo = alice.open("INVITE", "echo", Router=f"{REALM};type=echo", Body="v=0")
    echo.expect(180)
    echo.expect(200)
    echo.ack()
    counts = api.get("/runtime/v1/jstack")
    assert counts["sessions"] == 2
    assert counts["connected"] == 1
    assert counts["overload"] == "calm"
    (row,) = api.get("/runtime/v1/sessions?service=puppet")["sessions"]
    assert (row["dialogue"], row["channel"], row["caller"]) == (talk.id, alice.name, alice.name)
    assert row["outgoing"] is False
    some = api.get(f"/runtime/v1/sessions?channel={alice.name}&limit=1")
    assert (len(some["sessions"]), some["more"]) == (1, True)
    rest = api.get(f"/runtime/v1/sessions?channel={alice.name}&limit=1&offset=1")
    assert (len(rest["sessions"]), rest["more"]) == (1, False)
    assert {row["dialogue"] for row in some["sessions"] + rest["sessions"]} == {talk.id, echo.id}
    distribute = api.get("/runtime/v1/distribute")
    assert distribute["relids"] == [{"relid": "api-key", "service": "puppet", "legs": [talk.id]}]
    assert {row["dialogue"]: row["instance"].split()[0] for row in distribute["dialogues"]} == {
        talk.id: "puppet", echo.id: "echo",
    }  # fmt: skip
    (service,) = [row for row in api.get("/slpm/v1/slps")["slps"] if row["name"] == "echo"]
    assert service["instances"] == 1
    stack = api.get("/runtime/v1/stack")
    assert f"instance of echo: {alice.name} {echo.id}" in stack
    assert re.search(r"echo\.py:\d+ echo\n", stack)  # where its coroutine waits
    assert "thread MainThread" in stack
    channel = api.get(f"/runtime/v1/channels/{alice.name}")
    assert channel["connected"]
    assert len(channel["sessions"]) == 2
    figures = api.get("/metrics")
    assert re.search(r"^gortc_sessions 2\.0$", figures, re.M)
    assert re.search(r'^gortc_instances\{service="echo"\} 1\.0$', figures, re.M)
    assert re.search(r"^process_resident_memory_bytes \d", figures, re.M)
    status, _, _ = api.ask("DELETE", f"/runtime/v1/channels/{alice.name}")
    assert status == 200
    assert alice.closed() == (1001, "closed by the operator")
    assert api.ask("DELETE", f"/runtime/v1/channels/{alice.name}")[0] == 409


def test_an_operator_ends_a_call(api: Api) -> None:
    """Both legs are hung up. A DialogueID may be anything, and is the channel's own."""
    carol, dave = Peer(api.node, "carol"), Peer(api.node, "dave")
    up = carol.open("INVITE", dave.name, Body="offer", DialogueID="a/b c?d=e&f%")
    down = dave.answering(Body="offer")
    down.reply(200, Body="answer")
    up.expect(200)
    up.ack()
    down.expect("ACK")
    path = f"/runtime/v1/sessions/{quote(up.id, safe='')}"
    told = api.get(path)
    assert told["dialogue"] == up.id
    assert [(leg["channel"], leg["outgoing"]) for leg in told["legs"]] == [(dave.name, True)]
    assert api.ask("GET", f"{path}?channel={carol.name}")[0] == 200
    assert api.ask("GET", f"{path}?channel={dave.name}")[0] == 404
    assert api.ask("GET", f"{path}x")[0] == 404
    assert api.ask("DELETE", path)[0] == 200
    for talk in (up, down):
        bye = talk.expect("BYE", Reason="ended by the operator")
        talk.reply(200, bye)
    carol.fence()
    dave.fence()
    assert api.ask("GET", path)[0] == 404
    assert api.ask("DELETE", path)[0] == 404


@pytest.mark.parametrize(
    ("uri", "router", "service", "why"),
    [
        ("bob@gortc.test", None, "default", "nothing names a service"),
        ("400@gortc.test", None, "hunt400", "nothing names a service; default hands it over to hunt400"),
        ("echo@gortc.test", "gortc.test;type=echo", "echo", "its Router names the type"),
        ("x@gortc.test", "gortc.test;type=echo, b.test;type=x", "echo", "its Router names the type"),
        ("x@gortc.test", "gortc.test;type=nothing", None, "no service is loaded as 'nothing'"),
        ("x@gortc.test", "gortc.test;relid=rel_gortc.test_1", None, "the instance of this relid is gone"),
        ("x@gortc.test", "gortc.test;type=puppet;relid=new", "puppet", "its Router names the type"),
    ],
)
def test_which_service_would_get_it(api: Api, uri: str, router: str | None, service: str | None, why: str) -> None:
    query = f"uri={quote(uri)}" + ("" if router is None else f"&router={quote(router)}")
    told = api.get(f"/runtime/v1/which?{query}")
    assert (told["service"], told["legs"], told["why"]) == (service, None, why)


def test_which_instance_would_get_it(api: Api) -> None:
    erin = Peer(api.node, "erin")
    router = f"{REALM};type=puppet;relid=there"
    talk = erin.open("INVITE", "puppet", Router=router, Body="v=0")
    api.node.wait_seen(talk.id, "INVITE")
    told = api.get(f"/runtime/v1/which?uri=x&router={quote(router)}")
    assert (told["service"], told["legs"], told["why"]) == ("puppet", [talk.id], "its relid is an instance's")
    assert api.ask("GET", f"/runtime/v1/which?uri=x&router={quote('a@@b')}")[0] == 400


def test_its_settings(api: Api) -> None:
    told = api.get("/runtime/v1/settings")["settings"]
    assert told["realm"] == REALM
    assert told["auth"] == "loopback"
    assert told["times"]["ping"] == 15.0
    assert told["limits"]["methods"]["INVITE"] == {"per_second": 5, "burst": 50}
    assert set(told) == {field.name for field in fields(Settings)}


def test_no_secret_is_told(tmp_path: Path) -> None:
    hidden = (
        'auth={"webhook": {"url": "http://127.0.0.1/?key=hidden", "authorization": "hidden"}}, '
        'routes={"b.test": Route("ws://b.test/rtc", authorization="hidden")}, services={"echo": {"key": "hidden"}},'
    )
    text = CONFIG.replace("log_format", f"{hidden} log_format").replace(
        "from gortc.tap", "from gortc import Route\nfrom gortc.tap"
    )
    api = started(tmp_path, text)
    told = api.get("/runtime/v1/settings")["settings"]
    assert (told["auth"], told["routes"], told["services"]) == (["webhook"], {"b.test": "ws://b.test/rtc"}, ["echo"])
    assert "hidden" not in json.dumps(told)
    ended_well(api.process)


def test_its_description(api: Api) -> None:
    """Every path of it is there, and says what it knows."""
    told = api.get("/openapi.json")
    assert told["openapi"].startswith("3.1")
    for method, path, role in ENDPOINTS:
        path = re.sub("/channels/.*", "/channels/{name}", path)
        assert told["paths"][path][method.lower()]["security"] == [{"token": [role]}]
    assert told["paths"]["/healthz"]["get"]["security"] == []


def test_what_is_logged(api: Api) -> None:
    """Who has changed something; no token, and no query."""
    api.ask("DELETE", "/runtime/v1/drain?secret=1", OPERATOR)
    api.process.wait_for(
        lambda events: (
            any("operate at 127.0.0.1: DELETE /runtime/v1/drain: 400" in event["event"] for event in events) or None
        )
    )
    log = "".join(json.dumps(event) for event in api.process.events)
    assert api.token not in log
    assert OPERATOR not in log
    assert "secret" not in log


def test_draining(tmp_path: Path) -> None:
    """It is begun, taken back, and begun for good."""
    api = started(tmp_path)
    alice = Peer(api.node, "alice")
    talk = alice.open("INVITE", "echo", Router=f"{REALM};type=echo", Body="v=0")
    talk.expect(180)
    talk.expect(200)
    talk.ack()
    assert api.get("/runtime/v1/drain") == {"code": 0, "msg": "OK", "state": "serving", "left": 1, "seconds": 0.0}
    for _ in range(2):
        status, answer, _ = api.ask("POST", "/runtime/v1/drain")
        assert (status, answer["state"]) == (200, "draining")
        assert 0 < answer["seconds"] <= 60
        assert api.ask("POST", "/runtime/v1/drain")[0] == 409
        assert api.ask("GET", "/readyz")[:2] == (503, "draining\n")
        assert api.ask("GET", "/healthz")[0] == 200
        alice.open("MESSAGE", "echo", Router=f"{REALM};type=echo").expect(503)
        status, answer, _ = api.ask("DELETE", "/runtime/v1/drain")
        assert (status, answer["state"]) == (200, "serving")
        assert api.ask("GET", "/readyz")[0] == 200
    api.ask("POST", "/runtime/v1/drain")
    talk.send("BYE")
    talk.expect(200)
    alice.closed()
    assert api.process.wait() in (0, -15, -2)
    ended_well(api.process)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no tokens"), ("admin short", "32 characters"), ("x" * 40, "a line is read, operate or admin"),
        (f"king {'x' * 40}", "a line is read, operate or admin"),
    ],
)  # fmt: skip
def test_tokens_that_can_not_be(tmp_path: Path, text: str, why: str) -> None:
    """The start ends with one line, which does not quote them."""
    (tmp_path / "gortc.token").write_text(text)
    (tmp_path / "some.tac").write_text(CONFIG)
    run = twistd("-n", "--pidfile=", "gortc", "--config", "some.tac")
    ended = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "gortc: api_token_file: " in ended.stdout
    assert why in ended.stdout
    assert "x" * 40 not in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
