"""A real browser: which pages may connect, and how they show who their user is."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.attack.kit import REALM, Victim
from tests.attack.test_identity import ALICE, KEY, key_set, token
from tests.page import Page

BROWSER_PATIENCE = 60.0
"""Seconds that a browser may take to start and to load a page."""
PAGE = """<!doctype html><title>page</title><script>
const results = {};
function attempt([name, url, protocols, message]) {
  return new Promise((resolve) => {
    const done = (outcome) => { results[name] = outcome; resolve(); };
    let socket;
    try { socket = new WebSocket(url, protocols); } catch (error) { return done(String(error)); }
    socket.onerror = () => done("refused");
    socket.onopen = () => socket.send(JSON.stringify(message));
    socket.onmessage = (event) => { done(JSON.parse(event.data).Code + " " + socket.protocol); socket.close(); };
  });
}
(async () => {
  for (const one of ATTEMPTS) await attempt(one);
  await fetch("/done", {method: "POST", body: JSON.stringify(results)});
})();
</script>"""
Attempt = tuple[str, str, list[str], dict[str, Any]]


class Site:
    """A web server with one page, which makes these `attempts`."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.done: queue.Queue[dict[str, str]] = queue.Queue()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = PAGE.replace("ATTEMPTS", json.dumps(site.attempts)).encode()
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                site.done.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    """One."""
    made = Site()
    yield made
    made.close()


@contextmanager
def browser(folder: Path, url: str) -> Iterator[None]:
    """A browser that shows `url`; every host is this machine."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    rules = "--host-resolver-rules=MAP * 127.0.0.1"
    child = subprocess.Popen(
        ["chromium", *options, rules, f"--user-data-dir={folder / 'profile'}", url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        child.terminate()
        child.wait(BROWSER_PATIENCE)


@pytest.mark.proves("C-7", "C-64")
def test_pages(victim: Callable[..., Victim], site: Site, tmp_path: Path, page: Page) -> None:
    """A page that is listed gets in, with a token by subprotocol. One of a stranger's host does not, even with a good
    token, nor one that has pointed its own host's name at the server (DNS rebinding)."""
    keys = key_set(tmp_path / "jwks.json", one=KEY)
    listed = f"http://app.example.com:{site.port}"
    server = victim(
        f'auth={{"jwt": {{"keys": {keys!r}, "audience": "gortc"}}}}, origins=({listed!r},), limits=Limits(logins=None)'
    )
    message: dict[str, Any] = {"Type": "MESSAGE", "Request-URI": f"talk@{REALM}", "From": ALICE, "To": f"talk@{REALM}"}
    message.update({"DialogueID": "page", "CSeq": 1, "Router": f"{REALM};type=talk", "Body": "hi"})

    def attempt(name: str, host: str, *protocols: str) -> Attempt:
        return (name, f"ws://{host}:{server.port}/rtc?userid={ALICE}", list(protocols), message)

    good = f"jsip.token.{token()}"
    bad = {"expired": "refused", "none": "refused"}
    wanted = {
        listed: {"token": "200 jsip", "by name": "200 jsip", **bad},
        f"http://evil.example:{site.port}": {"token": "refused", "by name": "refused", **bad},
    }
    for origin, outcomes in wanted.items():
        host = origin.split("/")[2].split(":")[0]
        site.attempts = [
            attempt("token", "127.0.0.1", "jsip", good),
            attempt("expired", "127.0.0.1", "jsip", f"jsip.token.{token(exp=1)}"),
            attempt("none", "127.0.0.1", "jsip"),
            attempt("by name", host, "jsip", good),
        ]
        with browser(tmp_path, origin + "/"):
            assert site.done.get(timeout=BROWSER_PATIENCE) == outcomes, origin
    assert good.rpartition(".")[2] not in server.log()
    assert server.count("handshake refused, 403") == 4
    assert server.count("handshake refused, 401") == 2
    page.add("a page of another host, in Chromium: with a good token, and by DNS rebinding", "refused")
