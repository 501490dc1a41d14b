"""Many attackers at once, in one thread: they send what they are told, and answer as they like."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from bench.load import frame
from tests.attack.kit import Victim, opening
from tests.wire.kit import PATIENCE, Json

Answer = Callable[["Member", Json], Iterable[Json]]


def text(message: Mapping[str, object]) -> bytes:
    """A frame."""
    return frame(json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode())


class Member:
    """One of them; `deaf` is one that reads nothing."""

    def __init__(
        self, port: int, userid: str, address: str, resumes: bool, small: bool, shown: Mapping[str, str]
    ) -> None:
        self.userid = userid
        self.deaf = False
        self.out = bytearray()
        self.got = bytearray()
        self.codes: Counter[int] = Counter()
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        headers = {**shown, **({"Sec-WebSocket-Protocol": "jsip.resume"} if resumes else {})}
        self.socket.sendall(opening(userid, port, headers))
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.socket.recv(1)
            assert part, head
            head += part
        assert head.startswith(b"HTTP/1.1 101"), head
        self.socket.setblocking(False)

    def send(self, *messages: Mapping[str, object]) -> None:
        """These, as soon as they go."""
        for message in messages:
            self.out += text(message)

    def messages(self) -> Iterable[Json]:
        """What has come."""
        got = self.got
        while len(got) >= 2:
            size, start = got[1], 2
            if size == 126:
                size, start = int.from_bytes(got[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(got[2:10], "big"), 10
            if len(got) < start + size:
                return
            payload, kind = bytes(got[start : start + size]), got[0]
            del got[: start + size]
            if kind == 0x81 and payload.startswith(b"{"):
                yield json.loads(payload)
            elif kind == 0x89:
                self.out += frame(payload, 10)


class Crowd:
    """All of them. `answer(member, message)` says what one answers to a request."""

    def __init__(self, victim: Victim, answer: Answer = lambda member, message: ()) -> None:
        self.members: list[Member] = []
        self._victim = victim
        self._answer = answer
        self._selector = selectors.DefaultSelector()

    def join(self, userid: str, resumes: bool = False, small: bool = False, shown: Mapping[str, str] = {}) -> Member:
        """One more, each from an address of its own, as far as there are any. `shown` are headers of its handshake."""
        at = len(self.members)
        address = f"127.0.{1 + at // 250 % 250}.{1 + at % 250}"
        made = Member(self._victim.port, userid, address, resumes, small, shown)
        self.members.append(made)
        self._selector.register(made.socket, selectors.EVENT_READ, made)
        return made

    def leave(self, member: Member) -> None:
        """Without a word."""
        if member.socket.fileno() >= 0:
            with suppress(KeyError):
                self._selector.unregister(member.socket)
            member.socket.close()

    def close(self) -> None:
        """All leave."""
        for member in self.members:
            self.leave(member)
        self._selector.close()

    def go_on(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Send and read for so long, or until then."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and not until():
            for member in self.members:
                if member.socket.fileno() < 0:
                    continue
                wanted = (0 if member.deaf else selectors.EVENT_READ) | (selectors.EVENT_WRITE if member.out else 0)
                with suppress(KeyError):
                    if wanted:
                        self._want(member, wanted)
                    else:
                        self._selector.unregister(member.socket)
            for key, event in self._selector.select(min(0.05, end - now)):
                self._serve(key.data, event)

    def _want(self, member: Member, wanted: int) -> None:
        try:
            if self._selector.get_key(member.socket).events != wanted:
                self._selector.modify(member.socket, wanted, member)
        except KeyError:
            self._selector.register(member.socket, wanted, member)

    def _serve(self, member: Member, event: int) -> None:
        try:
            if event & selectors.EVENT_WRITE:
                del member.out[: member.socket.send(member.out[:262_144])]
            if event & selectors.EVENT_READ:
                data = member.socket.recv(1 << 20)
                if not data:
                    raise ConnectionResetError
                member.got += data
                for message in member.messages():
                    if message["Type"] == "RESPONSE":
                        member.codes[message["Code"]] += 1
                    else:
                        member.send(*self._answer(member, message))
        except ConnectionError:
            self.leave(member)
        except BlockingIOError:
            pass


def rss(pid: int) -> float:
    """The memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024
