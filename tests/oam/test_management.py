"""The management API in memory: HTTP as it is, no socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from gortc.server import StartFailed
from gortc.settings import Settings, SettingsError
from tests.oam.desk import Desk, Phone


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One."""
    made = Desk(tmp_path)
    yield made
    made.server.stopService()


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("/runtime/v1/jstack", "sessions"), ("/runtime/v1/distribute", "relids"), ("/runtime/v1/sessions", "sessions"),
        ("/runtime/v1/channels", "channels"), ("/runtime/v1/drain", "state"), ("/runtime/v1/settings", "settings"),
        ("/runtime/v1/which?uri=400@gortc.local", "service"), ("/slpm/v1/slps", "slps"),
    ],
)  # fmt: skip
def test_what_may_be_asked(desk: Desk, path: str, has: str) -> None:
    status, answer = desk.ask(path)
    assert (status, answer["code"], answer["msg"]) == (200, 0, "OK")
    assert has in answer


def test_texts(desk: Desk) -> None:
    assert desk.ask("/healthz") == (200, "alive\n")
    assert desk.ask("/readyz") == (200, "ready\n")
    assert "gortc_sessions 0.0" in desk.ask("/metrics")[1]
    assert "thread MainThread" in desk.ask("/runtime/v1/stack")[1]
    assert desk.ask("/openapi.json")[1]["openapi"] == "3.1.0"


def test_a_call(desk: Desk) -> None:
    """Its rows, and its end."""
    alice = Phone(desk, "alice@gortc.local")
    alice.call("some")
    base = "/runtime/v1/sessions"
    ((row,), more) = (desk.ask(base)[1][name] for name in ("sessions", "more"))
    assert (row["channel"], row["service"], more) == (alice.name, "echo", False)
    assert desk.ask(f"{base}?service=other")[1]["sessions"] == []
    assert f"instance of echo: {alice.name} some" in desk.ask("/runtime/v1/stack")[1]
    assert 'gortc_instances{service="echo"} 1.0' in desk.ask("/metrics")[1]
    path = f"{base}/some"
    assert desk.ask(path)[1]["legs"] == []
    assert desk.ask(f"/runtime/v1/channels/{alice.name}")[1]["sessions"] == [row]
    assert desk.ask(path, "DELETE") == (200, {"code": 0, "msg": "OK"})
    assert desk.ask(path, "DELETE")[0] in (404, 409)
    assert desk.ask(f"{base}/none")[0] == 404
    assert desk.ask(f"/runtime/v1/channels/{alice.name}", "DELETE")[0] == 200
    assert alice.closed == 1001
    assert desk.ask("/runtime/v1/channels/nobody", "DELETE")[0] == 404


@pytest.mark.proves("C-93")
@pytest.mark.parametrize("spelled", ["sip:alice@gortc.local", "alice@GORTC.local", "SIPS:%2561lice@gortc.LOCAL"])
def test_a_channel_by_any_spelling_of_its_name(desk: Desk, spelled: str) -> None:
    alice = Phone(desk, "alice@gortc.local")
    alice.call("some")
    assert desk.ask(f"/runtime/v1/channels/{spelled}")[1]["name"] == alice.name
    assert len(desk.ask(f"/runtime/v1/sessions?channel={spelled}")[1]["sessions"]) == 1
    assert desk.ask(f"/runtime/v1/sessions?channel=x{spelled}")[1]["sessions"] == []
    assert desk.ask(f"/runtime/v1/sessions/some?channel={spelled}")[0] == 200
    assert "INVITE" in desk.ask(f"/runtime/v1/sessions/some/ladder.txt?channel={spelled}")[1]
    assert desk.ask(f"/runtime/v1/channels/pbx:{alice.name}")[0] == 404
    assert desk.ask(f"/runtime/v1/channels/{spelled}", "DELETE")[0] == 200
    assert alice.closed == 1001


@pytest.mark.parametrize(
    ("query", "service", "why"),
    [
        ("uri=bob@gortc.local", "default", "nothing names a service"),
        ("uri=400@gortc.local", "hunt400", "nothing names a service; default hands it over to hunt400"),
        ("uri=500@gortc.local", None, "nothing names a service; default hands it over to sales, which is not loaded"),
        ("uri=600@GORTC.local", "default", "nothing names a service; default hands it over to default"),
        ("uri=400@gortc.local&router=x;type=echo", "echo", "its Router names the type"),
        ("uri=x&router=x;type=no", None, "no service is loaded as 'no'"),
    ],
)
def test_which_service(tmp_path: Path, query: str, service: str | None, why: str) -> None:
    """Also where one hands it over to another, and where that goes round and round."""
    numbers = {"400@gortc.local": "hunt400", "500@*": "sales", "600@*": "default"}
    desk = Desk(tmp_path, services={"default": {"numbers": numbers}})
    answer = desk.ask(f"/runtime/v1/which?{query.replace(';', '%3B')}")[1]
    assert (answer["service"], answer["why"]) == (service, why)
    desk.server.stopService()


def test_drain(desk: Desk) -> None:
    Phone(desk, "alice@gortc.local").call("some")
    assert desk.ask("/runtime/v1/drain", "DELETE")[0] == 409
    assert desk.ask("/runtime/v1/drain", "POST")[1]["state"] == "draining"
    assert desk.ask("/runtime/v1/drain", "POST")[0] == 409
    assert desk.ask("/readyz") == (503, "draining\n")
    assert desk.ask("/runtime/v1/drain", "DELETE")[1]["state"] == "serving"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, 3), ("GET", "/slpm/v1/none", 405, 2), ("PUT", "/readyz", 405, 2),
        ("GET", "/runtime/v1/sessions?limit=-1", 400, 8), ("GET", "/runtime/v1/sessions?what=1", 400, 8),
        ("GET", "/runtime/v1/sessions?limit=1&limit=1", 400, 8), ("GET", "/runtime/v1/which?uri=x&router=@@", 400, 8),
        ("GET", "/runtime/v1/channels/none", 404, 1),
    ],
)  # fmt: skip
def test_what_can_not_be(desk: Desk, method: str, path: str, status: int, code: int) -> None:
    said, answer = desk.ask(path, method)
    assert (said, answer["code"]) == (status, code)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401), ({"Authorization": "Basic eDp5"}, 401), ({"Authorization": "Bearer \xff"}, 401),
        ({"Host": "evil.example"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
        ({"Host": "localhost:2539"}, 200), ({"Host": "gortc.local"}, 200), ({"Host": "[::1]:2539"}, 200),
        ({"Origin": "http://127.0.0.1:2539"}, 200),
    ],
)  # fmt: skip
def test_who_may(desk: Desk, headers: dict[str, str], status: int) -> None:
    said, answer = desk.ask("/runtime/v1/jstack", "GET", "", b"", **headers)
    assert (said, answer["code"]) == (status, 0 if status == 200 else 7)


def test_roles_change_while_it_runs(desk: Desk) -> None:
    """So may a token be taken back; a file that can't be read changes nothing."""
    reader = "r" * 40
    assert desk.ask("/runtime/v1/jstack", token=reader)[0] == 401
    desk.file.write_text(f"admin {desk.token}\n\n# a comment\nread {reader}\n")
    assert desk.ask("/runtime/v1/jstack", token=reader)[0] == 200
    assert desk.ask("/runtime/v1/drain", "POST", reader)[0] == 403
    desk.file.write_text("nonsense")
    assert desk.ask("/runtime/v1/jstack", token=reader)[0] == 200
    desk.file.write_text(f"admin {desk.token}\n")
    assert desk.ask("/runtime/v1/jstack", token=reader)[0] == 401


def test_a_defect_is_no_catastrophe(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(desk.server, "overload")
    status, answer = desk.ask("/runtime/v1/jstack")
    assert (status, answer["code"]) == (500, 4)
    assert desk.ask("/healthz")[0] == 200


@pytest.mark.parametrize("text", ["", "admin short", f"king {'x' * 40}", "x"])
def test_bad_token_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "tokens").write_text(text)
    with pytest.raises(StartFailed, match="api_token_file: "):
        Desk(tmp_path)


def test_beyond_loopback_only_by_tls(tmp_path: Path) -> None:
    """And there /metrics, too, asks for a token."""
    with pytest.raises(SettingsError, match=r"api: .* listens beyond loopback, where tokens would go in the clear"):
        Settings(api="tcp:2539")
    with pytest.raises(SettingsError, match=r"api: .* is not an endpoint"):
        Settings(api="nonsense")
    assert Settings(api="tls:2539").api == "tls:2539"


def test_a_token_file_that_others_can_read_is_told(tmp_path: Path) -> None:
    events: list[str] = []
    observer: Any = lambda event: events.append(str(formatEvent(event)))  # noqa: E731
    file = tmp_path / "tokens"
    file.write_text(f"admin {'x' * 40}\n")
    globalLogPublisher.addObserver(observer)
    try:
        for mode in (0o600, 0o640):
            file.chmod(mode)
            Desk(tmp_path).server.stopService()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert sum("is not its owner's alone" in event for event in events) == 1
