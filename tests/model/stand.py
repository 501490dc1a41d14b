"""A node, its peers and a book for each dialogue: what every model shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, cast

from hypothesis import note
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from gortc.client.ladder import SERVER
from gortc.jsip.message import Headers, Message
from gortc.jsip.methods import ACK, BYE, CANCEL, INVITE, STARTERS
from gortc.service.interfaces import IServiceLogic
from gortc.testing import Lab, User
from tests.model.books import Book, Codes

Key = tuple[str, str]
"""A dialogue: a peer and a DialogueID."""

LONGEST = 700.0
"""More than any time that peers and services ask for here, in seconds."""


class Stand(Lab):
    """A Lab that keeps a book of each dialogue, and every failure that is logged.

    Books and what follows go by dialogue, that is by peer and DialogueID: `firsts` has the first request of each that
    ever was, `began` when it was sent, in seconds; `finals` counts the final responses to a peer's request, by its
    CSeq, too. `heard` has every request that a peer has received, ACK apart. `gone` says since when a peer is away, and
    `held` what waits for it, in order. `deliberate` is what services raise on
    purpose.
    """

    def __init__(
        self, *services: IServiceLogic, deliberate: Collection[type[BaseException]] = (), **settings: Any
    ) -> None:
        super().__init__(*services, drop_log_per_second=1, **settings)
        self.deliberate = tuple(deliberate)
        self.books: dict[Key, Book] = {}
        self.firsts: dict[Key, Headers] = {}
        self.began: dict[Key, float] = {}
        self.heard: list[tuple[str, Headers]] = []
        self.finals: Counter[tuple[str, str, int]] = Counter()
        self.peers: dict[str, Peer] = {}
        self.gone: dict[str, float] = {}
        self.held: dict[str, list[Headers]] = {}
        self.failures: list[Failure] = []
        self.wrong: list[str] = []
        self._instant: tuple[str, str, int, Codes] | None = None  # an answer that must come before `say` is over
        self._observer = cast(ILogObserver, self._observe)
        globalLogPublisher.addObserver(self._observer)
        self._send = self.node.syntax.send
        self.node.syntax.send = self._sent_by_stack  # type: ignore[method-assign]

    def close(self) -> None:
        """Hear no more of the log, and show the ladder where the test has failed."""
        globalLogPublisher.removeObserver(self._observer)
        note(Picture(self))

    def _observe(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.failures.append(event["log_failure"])

    @property
    def now(self) -> float:
        """Virtual time."""
        return self.clock.seconds()

    def remark(self, text: str) -> None:
        """A line across the ladder."""
        self.ladder.note(self.now, None, text)

    # peers

    def come(self, name: str) -> None:
        """A peer connects, or connects again; its old connection is replaced where it has one."""
        self.remark(f"{name} connects")
        old = self.peers.get(name)
        replaced = old is not None and old.closed is None
        if self.gone.pop(name, None) is not None:
            for book in self._books_of(name):
                book.resume(self.now)
        self.peers[name] = Peer(self, name)
        assert not self.held.pop(name, None), "not all that has waited has come (C-34)"
        assert not replaced or (old is not None and old.closed == 4001)

    def go(self, name: str) -> None:
        """A peer's connection is lost."""
        self.remark(f"{name} has gone")
        self.gone[name], self.held[name] = self.now, []
        for book in self._books_of(name):
            book.lose()
        self.peers[name].leave()

    def _books_of(self, name: str) -> list[Book]:
        return [book for book in self.books.values() if book.name == name]

    def here(self, name: str) -> bool:
        """Whether a peer is connected."""
        return name in self.peers and self.peers[name].closed is None

    def invited(self, key: Key) -> int:
        """The CSeq of the peer's latest INVITE in a dialogue; 0 where it is over, or the peer has sent none."""
        book = self.books.get(key)
        return book.invited if book else 0

    def unanswered(self) -> list[tuple[str, Headers]]:
        """The requests that peers have received and owe a final response."""
        heard = [(name, headers, self.books.get((name, headers["DialogueID"]))) for name, headers in self.heard]
        return [(name, headers) for name, headers, book in heard if book and headers["CSeq"] in book.ours]

    # what is said

    def say(self, name: str, headers: Headers) -> bool:
        """A peer sends a message, which its book judges. Whether the service may hear of it."""
        method = headers["Type"]
        book = self.books.get((name, headers["DialogueID"]))
        if method == "RESPONSE":
            heard = book is not None and book.answers(headers, self.now)
            quiet = not heard
        elif method == ACK:
            heard = book is not None and book.acks(headers)
            quiet = not heard
        else:
            codes = book.stateless(headers) if book else self._first(headers)
            if codes is None:
                book = book or self._open(name, headers, up=True)
                heard = book.asked(headers, self.now)
            else:
                heard = book is not None and (
                    (method == CANCEL and book.cancels(headers))
                    or (method == BYE and 200 in codes and book.hung_up())
                )  # fmt: skip
                self._expect(name, headers, codes)
            quiet = codes == ()
        said = len(self.ladder)
        self.peers[name].send(headers)
        assert not quiet or len(self.ladder) == said + 1, f"something came of {headers}"
        return heard

    def _first(self, headers: Headers) -> Codes | None:
        """What answers a request in no known dialogue, which opens one where nothing does."""
        if headers["Type"] not in STARTERS:
            return (481,)  # S-29, D-2
        return (483,) if headers.get("Max-Forwards") == 0 else None  # M-14

    def _open(self, name: str, headers: Headers, up: bool) -> Book:
        settings = self.settings
        lone = headers["Type"] != INVITE
        key = (name, headers["DialogueID"])
        self.firsts[key], self.began[key] = headers, self.now
        book = self.books[key] = Book(name, up, lone, settings.times, settings.requests_max)
        return book

    def _expect(self, name: str, headers: Headers, codes: Codes) -> None:
        if codes:
            self._instant = (name, headers["DialogueID"], headers["CSeq"], codes)

    def arrived(self, name: str, headers: Headers) -> None:
        """A message of the server's reaches a peer, or is to wait for one that is away.

        What is wrong is kept for `at_rest`: this is called from within the stack, which lets nothing through.
        """
        waited = self.held.get(name)
        if waited and name not in self.gone:
            if waited.pop(0) != headers:
                self.wrong.append(f"out of order: {headers}")
            return
        try:
            if headers["Type"] != "RESPONSE":
                if not self._asked(name, headers):
                    self._take_back(name, headers)
                    return
            elif not self._answered_at_once(name, headers):
                book = self.books.get((name, headers["DialogueID"]))
                assert book is not None, "a response in no dialogue"
                book.answered(headers, self.now)
                self.finals[name, headers["DialogueID"], headers["CSeq"]] += headers["Code"] >= 200
        except AssertionError as wrong:
            self.wrong.append(f"{wrong}: {headers}")
        if name in self.gone and not self._left(name):
            self.held[name].append(headers)

    def _left(self, name: str) -> bool:
        return self.gone[name] + self.settings.times.grace <= self.now

    def _take_back(self, name: str, headers: Headers) -> None:
        """A request does not reach its peer; where it is a CANCEL, nor does the INVITE that waited (C-36)."""
        if headers["Type"] == CANCEL:
            invite = (INVITE, headers["DialogueID"], headers["RelatedID"])
            self.held[name] = [
                held for held in self.held[name] if (held["Type"], held["DialogueID"], held["CSeq"]) != invite
            ]

    def _answered_at_once(self, name: str, headers: Headers) -> bool:
        if self._instant is None or self._instant[:3] != (name, headers["DialogueID"], headers["CSeq"]):
            return False
        codes, self._instant = self._instant[3], None
        assert headers["Code"] in codes, f"not {codes}"
        return True

    def _sent_by_stack(self, message: Message) -> None:
        """Hear of what can't reach a peer that is away, before the stack does."""
        channel = message.session.channel
        if channel.away:
            self.arrived(channel.name, message.headers)
        self._send(message)

    def _asked(self, name: str, headers: Headers) -> bool:
        book = self.books.get((name, headers["DialogueID"]))
        if book is None:
            assert headers["DialogueID"].startswith(f"dlg_{self.settings.realm}_"), f"in no dialogue: {headers}"
            assert headers["Type"] in STARTERS, f"in no dialogue: {headers}"
            book = self._open(name, headers, up=False)
        return book.asks(headers, self.now)

    # at rest

    def at_rest(self) -> None:
        """Everything that had to happen by now has happened; nothing has failed that was not meant to."""
        assert not self.wrong, self.wrong
        assert self._instant is None, f"not answered at once: {self._instant}"
        assert "stack failure" not in self.node.journal.counts, self.failures
        for failure in self.failures:
            assert failure.check(*self.deliberate), failure.getTraceback()
        self.failures.clear()
        now = self.now
        channels = self.node.channels.by_name
        for name in filter(self._left, self.gone):
            self.held[name].clear()
            for book in self._books_of(name):
                book.leave()
        for key, book in list(self.books.items()):
            name, dialogue_id = key
            try:
                book.at_rest(now)
                channel = channels.get(name)
                session = channel and channel.sessions.get(dialogue_id)
                if session is None and book.lone and not book.up:  # its service has ended, and waits no longer (D-17)
                    book.over = True
                assert book.over == (session is None), f"over: {book.over}, but there is {session}"
            except AssertionError as wrong:
                raise AssertionError(f"{name}, {dialogue_id}, {book.state}: {wrong}") from None
            if book.over:
                del self.books[key]
        for name, channel in channels.items():
            for dialogue_id in channel.sessions:
                assert (name, dialogue_id) in self.books, f"{name} has a session that should be over: {dialogue_id}"
            assert channel.connection is not None or channel.sessions or channel.waiting, f"{name} is away for nothing"
        for call in self.clock.getDelayedCalls():
            assert call.getTime() - now <= LONGEST, f"a timer of {call.getTime() - now} s"

    def run_out(self) -> None:
        """No peer and no service says any more; time passes, and nothing is left."""
        for _ in range(5):
            self.advance(LONGEST)
            self.at_rest()
        self.check_empty()
        assert not self.books, self.books


class Peer(User):
    """A user whose messages the books hear."""

    lab: Stand

    def arrived(self, message: Headers) -> None:
        """A message of the server's has arrived."""
        self.lab.ladder.add(self.lab.now, SERVER, self.name, message)
        self.inbox.append(message)
        if message["Type"] not in ("RESPONSE", ACK):
            self.lab.heard.append((self.name, message))
        self.lab.arrived(self.name, message)


class Picture:
    """A ladder, drawn only where Hypothesis shows it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(self._lab.ladder.draw())
