"""The load client: plays peers of a server, checks every message it gets, and prints one JSON object.

    load.py PORT PID SCENARIO [--units N] [--warm N] [--rate R] [--gathered] [--plain]

SCENARIO is message, call, bridged, held, idle or crowd; PID is the server's, whose CPU time and memory are read from
/proc. Without --rate a unit is followed at once by the next one, so the server is always busy; with it, units begin at
that rate whatever the server does, and a unit's time counts from when it should have begun. Each message is written on
its own, as users do; `--gathered`: all that one read has led to in one write, as a next hop may do.
Lean on purpose, so that the server is what saturates: blocking sockets, epoll, prebuilt frames under an all-zero mask.
"""

from __future__ import annotations

import argparse
import base64
import os
import select
import socket
import sys
import time
from array import array
from collections import deque
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Iterator

import orjson

REALM = "gortc.local"
CONNECTIONS = 8
DIALOGUES = 8  # at a time on each connection
SILENCE = 10.0  # nothing arrived for so long, in seconds: what is open has failed
ID = b"0123456789abcdef"  # in a template: where the DialogueID goes

SDP = (
    "v=0\r\no=- 0123456789abcdef 2 IN IP4 192.0.2.17\r\ns=-\r\nc=IN IP4 192.0.2.17\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
SESSION = SDP.index(ID.decode())  # a bridged call's callee finds the caller's DialogueID here


def frame(payload: bytes, opcode: int = 1) -> bytes:
    """A client's frame (RFC 6455 section 5.2), its mask all zero."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, 0x80 | size)) + bytes(4) + payload
    return bytes((0x80 | opcode, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


def template(kind: str, cseq: int, caller: str, callee: str, **headers: Any) -> bytes:
    """The frame of a request, with `ID` as its DialogueID."""
    made = {"Type": kind, "Request-URI": callee, "From": caller, "To": callee, "DialogueID": ID.decode(), "CSeq": cseq}
    return frame(orjson.dumps({**made, **{name.replace("_", "-"): value for name, value in headers.items()}}))


@dataclass(frozen=True)
class Step:
    """What must arrive next in a dialogue, a response with `code` to `cseq`, and the templates to send for it."""

    code: int
    cseq: int
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Script:
    """One unit as its caller plays it: the template that opens it, the steps, whether a callee has a part as well."""

    first: str
    steps: tuple[Step, ...]
    bridged: bool = False


RINGING, ANSWERED, GONE = Step(180, 1), Step(200, 1, ("ACK",)), Step(200, 2)
SCRIPTS = {
    "message": Script("MESSAGE", (Step(200, 1),)),
    "call": Script("INVITE", (RINGING, Step(200, 1, ("ACK", "BYE")), GONE)),
    "bridged": Script("BRIDGED", (RINGING, ANSWERED, GONE), bridged=True),
    "hold": Script("INVITE", (RINGING, ANSWERED)),
    "hang up": Script("BYE", (GONE,)),
    "probe": Script("INFO", (Step(481, 9),)),
}


class Failed(Exception):
    """The server did something else than it should."""


class Dialogue:
    """One unit under way: its place in the script, and when it began."""

    __slots__ = ("at", "began", "legs")

    def __init__(self, legs: int, began: float) -> None:
        self.at = 0
        self.began = began
        self.legs = legs  # how many have still to end


class Connection:
    """One peer. `open` has the dialogues it plays the caller of, by DialogueID."""

    def __init__(self, port: int, number: int, name: str, gathered: bool = False) -> None:
        self.number = number
        self.gathered = gathered
        self.name = f"{name}@{REALM}"
        self.open: dict[str, Dialogue] = {}
        self.calls: dict[str, tuple[Connection, str]] = {}  # as callee: DialogueID -> the caller and its DialogueID
        self.ended: deque[str] = deque(maxlen=DIALOGUES)
        self.held: list[str] = []
        self.out: list[bytes] = []
        self.rest = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(
            f"GET /rtc?userid={self.name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.socket.recv(65536)
            head += part
            if not part:
                break
        if not head.startswith(b"HTTP/1.1 101"):
            raise Failed(f"no upgrade: {head[:200]!r}")
        self.rest = head.partition(b"\r\n\r\n")[2]

    def templates(self, callee: str) -> dict[str, bytes]:
        """The frames that this peer sends; its bridged calls go to `callee`."""
        echo, router = f"echo@{REALM}", f"{REALM};type=echo"
        sdp: dict[str, Any] = {"Content_Type": "sdp", "Body": SDP}
        return {
            "MESSAGE": template("MESSAGE", 1, self.name, echo, Router=router, **sdp),
            "INVITE": template("INVITE", 1, self.name, echo, Router=router, Expire=600, **sdp),
            "BRIDGED": template("INVITE", 1, self.name, callee, Expire=600, **sdp),
            "ACK": template("ACK", 2, self.name, echo, RelatedID=1),
            "BYE": template("BYE", 2, self.name, echo),
            "INFO": template("INFO", 9, self.name, echo),
        }

    def read(self) -> Iterator[Any]:
        """The messages of one read; pings are answered."""
        data = self.socket.recv(262144)
        if not data:
            raise Failed(f"the server closed the connection of {self.name}")
        if self.rest:
            data = self.rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if start + size > end:
                break
            payload = data[start : start + size]
            if data[at] == 0x81:
                yield orjson.loads(payload)
            elif data[at] == 0x89:
                self.out.append(frame(payload, 10))
            else:
                raise Failed(f"frame {data[at]:#x} to {self.name}: {payload[:100]!r}")
            at = start + size
        self.rest = data[at:]

    def flush(self) -> None:
        """Send what has come together."""
        if self.out:
            for data in (b"".join(self.out),) if self.gathered else self.out:
                self.socket.sendall(data)
            self.out.clear()


class Server:
    """What /proc tells of the server under test."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def cpu(self) -> float:
        """User and system time of all its threads so far, in seconds."""
        try:  # in nanoseconds, where the kernel has it
            threads = [(task / "schedstat").read_text() for task in (self._folder / "task").iterdir()]
            return sum(int(text.split()[0]) for text in threads) / 1e9
        except OSError:
            fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Its resident memory, in kB."""
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise Failed("the server has gone")


class Load:
    """The client: its connections, and the scenario that runs on them."""

    def __init__(self, port: int, pid: int, gathered: bool = False) -> None:
        self.server = Server(pid)
        self.failures = 0
        self.errors: list[str] = []
        self._port = port
        self._ids = count(int.from_bytes(os.urandom(4), "big") << 24)  # no two runs share one
        self._connections = [Connection(port, number, f"user{number}", gathered) for number in range(CONNECTIONS)]
        self._templates = [one.templates(self._connections[one.number ^ 1].name) for one in self._connections]
        self._epoll = select.epoll()
        for one in self._connections:
            self._epoll.register(one.socket.fileno(), select.EPOLLIN)
        self._by_fd = {one.socket.fileno(): one for one in self._connections}
        self._script = SCRIPTS["message"]
        self._left = self._done = self._warm = self._total = 0
        self._rate = 0.0
        self._latencies: array[float] = array("d")
        self._marks: list[tuple[float, float]] = []

    def run(self, name: str, units: int, warm: int = 0, rate: float = 0.0) -> dict[str, Any]:
        """Play `warm` units and then, measured, `units` of them, at `rate` a second where it is given. Returns the
        figures."""
        self._script = SCRIPTS[name]
        self._rate = rate
        self._left = self._total = warm + units
        self._done, self._warm, self._latencies, self._marks = 0, warm, array("d"), []
        if not warm:
            self._mark()
        # a bridged call has a dialogue on each of two connections: every other one calls its neighbour
        callers = self._connections[:: 2 if self._script.bridged else 1]
        start = heard = time.perf_counter()
        if not rate:
            for one in callers:
                for _ in range(DIALOGUES):
                    self._begin(one, start)
                one.flush()
        while self._done < self._total:
            wait = 0.0  # it does not sleep: waking it would be the server's work, now and then
            if rate:
                wait = SILENCE
                while self._left and (due := start + (self._total - self._left) / rate) <= time.perf_counter():
                    one = callers[self._left % len(callers)]
                    self._begin(one, due)
                    one.flush()
                if self._left:
                    wait = max(0.0, due - time.perf_counter())
            ready = self._epoll.poll(wait)
            if ready:
                heard = time.perf_counter()
            elif time.perf_counter() - heard > SILENCE:
                raise Failed(f"nothing arrived for {SILENCE:.0f} s, {self._total - self._done} units of {name} open")
            for fd, _ in ready:
                one = self._by_fd[fd]
                for message in one.read():
                    self._take(one, message)
                one.flush()
                if self._script.bridged:
                    self._connections[one.number ^ 1].flush()
        (cpu0, wall0), (cpu1, wall1) = self._marks
        latencies = sorted(self._latencies)
        return {
            "units": units,
            "rate": units / (wall1 - wall0),
            "us": (cpu1 - cpu0) / units * 1e6,
            "p50": latencies[len(latencies) // 2] * 1e3,
            "p99": latencies[len(latencies) * 99 // 100] * 1e3,
            "server_busy": (cpu1 - cpu0) / (wall1 - wall0),
            "rss_kb": self.server.memory(),
        }

    def probe(self) -> None:
        """Ask after dialogues that have ended: the server must have forgotten them."""
        self.run("probe", sum(len(one.ended) for one in self._connections))

    def held(self, calls: int) -> dict[str, Any]:
        """Hold `calls` calls, then hang them all up: the memory of one."""
        self.run("call", 1000)
        before = self.server.memory()
        figures = self.run("hold", calls)
        time.sleep(0.5)
        during = self.server.memory()
        self.run("hang up", calls)
        self.probe()
        time.sleep(0.5)
        kb = (during - before) / calls
        return {
            **figures,
            "rss_kb": during,
            "kb_a_call": kb,
            "rss_kb_before": before,
            "rss_kb_after": self.server.memory(),
        }

    def crowd(self, calls: int, units: int) -> dict[str, Any]:
        """CPU a MESSAGE while 100 calls are held, and while `calls` are (the median of five runs); then all hang up."""
        self.run("call", 1000)
        few = min(100, calls)
        self.run("hold", few)
        first = [self.run("message", units, units // 10)["us"] for _ in range(5)]
        before = self.server.memory()
        self.run("hold", calls - few)
        then = [self.run("message", units, units // 10) for _ in range(5)]
        figures = sorted(then, key=lambda one: float(one["us"]))[2]
        during = self.server.memory()
        self.run("hang up", calls)
        self.probe()
        return {
            **figures,
            "us_few": sorted(first)[2],
            "us_many": figures["us"],
            "kb_a_call": (during - before) / (calls - few),
        }

    def idle(self, connections: int) -> dict[str, Any]:
        """Open `connections` more that say nothing: the memory of one."""
        before = self.server.memory()
        more = [Connection(self._port, number, f"idle{number}") for number in range(connections)]
        time.sleep(0.5)
        after = self.server.memory()
        for one in more:
            one.socket.close()
        return {"kb_a_connection": (after - before) / connections, "rss_kb_before": before, "rss_kb": after}

    def close(self) -> None:
        """Leave."""
        for one in self._connections:
            one.socket.close()

    def _mark(self) -> None:
        self._marks.append((self.server.cpu(), time.perf_counter()))

    def _begin(self, one: Connection, due: float) -> None:
        """Begin a unit on this connection, where any are left. It counts from `due`."""
        first = self._script.first
        ids = {"BYE": one.held, "INFO": one.ended}.get(first)
        if self._left == 0 or (ids is not None and not ids):
            return
        self._left -= 1
        dialogue_id = ids.pop() if ids else f"{next(self._ids):016x}"
        one.open[dialogue_id] = Dialogue(2 if self._script.bridged else 1, due)
        opening = self._templates[one.number][first]
        if len(dialogue_id) != len(ID):  # the server's, of a callee's leg: the frame has another size
            opening = frame(opening[opening.index(b"{") :].replace(ID, dialogue_id.encode()))
        else:
            opening = opening.replace(ID, dialogue_id.encode())
        one.out.append(opening)

    def _take(self, one: Connection, message: Any) -> None:
        """One message to one of our peers."""
        dialogue_id = message["DialogueID"]
        dialogue = one.open.get(dialogue_id)
        if dialogue is None:
            if self._script.bridged and message["Type"] != "RESPONSE":
                self._play_callee(one, message)
            else:
                self._error(one, f"not expected: {message}")
            return
        steps = self._script.steps
        step = steps[dialogue.at] if dialogue.at < len(steps) else Step(0, 0)
        if message.get("Code") != step.code or message["CSeq"] != step.cseq or message["Type"] != "RESPONSE":
            self._error(one, f"{step.code} to {step.cseq} expected, got {message}")
            self._end(one, dialogue_id, dialogue)
            return
        body = message.get("Body")
        if body is not None and body[SESSION : SESSION + len(ID)] != dialogue_id:
            self._error(one, f"another dialogue's Body: {message}")
        dialogue.at += 1
        for name in step.then:
            one.out.append(self._templates[one.number][name].replace(ID, dialogue_id.encode()))
        if dialogue.at == len(steps):
            dialogue.legs -= 1
            if dialogue.legs == 0:
                self._end(one, dialogue_id, dialogue)

    def _play_callee(self, one: Connection, request: Any) -> None:
        """The other side of a bridged call: 180 and 200 to INVITE, 200 to BYE; with its ACK the caller hangs up."""
        kind, dialogue_id = request["Type"], request["DialogueID"]
        if kind == "INVITE":
            caller, body = self._connections[one.number ^ 1], request["Body"]
            theirs = body[SESSION : SESSION + len(ID)]
            if body[:SESSION] != SDP[:SESSION] or body[SESSION + len(ID) :] != SDP[SESSION + len(ID) :]:
                return self._error(one, f"another Body: {request}")
            one.calls[dialogue_id] = (caller, theirs)
            self._respond(one, request, 180, "Ringing")
            return self._respond(one, request, 200, "OK", body)
        if dialogue_id not in one.calls:
            return self._error(one, f"not expected: {request}")
        caller, theirs = one.calls[dialogue_id]
        if kind == "ACK":
            caller.out.append(self._templates[caller.number]["BYE"].replace(ID, theirs.encode()))
        elif kind == "BYE":
            self._respond(one, request, 200, "OK")
            del one.calls[dialogue_id]
            one.ended.append(dialogue_id)
            dialogue = caller.open.get(theirs)
            if dialogue is not None:
                dialogue.legs -= 1
                if dialogue.legs == 0:
                    self._end(caller, theirs, dialogue)
        else:
            self._error(one, f"not expected: {request}")

    def _respond(self, one: Connection, request: Any, code: int, phrase: str, body: str | None = None) -> None:
        made = {
            "Type": "RESPONSE",
            "Code": code,
            "Desc": phrase,
            "From": request["From"],
            "To": request["To"],
            "DialogueID": request["DialogueID"],
            "CSeq": request["CSeq"],
        }
        if body is not None:
            made["Body"] = body
        one.out.append(frame(orjson.dumps(made)))

    def _end(self, one: Connection, dialogue_id: str, dialogue: Dialogue) -> None:
        """A unit is over, well or not; the next one of this connection begins."""
        del one.open[dialogue_id]
        if self._script.first != "INFO":
            (one.held if self._script is SCRIPTS["hold"] else one.ended).append(dialogue_id)
        now = time.perf_counter()
        if self._warm <= self._done < self._total:
            self._latencies.append(now - dialogue.began)
        self._done += 1
        if self._done in (self._warm, self._total):
            self._mark()
        if not self._rate:
            self._begin(one, now)

    def _error(self, one: Connection, text: str) -> None:
        self.failures += 1
        if len(self.errors) < 5:
            self.errors.append(f"{one.name}: {text}")


def main() -> int:
    """Run one scenario; exit with 1 where a unit failed."""
    parser = argparse.ArgumentParser(description="Load a JSIP server with one scenario.")
    parser.add_argument("port", type=int)
    parser.add_argument("pid", type=int)
    parser.add_argument("scenario", choices=("message", "call", "bridged", "held", "idle", "crowd"))
    parser.add_argument("--units", type=int, default=10000)
    parser.add_argument("--warm", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0.0, help="units a second; default: as fast as the server can")
    parser.add_argument("--held", type=int, default=200_000, help="calls that are held in the scenario crowd")
    parser.add_argument("--gathered", action="store_true", help="one write for all that one read has led to")
    parser.add_argument(
        "--plain", action="store_true", help="the server keeps no state: don't ask after ended dialogues"
    )
    options = parser.parse_args()
    load = Load(options.port, options.pid, options.gathered)
    figures: dict[str, Any] = {}
    try:
        if options.scenario == "held":
            figures = load.held(options.units)
        elif options.scenario == "idle":
            figures = load.idle(options.units)
        elif options.scenario == "crowd":
            figures = load.crowd(options.held, options.units)
        else:
            figures = load.run(options.scenario, options.units, options.warm, options.rate)
            if not options.plain:
                load.probe()
        load.close()
    except (Failed, OSError) as error:
        load.failures += 1
        load.errors.append(str(error))
    sys.stdout.buffer.write(orjson.dumps({**figures, "failures": load.failures, "errors": load.errors}) + b"\n")
    return 1 if load.failures else 0


if __name__ == "__main__":
    sys.exit(main())
