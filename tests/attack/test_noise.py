"""Attacks on who reads: noise that hides, text that forges, a terminal that obeys; names and files of a wrong kind."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from gortc.admission.static import hash_password
from tests.attack.kit import REALM, Attacker, Honest, Victim
from tests.certificates import Issued, issue
from tests.page import Page
from tests.wire.api import started
from tests.wire.kit import PATIENCE, Json, Node, Peer, Process, ended_well, plugin_folder
from tests.wire.proxy import free_port

Make = Callable[..., Victim]
MALLORY = f"mallory@{REALM}"
FAKE = "2026-01-05T09:30:00.000Z info  [gortc.api] root at 127.0.0.1: POST /slpm/v1/x: 200"
FORGED = f"x\n{FAKE}\x1b[2J\u202e"
"""What a peer says to have a line of the log, and a terminal, to itself."""


def basic(name: str, password: str) -> str:
    """Credentials."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def stray(dialogue: str) -> Json:
    """A response that nobody has asked for."""
    return {"Type": "RESPONSE", "Code": 200, "From": "a", "To": "b", "DialogueID": dialogue, "CSeq": 1}


def pour(attacker: Attacker, seconds: float, messages: Iterator[Json]) -> int:
    """Send these for so long; how many."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(8):
            attacker.send(next(messages))
            sent += 1
        time.sleep(0.02)
    return sent


def strays(length: int) -> Iterator[Json]:
    """One after the other, with DialogueIDs of that length."""
    number = 0
    while True:
        number += 1
        yield stray(f"{number:0{length}}")


def logged(server: Victim, of: str) -> list[Json]:
    """The lines with that reason."""
    return [event for event in list(server.process.events) if event.get("reason") == of and "detail" in event]


@pytest.mark.proves("M-28")
def test_noise_beside_failed_logins(victim: Make, page: Page) -> None:
    """One user who makes noise, and one address that guesses, hide nobody who fails to log in elsewhere."""
    users = {MALLORY: hash_password("m"), f"honest@{REALM}": hash_password("h")}
    server = victim(
        f'auth={{"static": {{"users": {users!r}}}}}, proxies=(), limits=Limits(failures=None, handshakes=None)'
    )
    with Honest(server, Authorization=basic(f"honest@{REALM}", "h"), stays=True) as honest:
        noisy = Attacker(server.port)
        assert noisy.handshake(MALLORY, Authorization=basic(MALLORY, "m")) == 101
        flood = Thread(target=pour, args=(noisy, 6.0, strays(20)), daemon=True)
        flood.start()
        tried = 0
        while flood.is_alive():
            for address in ["127.0.0.77"] * 5 + [f"127.0.1.{tried % 250 + 1}"]:
                attacker = Attacker(server.port, address)
                assert attacker.handshake(MALLORY) == 401
                attacker.close()
            tried += 1
            flood.join(0.3)
        noisy.close()  # what it has sent is read at 200 frames a second
    failed = logged(server, "not admitted")
    seen = len({event["channel"] for event in failed if event["channel"].startswith("127.0.1.")})
    told = Counter[str]()
    end = time.monotonic() + PATIENCE
    while not all(told[reason] for reason in ("stray response", "not admitted")) and time.monotonic() < end:
        told.clear()
        for event in list(server.process.events):
            if "count" in event:
                told[event.get("reason", "")] += event["count"]
        time.sleep(0.1)
    page.add(
        "400 stray responses a second of one user, and one address that guesses passwords, beside failed logins from "
        f"{tried} other addresses",
        f"{seen} of the {tried} are in the log, each with its address; the noise is told as numbers",
        honest.told(),
        "12 lines about 120 failed logins, none with an address",
    )
    assert seen == tried
    assert len([event for event in failed if event["channel"] == "127.0.0.77"]) <= 5 + 60 * 0.2
    assert told["stray response"] > 0
    assert told["not admitted"] > 0


@pytest.mark.proves("M-28")
def test_what_noise_costs_on_disk(victim: Make, page: Page) -> None:
    """DialogueIDs as long as may be, in a log of JSON."""
    server = victim('auth="none", proxies=(), limits=Limits(frames=None)')
    with Honest(server) as honest:
        users = [Attacker(server.port, f"127.0.1.{number}") for number in range(1, 4)]
        for number, user in enumerate(users):
            assert user.handshake(f"m{number}@{REALM}") == 101
        pours = [Thread(target=pour, args=(user, 10.0, strays(1024)), daemon=True) for user in users]
        begin = time.monotonic()
        for one in pours:
            one.start()
        for one in pours:
            one.join()
        took = time.monotonic() - begin
    lines = logged(server, "stray response")
    size = sum(len(json.dumps(event)) for event in lines)
    rate = size / took
    page.add(
        "3 users who send stray responses at full speed, with DialogueIDs of 1024 characters, into a log of JSON",
        f"{len(lines)} lines in {took:.0f} s; {rate * 86400 / 1e9:.2f} GB a day",
        honest.told(),
        "110 lines in 10 s; 1.60 GB a day",
    )
    # Five at once, and one in 5 s, of each of three; a line has 8192 bytes at most.
    assert len(lines) <= 3 * (5 + took / 5 + 1)
    assert max(len(json.dumps(event)) for event in lines) <= 8192


LOUD = """
from gortc import Call, service


@service("loud")
async def loud(call: Call) -> None:
    call.log.info(f"a call: {call.caller.offer} {{")
    call.log.info("a call: {offer} {call}", offer=call.caller.offer, call=call)
    raise LookupError(call.caller.offer)
"""
BOTH = """
from twisted.application.service import Application
from twisted.logger import ILogObserver
from gortc import Route
from gortc.oam.log import observer
from gortc.tap import configure, make_service

settings = configure(rtc=("tcp:0:interface=127.0.0.1",), api="tcp:{api}:interface=127.0.0.1",
                     routes={{"b.example": Route("ws://127.0.0.1:{hop}/rtc")}}, trace=True)
application = Application("attacked")
in_json, in_text = observer("info", "json", "-"), observer("info", "text", "text.log")


def both(event):
    in_json(event)
    in_text(event)


application.setComponent(ILogObserver, both)
make_service(settings).setServiceParent(application)
"""


def test_lines_that_others_write(tmp_path: Path, page: Page) -> None:
    """A next hop's reason to close, a party to trace, a Body in a service's own words, in an exception and in a trace:
    none of them begins a line, nor has a character that a terminal obeys."""

    def close(connection: ServerConnection) -> None:
        connection.close(1011, FORGED)

    with serve(close, "127.0.0.1", 0, subprotocols=[Subprotocol("jsip.resume")]) as hop:
        Thread(target=hop.serve_forever, daemon=True).start()
        folder = plugin_folder(tmp_path, loud=LOUD)
        api = free_port()
        port = hop.socket.getsockname()[1]
        (folder / "some.tac").write_text(BOTH.format(api=api, hop=port))
        process = Process(folder, "-y", "some.tac", path=f"{os.environ.get('PYTHONPATH', '')}:{Path.cwd()}")
        alice = Peer(Node(process, process.ports()[0], REALM), "alice", whole=False)
        alice.open("INVITE", f"loud@{REALM}", Router=f"{REALM};type=loud", Body=FORGED).expect(500)
        alice.open("INVITE", "bob@b.example").expect(503)
        token = (folder / "gortc.token").read_text().split()[1]
        ask = ["--url", f"http://127.0.0.1:{api}", "--token-file", "gortc.token", "trace", FORGED, "--file"]
        subprocess.run([sys.executable, "-m", "gortc.ctl.main", *ask], cwd=folder, check=True, capture_output=True)
        alice.leave()
        process.stop()
    text = (folder / "text.log").read_text()
    assert token not in text
    begun = [line for line in text.split("\n") if line.startswith(FAKE)]
    obeyed = sum(not char.isprintable() for char in text if char != "\n")
    for source in ("[slp.loud]", "[gortc.trace]", "next hop unreachable", "trace of", "Traceback"):
        assert source in text, source
    spoken = [
        value for event in process.events if event.get("source") != "gortc.trace" for value in words(event, "traceback")
    ]
    page.add(
        "lines of the log that others write: the reason of a next hop that closes, a party to trace, a Body in a "
        "service's words, in its exception, and traced",
        f"{len(begun)} lines forged; {obeyed} characters that a terminal obeys",
        before="6 lines forged; 12 characters that a terminal obeys",
    )
    assert [value for value in spoken if not value.isprintable()] == []
    assert (begun, obeyed) == ([], 0)


def words(value: Any, *without: str) -> Iterator[str]:
    """All texts in it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in without:
                yield from words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner)
    elif isinstance(value, str):
        yield value


def test_what_an_operators_terminal_is_told(tmp_path: Path, page: Page) -> None:
    """DialogueIDs that hold an end of a line, an escape, a path, an emoji's name."""
    api = started(tmp_path)
    ids = [FORGED, "\x1b]0;forged\x07\x9b2J", "/a/../b", "..", ":smile:", "x\ny"]
    peer = Peer(api.node, "mallory")
    for dialogue in ids:
        talk = peer.open("INVITE", "echo", Router=f"{api.node.realm};type=echo", DialogueID=dialogue)
        talk.expect(180)
        talk.expect(200)
        talk.ack()
    forged = obeyed = found = 0
    command = [sys.executable, "-m", "gortc.ctl.main", "--url", f"http://127.0.0.1:{api.port}"]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*command, *arguments], cwd=api.folder, capture_output=True, text=True, check=False
        ).stdout

    for what in (["sessions"], ["stack"], *(["session", dialogue] for dialogue in ids)):
        said = run(*what)
        forged += sum(line.startswith(FAKE) for line in said.split("\n"))
        obeyed += sum(not char.isprintable() for char in said if char != "\n")
    for dialogue in ids:
        said = run("--json", "session", dialogue)
        found += bool(said) and json.loads(said).get("dialogue") == dialogue
    peer.leave()
    outcome = (
        f"{forged} lines forged, {obeyed} characters that a terminal obeys; {found} of {len(ids)} found by their ID"
    )
    page.add("DialogueIDs with escapes, ends of lines and paths, as `gortcctl` prints and takes them", outcome,
             before="1 line forged, 4 characters that a terminal obeys; 4 of 6 found")  # fmt: skip
    assert (forged, obeyed, found) == (0, 0, len(ids)), outcome
    ended_well(api.process)


def test_who_connects_to_a_socket(tmp_path: Path, page: Page) -> None:
    """A UNIX socket whose string says nothing of a mode is for its owner."""
    folder = plugin_folder(tmp_path)
    (folder / "some.tac").write_text(
        "from gortc.tap import configure, make_application\n"
        "settings = configure(rtc=('unix:./rtc.sock',), api='unix:./api.sock', log_format='json')\n"
        "application = make_application(settings)\n"
    )
    process = Process(folder, "-y", "some.tac")
    process.wait_for(lambda events: [event for event in events if "management on" in event["event"]] or None)
    modes = {stat.S_IMODE((folder / name).stat().st_mode) for name in ("rtc.sock", "api.sock")}
    with socket.socket(socket.AF_UNIX) as own:
        own.connect(str(folder / "rtc.sock"))
    page.add(
        "another user of the machine connects to a UNIX socket, of peers or of operators",
        f"the sockets are {', '.join(f'0{mode:o}' for mode in sorted(modes))}",
        before="the sockets are 0666",
    )
    assert modes == {0o600}
    ended_well(process)


def test_a_certificate_for_a_host_that_is_a_users_name(victim: Make, tmp_path: Path, page: Page) -> None:
    """Whoever may have names of hosts certified is no user by it."""
    ca = issue(tmp_path, "ca", ca=True)
    own = issue(tmp_path, "localhost", by=ca)
    alice = f"alice@{REALM}"
    names = [x509.DNSName(alice), x509.RFC822Name("b.example"), x509.UniformResourceIdentifier(f"sip:{alice};x=1")]
    shown = issue(tmp_path, "evil", by=ca, names=names)
    right = issue(tmp_path, "alice", by=ca, names=[x509.RFC822Name(alice)])
    endpoint = f"tls:0:interface=127.0.0.1:certKey={own.path}:privateKey={own.key}:clientCA={ca.path}"
    (plugin_folder(tmp_path) / "some.tac").write_text(
        "from gortc.tap import configure, make_application\n"
        f"settings = configure(rtc=({endpoint!r},), api='', auth={{'mtls': {{}}}}, nodes=('b.example',),\n"
        "                     log_format='json')\n"
        "application = make_application(settings)\n"
    )
    process = Process(tmp_path, "-y", "some.tac")
    (told,) = process.wait_for(
        lambda events: [event["url"] for event in events if event["event"].startswith("listening on wss:")] or None
    )
    base = told.replace("127.0.0.1", "localhost").partition("=")[0]
    cases = ((shown, alice), (shown, "b.example"), (right, alice))
    statuses = [status(ca.path, one, f"{base}={name}") for one, name in cases]
    page.add(
        "a client's certificate with a user's name as `dNSName`, a host's as `rfc822Name`",
        ", ".join(map(str, statuses[:2])),
        before="101, 101",
    )
    assert statuses == [403, 403, 101]
    ended_well(process)


def status(ca: Path, shown: Issued, url: str) -> int:
    """What the server answers to who shows that certificate and asks for that name."""
    context = ssl.create_default_context(cafile=str(ca))
    context.load_cert_chain(shown.path, shown.key)
    try:
        with connect(url, ssl=context):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
