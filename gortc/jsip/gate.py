"""The gate: which requests are turned away before anything is made for them. docs/jsip.md section 6, "Turned away".

A stranger has limits; and when the server has more to do than it can, part of the new sessions is turned away, so that
the others, and all running ones, go well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import ceil, inf
from random import random
from string import ascii_letters
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

from gortc.jsip.layers import Channel, Journal, Owner
from gortc.jsip.message import Headers, Request
from gortc.jsip.meter import Meter, renewed
from gortc.jsip.timers import Timers
from gortc.jsip.uri import BadURI, parse, same_name

if TYPE_CHECKING:
    from gortc.jsip.syntax import Syntax

ASSERTED: Final = "P-Asserted-Identity"
LETTERS: Final = b"passertedidentity"
SPELT: Final = re.compile("[^a-z]*".join(LETTERS.decode()), re.ASCII | re.IGNORECASE)
LONGEST: Final = 64
"""So many characters of a name are folded, and remembered."""
SHORTEST: Final = 15
"""No spelling of it has fewer characters."""
NO_HOSTS: Final[frozenset[str]] = frozenset()
SOME: Final = 5
"""So many hosts are named, where there are more."""
UNLIMITED: Final = 2**62
HUSH_MAX: Final = 1.0
"""Longer than so many seconds nobody is left unread: what has waited for longer is not worth an answer any more."""


class Guest:
    """Who is at the other end of a channel, and what holds for it. A channel without one may do anything.

    `asserted` is its `P-Asserted-Identity`, whatever it sends; "" where it has none, None where its own word counts.
    `own_from`: its `From` must name it, or, of a next hop, a name at one of the `hosts` that it is for. `limited`: the
    limits hold; then it counts by `address`, with all who come from there. `told`: it may be told who others are.
    `opens`: it may open dialogues.
    """

    __slots__ = ("address", "asserted", "hosts", "limited", "name", "opens", "own_from", "told", "wait_until")

    def __init__(
        self,
        name: str,
        address: str = "",
        asserted: str | None = None,
        own_from: bool = False,
        limited: bool = False,
        told: bool = True,
        opens: bool = True,
        hosts: frozenset[str] = NO_HOSTS,
    ) -> None:
        self.name = name
        self.address = address
        self.asserted = asserted
        self.own_from = own_from
        self.limited = limited
        self.told = told
        self.opens = opens
        self.hosts = hosts
        self.wait_until = 0.0
        """Until then it was told to wait, by a `Retry-After`."""

    def sign(self, headers: Headers) -> None:
        """Set who it is on what it has sent (RFC 3325 section 5)."""
        if self.asserted is None:
            return
        for name in [name for name in headers if len(name) >= SHORTEST and asserts(name)]:
            del headers[name]
        if self.asserted:
            headers[ASSERTED] = self.asserted

    def is_from(self, caller: str) -> bool:
        """Whether `caller`, a From, is its name, however that is spelled, or one that it may use."""
        if not self.hosts:
            return same_name(caller, self.name)
        try:
            uri = parse(caller)
        except BadURI:
            return False
        # As a user's: nothing stands around the name, and no prefix makes another one of it.
        return uri.host in self.hosts and uri.port is None and not uri.params and uri.name == uri.address

    @property
    def own_names(self) -> str:
        """Which those are, in words."""
        return f"a name at {' or '.join(sorted(self.hosts)[:SOME])}" if self.hosts else self.name


def asserts(name: str) -> bool:
    """Whether a header of this name says who somebody is, however it is spelled.

    To SIP, at some gateway, neither case nor what stands around a name means anything (RFC 3261 section 7.3.1); what
    folds a name beyond ASCII, loses what it can't show, or takes its lines for headers, may find it there. In capitals
    some letters beyond ASCII are of it, such as the i without a dot. A long name beyond ASCII is taken for one: nobody
    needs it.
    """
    if len(name) <= LONGEST:
        return _folds(name)
    return not name.isascii() or LETTERS in name.lower().encode().translate(None, NO_LETTERS)


@lru_cache(maxsize=4096)  # as many as a message has: each copy of it asks again. None is long, so they take 2 MB
def _folds(name: str) -> bool:
    return SPELT.search(name.translate(FOLDED)) is not None


def _folded() -> dict[int, str]:
    """The letters of ASCII that a character beyond it is read as: to fold a name as a whole takes the time of all that
    it becomes, and one character becomes up to eighteen. Beyond these two planes there are none."""
    found = {}
    for start in [*range(0x80, 0xD800, 0x80), *range(0xE000, 0x20000, 0x80)]:
        block = "".join(map(chr, range(start, start + 0x80)))
        if not _letters(block):
            continue
        for char in block:
            if letters := _letters(char):
                found[ord(char)] = letters
    return found


def _letters(text: str) -> str:
    return normalize("NFKD", text).upper().casefold().encode("ascii", "ignore").translate(None, NO_LETTERS).decode()


NO_LETTERS: Final = bytes(set(range(256)) - set(ascii_letters.encode()))
FOLDED: Final = _folded()


class Gate:
    """Turns requests away."""

    def __init__(self, timers: Timers, journal: Journal, syntax: Syntax, limits: Any, retry_after: int) -> None:
        """`timers` are not those of calls; the rest as `configure`."""
        self.timers = timers
        self.admitted = 0
        """How many new sessions were let in since it was opened."""
        self.refused = 0
        """How many were not, because there is too much to do."""
        self._limit = UNLIMITED
        self._late_at = inf
        self._journal = journal
        self._syntax = syntax
        self._now = timers.clock.seconds
        self._methods: dict[str, Meter] = {}
        self._requests: Meter | None = None
        self.configure(limits, retry_after)

    def configure(self, limits: Any, retry_after: int) -> None:
        """`limits` is `gortc.admission.limits.Limits`; `retry_after` is how long, in seconds, whoever is turned away
        because there is too much to do waits on average."""
        self._retry_after = retry_after
        self._dialogues_max: int = limits.dialogues
        self._called_max: int = limits.called
        self._ringing_max: int = limits.ringing
        self._least = min((limits.called + 1) // 2, limits.ringing)
        methods = {}
        for method, rate in limits.methods.items():
            meter = renewed(self._methods.get(method), self.timers, rate)
            if meter is not None:
                methods[method] = meter
        self._methods = methods
        self._requests = renewed(self._requests, self.timers, limits.requests)

    def open(self, limit: int = UNLIMITED, late_at: float = inf) -> None:
        """Let in so many new sessions, until it is opened again; and none after the time `late_at`, for what is due
        then is late: the reactor has been at work for too long."""
        self.admitted = self.refused = 0
        self._limit, self._late_at = limit, late_at

    def full(self) -> bool:
        """Whether there is too much to do for a new session."""
        return self.admitted >= self._limit or self._now() > self._late_at

    def turns_away(self, channel: Channel, request: Request, first: bool) -> bool:
        """Whether `request` may not go on; then it has been answered. `first`: it would open a session."""
        guest = channel.guest
        if first and self.full():
            self.refused += 1
            wait = 1.0 + int(2 * self._retry_after * random())  # so that not all come back at once
            return self._refuse(channel, guest, request, "overload", "the server has too much to do", wait)
        assert guest is not None  # whoever has none is asked about for the sake of the load only
        if first and not guest.opens:
            self._journal.note("not invited", channel.name, request)
            self._syntax.answer(channel, request, 403, Reason="whom we have called opens no dialogues")
            meter = self._methods.get(request.method) if guest.limited else None
            if meter is not None:  # it counts, but costs nothing of what it may
                wait = meter.take((guest.name, "not invited"))
                if wait > 0.0:
                    channel.hush(min(wait, HUSH_MAX))
            return True
        if guest.limited and self._too_much(channel, guest, request, first):
            return True
        # It has paid: to read a name takes its time, and so does an answer.
        if first and guest.own_from and not guest.is_from(request.caller):
            self._journal.note("false From", channel.name, request)
            self._syntax.answer(channel, request, 403, Reason=f"From must be {guest.own_names}")
            return True
        return False

    def _too_much(self, channel: Channel, guest: Guest, request: Request, first: bool) -> bool:
        account = channel.account
        if account is not None and account.is_over():
            return self._refuse(channel, guest, request, "no memory", "too much of yours waits", 1.0)
        if first and len(channel.sessions) >= self._dialogues_max and self._opened(channel) >= self._dialogues_max:
            self._journal.note("too many dialogues", channel.name, request)
            self._syntax.answer(channel, request, 503, Reason="you have too many dialogues")
            return True
        meter = self._methods.get(request.method)
        wait = 0.0 if meter is None else meter.take(guest.name)
        if wait == 0.0 and first and self._requests is not None:
            wait = self._requests.take(guest.address)
        return wait > 0.0 and self._refuse(channel, guest, request, "too many requests", "you ask too often", wait)

    def is_besieged(self, channel: Channel, owner: Owner) -> bool:
        """Whether a user, at the other end of `channel`, has too many dialogues already that others have opened to it,
        or of the one for whom `owner` would open one more: who has as many as are left gets no more of them, so that
        some are left for the next one."""
        guest = channel.guest
        if guest is None or not guest.limited or channel.elsewhere or len(channel.sessions) < self._least:
            return False
        asker = owner.asker
        called = his = ringing = 0
        for session in channel.sessions.values():
            if session.outgoing:
                called += 1
                if session.owner is not None and session.owner.asker is asker:
                    his += 1
                    ringing += session.rings
        if asker is None or asker.elsewhere or asker.guest is None or not asker.guest.limited:  # it asks for many
            his = ringing = 0
        left = self._called_max - called
        if left > 0 and (his == 0 or his < left) and ringing < self._ringing_max:
            return False
        self._journal.note("besieged", channel.name, f"{called} dialogues, {his} of the same caller, {ringing} ring")
        return True

    def _opened(self, channel: Channel) -> int:
        """How many of its dialogues it has opened itself: those that others have opened to it are not its own doing."""
        return sum(not session.outgoing for session in channel.sessions.values())

    def _refuse(
        self, channel: Channel, guest: Guest | None, request: Request, what: str, reason: str, wait: float
    ) -> bool:
        """503, and how long to wait (RFC 3261 section 21.5.4). Who does not wait is not read from for that time."""
        seconds = ceil(wait)
        self._syntax.answer(channel, request, 503, Reason=reason, **{"Retry-After": seconds})
        if guest is None or not guest.limited:
            self._journal.counts[what] += 1
            return True
        now = self._now()
        if now >= guest.wait_until:
            guest.wait_until = now + seconds
            self._journal.note(what, channel.name, request)
        else:
            self._journal.counts[what] += 1
            channel.hush(min(guest.wait_until - now, HUSH_MAX))
        return True
