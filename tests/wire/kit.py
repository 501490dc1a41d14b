"""A server process, peers that are WebSocket clients of another make, and a puppet in place of service logic.

`Process` runs twistd and reads its log, one JSON object a line. `Peer` speaks raw JSON. `Puppet` tells an instance of
the service `puppet` (below, a plugin in the process's own folder) what to send; the log tells what it has seen.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

PATIENCE = 15.0
"""How long a test waits for what must come, in seconds: for a slow machine, not for the protocol."""

Json = dict[str, Any]
Found = TypeVar("Found")
_ids = count(1)

PUPPET = '''
"""A service that does what a test tells it, and logs what it sees."""
from twisted.plugin import IPlugin
from zope.interface import implementer
from gortc import IServiceInstance, IServiceLogic, Request


@implementer(IServiceInstance)
class Strings:
    def __init__(self, task):
        self.task = task
        self.legs = {}        # name -> session; "A" is who called
        self.names = {}
        self.commands = set()  # sessions that bring orders
        self.got = {}         # (leg, method) -> the latest request received
        self.sent = {}        # (leg, method) -> the latest request sent
        self.invited = {}     # session -> its first INVITE

    def receive(self, message):
        session = message.session
        request = type(message) is Request
        if session in self.commands:
            return
        if request and message.method == "MESSAGE" and "do" in (message.body or {}):
            self.commands.add(session)
            said = [self.do(*order) for order in message.body["do"]]
            self.task.answer(message, 200, {"said": said})
            return
        if session not in self.names:
            self.name("A" if "A" not in self.legs else f"A{len(self.legs)}", session)
        leg = self.names[session]
        kind = message.method if request else f"{message.code} {message.method}"
        if request:
            self.got[leg, message.method] = message
            if message.method == "INVITE":
                self.invited.setdefault(session, message)
        if message.local and kind != "TERM":
            kind += " local"
        if kind == "CANCEL" and message.related is not self.invited.get(session):
            kind = "CANCEL of re-INVITE"
        self.task.log.info("{leg} {kind}", leg=leg, kind=kind, dialogue=session.dialogue_id, seen=True,
                           body=message.body, headers={k: v for k, v in message.headers.items()})
        for order in (message.body or {}).get("then", ()) if isinstance(message.body, dict) else ():
            self.do(*order)

    def name(self, leg, session):
        self.legs[leg] = session
        self.names[session] = leg

    def do(self, verb, leg="A", *rest):
        return getattr(self, "do_" + verb)(leg, *rest)

    def do_answer(self, leg, method, code, headers=None):
        self.task.answer(self.got[leg, method], code, headers=headers)

    def do_open(self, leg, uri, method="INVITE", headers=None):
        request = self.task.open(uri, method, headers=headers, caller="puppet@gortc.test", callee=uri)
        self.name(leg, request.session)
        self.sent[leg, method] = request
        return request.dialogue_id

    def do_send(self, leg, method, headers=None):
        self.sent[leg, method] = self.task.request(self.legs[leg], method, headers=headers)
        return self.sent[leg, method].cseq

    def do_ack(self, leg, headers=None):
        self.task.ack(self.sent[leg, "INVITE"], headers=headers)

    def do_cancel(self, leg):
        self.task.cancel(self.sent[leg, "INVITE"])

    def do_relid(self, leg):
        return self.task.relid()

    def do_finish(self, leg):
        self.task.finish()

    def do_fail(self, leg):
        raise RuntimeError("the puppet was told to fail")

    def do_late(self, leg, method, code):
        """Answer what is no longer open."""
        self.task.answer(self.got[leg, method], code)


@implementer(IPlugin, IServiceLogic)
class Puppet:
    name = "puppet"

    def load(self, context):
        pass

    def unload(self):
        pass

    def create(self, task):
        return Strings(task)


puppet = Puppet()
'''


def twistd(*arguments: str) -> list[str]:
    """The command line of the twistd beside this Python."""
    return [str(Path(sys.executable).parent / "twistd"), *arguments]


def without_api(folder: Path, arguments: tuple[str, ...]) -> list[str]:
    """What keeps a server off the port that all of them would have their API at, unless it is told of another."""
    if "gortc" not in arguments or "--api" in arguments:
        return []
    text = (folder / arguments[arguments.index("--config") + 1]).read_text() if "--config" in arguments else ""
    return [] if "api=" in text else ["--api="]


class Process:
    """`twistd -n --pidfile=` with `arguments` in `folder`; its log must be JSON on standard output."""

    def __init__(self, folder: Path, *arguments: str, path: str = "") -> None:
        """`path` is where Python looks for modules besides."""
        self.events: list[Json] = []
        self.other: list[str] = []
        self._news = threading.Condition()
        self._child = subprocess.Popen(
            twistd("-n", "--pidfile=", *arguments, *without_api(folder, arguments)),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": path},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._child.pid

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.other.append(line.decode())
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, find: Callable[[list[Json]], Found | None]) -> Found:
        """Wait until `find` finds something in the log."""
        end = time.monotonic() + PATIENCE
        with self._news:
            while (found := find(self.events)) is None:
                left = end - time.monotonic()
                alive = self._reader.is_alive()
                assert alive, f"the server has stopped:\n{self.tail()}"
                assert left > 0, f"it did not come; the log's end:\n{self.tail()}"
                self._news.wait(min(left, 0.5))
        return found

    def tail(self) -> str:
        """The end of what it wrote."""
        return "\n".join([*self.other[-30:], *(json.dumps(event)[:400] for event in self.events[-30:])])

    def ports(self, number: int = 1) -> list[int]:
        """The TCP ports it listens on, in their order, once there are `number` of them."""

        def find(events: list[Json]) -> list[int] | None:
            found = [
                int(match[1])
                for event in events
                if (match := re.match(r"listening on ws://127\.0\.0\.1:(\d+)/", event.get("event", "")))
            ]
            return found if len(found) >= number else None

        return self.wait_for(find)

    def tracebacks(self) -> list[str]:
        """Every traceback in the log."""
        return [event["traceback"] for event in self.events if "traceback" in event]

    def crashes(self) -> list[str]:
        """What has reached the reactor: an exception that nobody has caught is logged without a `traceback`."""
        critical = [event for event in self.events if event.get("level") == "critical" and "traceback" not in event]
        return [json.dumps(event) for event in critical]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, where it has not ended."""
        if self._child.poll() is None:
            self._child.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; the exit status."""
        return self._child.wait(PATIENCE)

    def stop(self) -> int:
        """SIGINT, which stops it at once; the exit status."""
        self.signal(signal.SIGINT)
        try:
            status = self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._child.kill()
            raise
        self._reader.join(PATIENCE)
        assert self._child.stdout is not None
        if not self._child.stdout.closed:
            self._child.stdout.close()
        return status


def ended_well(process: Process) -> None:
    """It stopped when it was told to, with nothing unexpected in its log."""
    status = process.stop()
    assert status in (-signal.SIGINT, -signal.SIGTERM), process.tail()  # twistd ends by the signal that stopped it
    unexpected = [text for text in process.tracebacks() if "the puppet was told to fail" not in text]
    assert not unexpected, "\n".join(unexpected)
    assert not process.crashes(), process.crashes()
    assert not process.other, process.other


class Node:
    """One node of a process: a port and a realm."""

    def __init__(self, process: Process, port: int, realm: str) -> None:
        self.process = process
        self.port = port
        self.realm = realm

    def url(self, userid: str) -> str:
        """Where `userid` connects."""
        return f"ws://127.0.0.1:{self.port}/rtc?userid={quote(userid)}"

    def story(self, dialogue_id: str) -> list[str]:
        """What the puppet has seen of a dialogue, up to its TERM, which is waited for and must be the only one."""

        def find(events: list[Json]) -> list[str] | None:
            seen = self._seen(events, dialogue_id)
            return seen if "TERM" in seen else None

        return self.process.wait_for(find)

    def wait_seen(self, dialogue_id: str, kind: str, times: int = 1) -> Json:
        """Wait until the puppet has seen `kind` in a dialogue so many times; the log's record of it."""

        def find(events: list[Json]) -> Json | None:
            found = [event for event in events if event.get("seen") and event["dialogue"] == dialogue_id]
            found = [event for event in found if event["kind"] == kind]
            return found[times - 1] if len(found) >= times else None

        return self.process.wait_for(find)

    def seen(self, dialogue_id: str) -> list[str]:
        """What the puppet has seen of a dialogue so far."""
        return self._seen(self.process.events, dialogue_id)

    @staticmethod
    def _seen(events: list[Json], dialogue_id: str) -> list[str]:
        return [event["kind"] for event in events if event.get("seen") and event["dialogue"] == dialogue_id]


class Peer:
    """A WebSocket client with a userid: `name`, in the node's realm where it has none, unless it is the `whole` one."""

    def __init__(self, node: Node, name: str, whole: bool = False, **options: Any) -> None:
        self.node = node
        self.name = name if whole or "@" in name else f"{name}@{node.realm}"
        options = {"open_timeout": PATIENCE, "close_timeout": PATIENCE, "proxy": None, "ping_interval": None, **options}
        self.socket: ClientConnection = connect(node.url(self.name), **options).__enter__()

    def send_raw(self, data: str | bytes) -> None:
        """Send a frame as it is."""
        self.socket.send(data)

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def receive(self) -> Json:
        """The next message."""
        message = json.loads(self.socket.recv(PATIENCE))
        assert isinstance(message, dict)
        return message

    def expect(self, kind: str | int, **headers: Any) -> Json:
        """The next message is a request of type `kind`, or a response with that code, with these headers."""
        message = self.receive()
        at = "Code" if isinstance(kind, int) else "Type"
        wanted = {at: kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        assert wanted == {name: message.get(name) for name in wanted}, message
        return message

    def fence(self) -> None:
        """Nothing has come before the answer to a question asked now; what was sent before has been dealt with."""
        question = request("OPTIONS", self.name, self.node.realm)
        self.send(question)
        self.expect(200, DialogueID=question["DialogueID"])

    def open(self, method: str, to: str, **headers: Any) -> Talk:
        """Send a first request."""
        first = request(method, self.name, to if "@" in to else f"{to}@{self.node.realm}", **headers)
        self.send(first)
        return Talk(self, first)

    def answering(self, method: str = "INVITE", **headers: Any) -> Talk:
        """The next message is a first request of somebody else's."""
        return Talk(self, self.expect(method, **headers), ours=False)

    def closed(self) -> tuple[int, str]:
        """Wait until the server has closed the connection: code and reason. Nothing else comes before."""
        with pytest.raises(ConnectionClosed) as closed:
            self.socket.recv(PATIENCE)
        frame = closed.value.rcvd
        assert frame is not None, closed.value
        return frame.code, frame.reason

    def leave(self) -> None:
        """Close the connection, and know that the server has seen it."""
        self.socket.close()

    def vanish(self) -> None:
        """The TCP connection breaks without a word of WebSocket."""
        self.socket.socket.close()


class Talk:
    """A dialogue as its user agent has it: numbers requests, answers requests, and keeps no rule."""

    def __init__(self, peer: Peer, first: Json, ours: bool = True) -> None:
        self.peer = peer
        self.first = first
        self.id: str = first["DialogueID"]
        self.cseq: int = first["CSeq"] if ours else 0
        self.invite: int = self.cseq

    def send(self, method: str, **headers: Any) -> Json:
        """Send a request under the next CSeq."""
        self.cseq += 1
        if method == "INVITE":
            self.invite = self.cseq
        made = request(
            method,
            self.first["From"],
            self.first["To"],
            **{"DialogueID": self.id, "CSeq": self.cseq, "Request-URI": self.first["Request-URI"], **headers},
        )
        self.peer.send(made)
        return made

    def ack(self, **headers: Any) -> Json:
        """ACK of our latest INVITE."""
        return self.send("ACK", RelatedID=self.invite, **headers)

    def cancel(self) -> Json:
        """CANCEL of our latest INVITE."""
        return self.send("CANCEL", RelatedID=self.invite)

    def reply(self, code: int, to: Json | None = None, /, **headers: Any) -> None:
        """Answer the first request, or the request `to`."""
        self.peer.send(response(to or self.first, code, **headers))

    def expect(self, kind: str | int, **headers: Any) -> Json:
        """The next message of the peer is one of this dialogue."""
        return self.peer.expect(kind, DialogueID=self.id, **headers)


def call(caller: Peer, callee: Peer) -> tuple[Talk, Talk]:
    """A call that is answered."""
    up = caller.open("INVITE", callee.name, Body="offer")
    down = callee.answering(Body="offer")
    down.reply(200, Body="answer")
    up.expect(200, Body="answer")
    up.ack()
    down.expect("ACK")
    return up, down


def hang_up(up: Talk, down: Talk) -> None:
    """The caller hangs up."""
    bye = up.send("BYE")
    down.reply(200, down.expect("BYE"))
    up.expect(200, CSeq=bye["CSeq"])


def request(method: str, caller: str, callee: str, **headers: Any) -> Json:
    """A request; `headers` may override what is made up, and use `_` for `-`."""
    made = {
        "Type": method,
        "Request-URI": callee,
        "From": caller,
        "To": callee,
        "DialogueID": f"wire-{next(_ids)}",
        "CSeq": 1,
    }
    made.update({name.replace("_", "-"): value for name, value in headers.items()})
    return {name: value for name, value in made.items() if value is not None}


def response(to: Mapping[str, Any], code: int, **headers: Any) -> Json:
    """A response to the request `to`."""
    made: Json = {"Type": "RESPONSE", "Code": code}
    made.update({name: to[name] for name in ("From", "To", "DialogueID", "CSeq")})
    made.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


class Puppet:
    """The test's hand on one instance of the service `puppet`, by way of a relid."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.relid = f"key-{next(_ids)}"
        self.router = f"{node.realm};type=puppet;relid={self.relid}"
        self._hand = Peer(node, f"hand-{self.relid}")

    def do(self, *orders: tuple[Any, ...]) -> list[Any]:
        """Let it do these things, in one entry of the service; what each one returned."""
        talk = self._hand.open("MESSAGE", "puppet", Router=self.router, Body={"do": orders})
        said: list[Any] = talk.expect(200)["Body"]["said"]
        return said

    def try_to_do(self, *orders: tuple[Any, ...]) -> Json:
        """The same where it may not go well: the answer."""
        talk = self._hand.open("MESSAGE", "puppet", Router=self.router, Body={"do": orders})
        return talk.peer.receive()

    def called_by(self, peer: Peer, **headers: Any) -> Talk:
        """`peer` calls it: leg A."""
        return peer.open("INVITE", "puppet", **{"Router": self.router, **headers})

    def calls(self, peer: Peer, /, leg: str = "B", **headers: Any) -> Talk:
        """It calls `peer`."""
        self.do(("open", leg, peer.name, "INVITE", headers))
        return peer.answering()

    def close(self) -> None:
        """Take the hand away."""
        self._hand.leave()


class Wire:
    """Peers and puppets on a node, closed at the end of a test."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._number = next(_ids)
        self._peers: list[Peer] = []
        self._puppets: list[Puppet] = []

    def peer(self, name: str, **options: Any) -> Peer:
        """A peer with a name that no other test has, unless it says its host."""
        full = name if "@" in name else f"{name}-{self._number}@{self.node.realm}"
        made = Peer(self.node, full, **options)
        self._peers.append(made)
        return made

    def peers(self, *names: str) -> list[Peer]:
        """Several."""
        return [self.peer(name) for name in names]

    def puppet(self) -> Puppet:
        """A puppet."""
        made = Puppet(self.node)
        self._puppets.append(made)
        return made

    def close(self) -> None:
        """Close all."""
        for peer in self._peers:
            peer.leave()
        for puppet in self._puppets:
            puppet.close()


@contextmanager
def wired(node: Node) -> Iterator[Wire]:
    """A `Wire` for the time of a test."""
    wire = Wire(node)
    try:
        yield wire
    finally:
        wire.close()


def plugin_folder(folder: Path, **modules: str) -> Path:
    """`folder` with an `slp_plugins` that has these modules."""
    plugins = folder / "slp_plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    for name, text in modules.items():
        (plugins / f"{name}.py").write_text(text)
    return folder
