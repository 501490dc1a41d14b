"""Users of the soak: they call each other, talk, hang up and come back, and keep book of all they hear."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from tests.wire.kit import Json
from tests.wire.resuming import Window

PATIENCE = 60.0
"""How long a final response may take, in seconds: longer than any time of the servers."""
LIFE = 1.0
"""Between two pings, and how long a pong may take."""

_ids = count(1)


class Book:
    """What has happened to all: `counts`, and what must not have, `wrong`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def error(self, text: str) -> None:
        """Something that must not be."""
        self.counts["wrong"] += 1
        if len(self.wrong) < 50:
            self.wrong.append(text)


class User:
    """One user, who resumes. `gone` once it has left for good without a word: then its calls may end as they like."""

    everybody: dict[str, User] = {}

    def __init__(self, name: str, url: str, book: Book, random: Random) -> None:
        self.name = name
        self.gone = False
        self.calls: dict[str, Call] = {}
        self.window = Window()
        self.book = book
        self.random = random
        self._url = f"{url}?userid={quote(name)}"
        self._socket: ClientConnection | None = None
        self._more = asyncio.Event()
        self._confirmation: str | None = None
        self._leaving = False
        self._task = asyncio.create_task(self._run())
        self.everybody[name] = self

    # the connection

    async def _run(self) -> None:
        while not self._leaving:
            try:
                self._socket = await connect(
                    self._url + self.window.query,
                    subprotocols=[Subprotocol("jsip.resume")],
                    proxy=None,
                    ping_interval=LIFE,
                    ping_timeout=LIFE,
                    open_timeout=3,
                    close_timeout=1,
                )
                first = await asyncio.wait_for(self._socket.recv(), 3)
                self.window.welcome(str(first))
                writer = asyncio.create_task(self._write(self._socket))
                try:
                    while True:
                        self._take(str(await self._socket.recv()))
                finally:
                    writer.cancel()
            except (OSError, TimeoutError, asyncio.TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage):
                self.book.counts["connections lost"] += 1
                await asyncio.sleep(self.random.uniform(0.05, 0.5))
            except LookupError as lost:
                self.book.error(f"{self.name} could not resume: {lost}")
                self.window = Window()
        if self._socket is not None:
            await self._socket.close()

    async def leave(self) -> None:
        """Close the connection, and stay away."""
        del self.everybody[self.name]
        self._leaving = True
        if self._socket is not None:
            await self._socket.close()
        await self._task
        self.book.counts["resumed"] += self.window.resumed

    async def vanish(self) -> None:
        """As a process does that is killed: nobody says a word, the socket is closed by the kernel."""
        self.gone = self._leaving = True
        self._task.cancel()
        if self._socket is not None:
            self._socket.transport.abort()
        self.book.counts["vanished"] += 1
        for user in self.everybody.values():
            for call in user.calls.values():
                call.excused = call.excused or self.name in (call.invite["From"], call.invite["To"])
        self.book.counts["resumed"] += self.window.resumed
        del self.everybody[self.name]

    def send(self, message: Json) -> None:
        """Now, or after the next reconnect."""
        self.book.counts["sent"] += 1
        self.window.keep(json.dumps(message))
        self._more.set()

    async def _write(self, socket: ClientConnection) -> None:
        """All that the server does not have, and then whatever comes."""
        window = self.window
        at = window.sent - len(window.kept)
        with suppress(ConnectionClosed):
            while True:
                while at < window.sent:
                    data = window.kept[at - (window.sent - len(window.kept))]
                    at += 1
                    await socket.send(data)
                if self._confirmation is not None:
                    confirmation, self._confirmation = self._confirmation, None
                    await socket.send(confirmation)
                    continue
                self._more.clear()
                await self._more.wait()

    def _take(self, frame: str) -> None:
        message, confirmation = self.window.take(frame)
        if confirmation is not None:
            self._confirmation = confirmation
            self._more.set()
        if message is None:
            return
        self.book.counts["received"] += 1
        call = self.calls.get(message["DialogueID"])
        if call is not None:
            call.take(message)
        elif message["Type"] == "INVITE":
            callee = Call(self, message, ours=False)
            callee.task = asyncio.create_task(callee.answer())
        elif message["Type"] == "MESSAGE":
            self.reply(message, 200)
        elif message["Type"] not in ("RESPONSE", "ACK"):
            self.reply(message, 481)
        else:
            self.book.counts["strays"] += 1

    def reply(self, request: Json, code: int, **headers: Any) -> None:
        """Answer a request."""
        named = {name: request[name] for name in ("From", "To", "DialogueID", "CSeq")}
        self.send({"Type": "RESPONSE", "Code": code, **named, **headers})

    def open(self, method: str, to: str, **body: Any) -> Call:
        """Send a first request."""
        named = {"Type": method, "Request-URI": to, "From": self.name, "To": to, "DialogueID": f"soak-{next(_ids)}"}
        return Call(self, {**named, "CSeq": 1, "Body": body}, ours=True)


class Call:
    """One dialogue of one user."""

    def __init__(self, user: User, invite: Json, ours: bool) -> None:
        self.user = user
        self.invite = invite
        self.over = asyncio.Event()
        self.confirmed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.excused = False
        """The other party has vanished: it may end in any way."""
        self._id: str = invite["DialogueID"]
        self._cseq = 1 if ours else 0
        self._heard = 0
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._final: set[int] = set()
        self._answered = False
        self._story: list[str] = []
        user.calls[self._id] = self
        if ours:
            self.answered = self._ask(invite)

    def _ask(self, request: Json) -> asyncio.Future[int]:
        waits: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[request["CSeq"]] = waits
        self._note(request, ">")
        self.user.send(request)
        return waits

    def send(self, method: str, body: Any = None, **headers: Any) -> asyncio.Future[int] | None:
        """Send a request; of all but ACK, what fires with the code of its final response."""
        self._cseq += 1
        same = {name: self.invite[name] for name in ("Request-URI", "From", "To", "DialogueID")}
        request = {"Type": method, **same, "CSeq": self._cseq, "Body": body, **headers}
        if method == "ACK":
            self.user.send(request)
            return None
        return self._ask(request)

    async def final(self, waits: asyncio.Future[int] | None) -> int:
        """The code of a final response; 0 where none has come, which must not be."""
        assert waits is not None
        try:
            return await asyncio.wait_for(asyncio.shield(waits), PATIENCE)
        except (asyncio.TimeoutError, TimeoutError):
            self.wrong("no final response")
            return 0

    def wrong(self, text: str) -> None:
        """Unless somebody has vanished, it must not be."""
        if self.user.gone or self.excused:
            self.user.book.counts["excused"] += 1
        else:
            self.user.book.error(f"{self.user.name}, {self._id}: {text}; {' '.join(self._story)}")

    def _note(self, message: Json, way: str) -> None:
        now = asyncio.get_running_loop().time() % 1000
        self._story.append(f"{now:.2f}{way}{message.get('Code', message['Type'])}/{message['CSeq']}")

    def take(self, message: Json) -> None:
        """A message of this dialogue."""
        self._note(message, "<")
        kind, cseq = message["Type"], message["CSeq"]
        if kind == "RESPONSE":
            self._take_response(message["Code"], cseq)
        elif kind == "ACK":
            self.confirmed.set()
        elif kind == "CANCEL":
            self.user.reply(message, 200)
            if not self._answered:
                self._answered = True
                self.user.reply(self.invite, 487)
            self.over.set()
        else:
            if kind == "INFO":
                self._hear(message["Body"])
            elif kind == "BYE":
                self.over.set()
            self.user.reply(message, 200)

    def _take_response(self, code: int, cseq: int) -> None:
        if code < 200:
            return
        if cseq in self._final:
            self.user.book.error(f"{self.user.name}, {self._id}: a second final response to {cseq}: {code}")
        else:
            self._final.add(cseq)
            waits = self._waiting.pop(cseq, None)
            if waits is None:
                self.user.book.error(f"{self.user.name}, {self._id}: a response to nothing, {cseq}: {code}")
            elif not waits.done():
                waits.set_result(code)

    def _hear(self, word: int) -> None:
        if word != self._heard + 1:
            self.wrong(f"word {word} after {self._heard}")
        self._heard = word

    async def talk(self, words: int) -> None:
        """Say so many, and have each taken."""
        random = self.user.random
        for word in range(1, words + 1):
            if self.over.is_set():
                return
            code = await self.final(self.send("INFO", word))
            if code != 200 and not self.over.is_set():
                await asyncio.sleep(1)  # the BYE that explains it may come behind it
                if not self.over.is_set():
                    self.wrong(f"INFO {word}: {code}")
                return
            self.user.book.counts["words"] += 1
            await asyncio.sleep(random.uniform(0, 0.5))

    async def hang_up(self) -> None:
        """BYE."""
        if not self.over.is_set():
            self.over.set()
            code = await self.final(self.send("BYE"))
            if code not in (200, 481):
                self.wrong(f"BYE: {code}")

    async def answer(self) -> None:
        """Be called: be busy, let it ring, or answer and talk."""
        random, plan = self.user.random, self.invite["Body"]
        fate = random.random()
        if fate < 0.1:
            self._answered = True
            self.user.reply(self.invite, 486)
            self.over.set()
        else:
            self.user.reply(self.invite, 180)
            if fate < 0.2:
                await self._wait(self.over, 70)
            else:
                await self._wait(self.over, random.uniform(0, 1))
                if not self.over.is_set():
                    self._answered = True
                    self.user.reply(self.invite, 200, Body="answer")
                    await self._wait(self.confirmed, PATIENCE)
                    await self.talk(plan["words"])
                    if plan["callee hangs up"]:
                        await self.hang_up()
                    else:
                        await self._wait(self.over, PATIENCE)
        await self._forget()

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

    async def _forget(self) -> None:
        await asyncio.sleep(5)  # what is doubled or late comes by then
        self.user.calls.pop(self._id, None)

    async def deliver(self) -> str:
        """A MESSAGE. Returns how it ended."""
        code = await self.final(self.answered)
        await self._forget()
        return f"message, {code}"

    async def make(self, words: int, callee_hangs_up: bool, patience: float) -> str:
        """The caller's part of a call. Returns how it ended."""
        try:
            return await self._make(words, callee_hangs_up, patience)
        finally:
            await self._forget()

    async def _make(self, words: int, callee_hangs_up: bool, patience: float) -> str:
        try:
            code = await asyncio.wait_for(asyncio.shield(self.answered), patience)
        except (asyncio.TimeoutError, TimeoutError):
            await self.final(self.send("CANCEL", RelatedID=1))
            code = await self.final(self.answered)
            if code != 200:
                self.send("ACK", RelatedID=1)
                return f"cancelled, {code}"
        self.send("ACK", RelatedID=1)
        if code != 200:
            return f"refused, {code}"
        await self.talk(words)
        if callee_hangs_up:
            await self._wait(self.over, PATIENCE)
            if not self.over.is_set():
                self.wrong("nobody hung up")
        await self.hang_up()
        return "talked"
