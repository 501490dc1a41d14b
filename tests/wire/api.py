"""A client of a server's management API, and a server that has one."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

from tests.wire.kit import PATIENCE, Node, Process

REALM = "gortc.test"
CONFIG = """
from gortc.tap import configure, make_application
settings = configure(
    realm="gortc.test", rtc=("tcp:0:interface=127.0.0.1",), log_format="json", api="tcp:0:interface=127.0.0.1",
    load_high=9.0, lag_high=1e9,
)
application = make_application(settings)
"""
READER, OPERATOR = "r" * 40, "o" * 40


class Api:
    """A client of it."""

    def __init__(self, folder: Path, process: Process, port: int) -> None:
        self.folder = folder
        self.process = process
        self.port = port
        self.node = Node(process, process.ports()[0], REALM)
        self.file = folder / "gortc.token"
        self.token = self.file.read_text().split()[1]

    def ask(
        self, method: str, path: str, token: str | None = "", body: bytes = b"", **headers: str
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, answer and headers; `token` is the admin's where it is empty."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        shown = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        try:
            client.request(method, path, body, {**shown, **headers})
            answer = client.getresponse()
            data = answer.read()
        finally:
            client.close()
        is_json = answer.headers["Content-Type"] == "application/json"
        return answer.status, json.loads(data) if is_json else data.decode(), answer.headers

    def get(self, path: str) -> Any:
        """What a GET answers, which goes well."""
        status, answer, _ = self.ask("GET", path)
        assert status == 200, answer
        if isinstance(answer, dict) and "openapi" not in answer:
            assert (answer["code"], answer["msg"]) == (0, "OK")
        return answer


def started(folder: Path, config: str = CONFIG) -> Api:
    """A server with its API."""
    (folder / "some.tac").write_text(config)
    process = Process(folder, "gortc", "--config", "some.tac")

    def find(events: list[dict[str, Any]]) -> int | None:
        found = [re.search(r":(\d+)$", event["event"]) for event in events if "management on" in event["event"]]
        return int(found[0][1]) if found and found[0] else None

    return Api(folder, process, process.wait_for(find))
