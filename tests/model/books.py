"""What the wire shows of a dialogue, kept a second time: from docs/jsip.md, not from the stack's tables.

A `Book` hears every message of one dialogue on one channel, both ways, and the time. It says what a peer's request must
be answered at once, what the server may send now, and whether the session lives. Whatever breaks a rule is an
AssertionError that names it.

Times are exact: those of the stack are whole seconds, and the models wait in eighths.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from gortc.jsip.message import Headers
from gortc.jsip.methods import ACK, BYE, CANCEL, INVITE, PRACK, STARTERS, UPDATE
from gortc.jsip.times import Times

# What becomes of an INVITE dialogue.
CALLING = "calling"
EARLY = "early"
ANSWERED = "answered"
CONFIRMED = "confirmed"
FAILED = "failed"
CANCELLING = "cancelling"
LEAVING = "leaving"

TALKING = (ANSWERED, CONFIRMED)
OPEN = (CALLING, EARLY, ANSWERED, CONFIRMED)

BY_SERVICE = "X-By-Service"
"""A header that the scripted service gives its requests, so that they can be told from the stack's own."""

Codes = Collection[int]

NEVER = float("inf")


MOMENTS = 2.0
"""A first INVITE waits so much longer, in seconds, where its callee's time is up at the same time (S-25)."""


@dataclass(eq=False)
class Ask:
    """A request that waits for its final response, at the latest at `due`.

    `span`: its whole time, in seconds, where no time runs while the peer is away (C-38), else 0. `most`: when an
    INVITE's time is up, however often it has rung; `first`: it is the session's first INVITE; `extended`: its time
    has been, by a provisional response; `cancelled`: by us; `abandoned`: the same because its time was up; `must`:
    what the stack itself answers the peer, at once.
    """

    method: str
    cseq: int
    due: float
    most: float = NEVER
    first: bool = False
    extended: bool = False
    cancelled: bool = False
    abandoned: bool = False
    must: Codes | None = None
    span: float = 0

    def ring(self, now: float, times: Times) -> None:
        """A 1xx to an INVITE starts its time again; of ours, never beyond its time in all (S-23)."""
        self.due = min(now + times.invite, self.most)

    def extend(self, now: float, times: Times) -> None:
        """A provisional response to any other request gives it more time, once (T-12, T-13)."""
        if not self.extended:
            self.extended = True
            self.due = now + times.provisional
            self.span = self.span and times.provisional


@dataclass(eq=False)
class Book:
    """One dialogue. `up`: the peer opened it. `theirs` are the peer's open requests, `ours` the server's, by CSeq.

    `unacked`: INVITEs of the peer's that have their final response, with its code and when the ACK is waited for no
    longer. `owed`: our INVITEs whose final response we have not acknowledged, with its code; `ack_now`: one that the
    stack itself must acknowledge at once. `exchange`: the one re-INVITE, UPDATE or PRACK with a Body that may be open.
    `used`: the server's CSeqs. `invited`: the peer's latest INVITE. `must_leave`: a 200 has crossed our CANCEL. `away`:
    the peer has no connection; `held` are our requests that wait for it.
    """

    name: str
    up: bool
    lone: bool
    times: Times
    requests_max: int
    state: str = CALLING
    over: bool = False
    theirs: dict[int, Ask] = field(default_factory=dict)
    ours: dict[int, Ask] = field(default_factory=dict)
    unacked: dict[int, tuple[int, float, bool]] = field(default_factory=dict)
    owed: dict[int, int] = field(default_factory=dict)
    exchange: Ask | None = None
    used: set[int] = field(default_factory=set)
    invited: int = 0
    asked_first: bool = False
    must_leave: bool = False
    ack_now: int = 0
    away: bool = False
    held: list[Ask] = field(default_factory=list)

    # the peer's connection

    def lose(self) -> None:
        """It is gone: no time runs for what the peer has to do (C-38)."""
        self.away = True
        for ask in self.ours.values():
            if ask.span:
                ask.due = NEVER
        for cseq, (code, due, first) in self.unacked.items():
            self.unacked[cseq] = (code, NEVER if code < 300 else due, first)

    def resume(self, now: float) -> None:
        """It is back: the peer has its whole time again, and gets what has waited (C-38, C-34)."""
        self.away = False
        self.held.clear()
        for ask in self.ours.values():
            if ask.span:
                ask.due = now + ask.span
        for cseq, (code, due, first) in self.unacked.items():
            self.unacked[cseq] = (code, now + self.times.ack if code < 300 else due, first)

    def leave(self) -> None:
        """The peer has not come back in its grace (C-39)."""
        self.over = True
        self.theirs.clear()

    # the peer sends a request

    def stateless(self, headers: Headers) -> Codes | None:
        """What answers this request of the peer's without a transaction; None where it gets one, or is an ACK."""
        method, cseq = headers["Type"], headers["CSeq"]
        if method == ACK:
            return None
        if method == CANCEL:
            return self._cancel_answer(headers)
        live = self.live(cseq)
        if live is not None:
            return () if live == method else (400,)  # T-6, T-7
        if self.lone:
            return (491,) if method in STARTERS else (481,)  # T-15
        if method == BYE:
            return (481,) if self.state == FAILED else (200,)  # T-19
        if len(self.theirs) + len(self.unacked) >= self.requests_max:
            return (503,)  # T-18
        return None

    def _at_once(self, headers: Headers) -> Codes | None:
        """What the stack itself answers in a transaction; None where the service answers."""
        method = headers["Type"]
        if method == INVITE and self.up and not self.invited:
            return (423,) if self._brief(headers) else None  # S-49
        if self.state in (FAILED, CANCELLING, LEAVING):
            return (481,)
        if method == INVITE and self.state in (CALLING, EARLY):
            return (500,) if self.up else (491,)  # S-41, S-42
        if method == UPDATE and self.state == CALLING:
            return (481,)  # S-36
        if method == PRACK and (self.state == CALLING or not self.up):
            return (481,)  # S-34, S-36
        if method == UPDATE and "Body" not in headers:
            return (423,) if self._brief(headers) else (200,)  # S-47, S-49
        if method in (INVITE, UPDATE) or (method == PRACK and "Body" in headers):
            if self.exchange is not None:
                return (491,)  # S-38
            if method != PRACK and self._brief(headers):
                return (423,)
        return None

    def live(self, cseq: int) -> str | None:
        """The method of the peer's transaction under `cseq`, where there is one."""
        if cseq in self.theirs:
            return self.theirs[cseq].method
        return INVITE if cseq in self.unacked else None

    def _brief(self, headers: Headers) -> bool:
        return bool(headers.get("Expire", self.times.session_min) < self.times.session_min)

    def _cancel_answer(self, headers: Headers) -> Codes:
        related = headers.get("RelatedID", self.invited)
        if self.lone or related == 0:
            return (481,)
        if self.live(related) == INVITE or related == self.invited:
            return (200,)  # S-2, S-3, S-4
        return (481,)  # S-5

    def asked(self, headers: Headers, now: float) -> bool:
        """The peer sends a request that `stateless` has no answer to. Whether the service may hear of it."""
        method, cseq, times = headers["Type"], headers["CSeq"], self.times
        must = None if self.lone else self._at_once(headers)
        if method == INVITE:
            ask = Ask(method, cseq, now + times.invite, NEVER, first=self.up and not self.invited)
            self.invited = cseq
        else:
            ask = Ask(method, cseq, now + times.transaction)
        ask.must = must
        self.theirs[cseq] = ask
        exchange = method == UPDATE or (method == PRACK and "Body" in headers) or (method == INVITE and not ask.first)
        if must is None and exchange:
            self.exchange = ask
        return must is None

    def hung_up(self) -> bool:
        """The peer sends a BYE that gets 200. Whether the service may hear of it."""
        if self.state == LEAVING:
            return False  # S-11
        for ask in self.theirs.values():
            ask.must = (487,)  # S-10
        self.over = True
        return True

    def cancels(self, headers: Headers) -> bool:
        """The peer sends a CANCEL: an INVITE that is open gets 487. Whether the service may hear of it."""
        ask = self.theirs.get(headers.get("RelatedID", self.invited))
        if ask is None or ask.method != INVITE:
            return False  # S-4, S-5
        ask.must = (487,)
        return True

    def acks(self, headers: Headers) -> bool:
        """The peer sends an ACK. Whether it means anything."""
        related = headers.get("RelatedID", self.invited)
        if related not in self.unacked:
            return False
        code, _, first = self.unacked.pop(related)
        if first and code >= 300:
            self.over = True
        elif first and self.state == ANSWERED:
            self.state = CONFIRMED
        return True

    # the server answers

    def answered(self, headers: Headers, now: float) -> None:
        """The server's response to a request of the peer's."""
        code, cseq = headers["Code"], headers["CSeq"]
        ask = self.theirs.get(cseq)
        assert ask is not None, f"{code} to no open request, CSeq {cseq}, of {self.name}"
        if code < 200:
            assert ask.must is None, f"{code} where {ask.must} was to come at once"
            if ask.method == INVITE:
                assert code > 100, "100 to an INVITE: the stack never sends it (S-19)"
                ask.ring(now, self.times)
                if ask.first and self.state == CALLING:
                    self.state = EARLY
            else:
                ask.extend(now, self.times)
            return
        assert ask.must is None or code in ask.must, f"{code} to {ask.method} CSeq {cseq}, not {ask.must}"
        del self.theirs[cseq]
        if self.exchange is ask:
            self.exchange = None
        if ask.method == INVITE:
            wait = self.times.ack if code < 300 else self.times.error_ack
            self.unacked[cseq] = (code, NEVER if self.away and code < 300 else now + wait, ask.first)
            if ask.first and self.state in (CALLING, EARLY):
                self.state = ANSWERED if code < 300 else FAILED
        if self.lone:
            self.over = True

    # the server asks

    def asks(self, headers: Headers, now: float) -> bool:
        """A request of the server's. Whether it reaches the peer, now or when that is back."""
        method, cseq = headers["Type"], headers["CSeq"]
        assert cseq not in self.used, f"{method} under CSeq {cseq}, which the server has used"
        self.used.add(cseq)
        self.lapse(now, at_rest=False)
        if method == ACK:
            self._acknowledge(headers["RelatedID"])
            return True
        assert not self.over, f"{method} in a session that is over"
        if method == CANCEL:
            self._take_back(headers["RelatedID"], now)
        elif method == BYE:
            assert self.state in TALKING, f"BYE in {self.state}"
            assert not self.owed, f"BYE before the ACK of {self.owed} (S-13)"
            assert not any(ask.must is None for ask in self.theirs.values()), "BYE before the answers (S-12)"
            self.state = LEAVING
        ask = self._open(headers, now)
        if self.away:
            if ask.first:  # it comes back at once: local 480 (C-28)
                self.over = True
                return False
            if method == CANCEL and (invite := self.ours[headers["RelatedID"]]) in self.held:  # local 487 (C-36)
                self.held.remove(invite)
                self._done(invite)
                return False
            assert method != UPDATE or "Body" in headers or BY_SERVICE in headers, "a refresh to a peer that is away"
            ask.due = ask.due if method == INVITE else NEVER
            self.held.append(ask)
        self.ours[cseq] = ask
        return True

    def _open(self, headers: Headers, now: float) -> Ask:
        method, cseq, times = headers["Type"], headers["CSeq"], self.times
        first = not self.up and not self.asked_first
        self.asked_first = True
        if method == INVITE:
            ask = Ask(method, cseq, now + times.invite, now + times.invite_max, first)
        else:
            ask = Ask(method, cseq, now + times.transaction, span=times.transaction)
        if first or method in (BYE, CANCEL):
            return ask
        assert not self.lone, f"{method} in a session of one transaction (T-16)"
        if method in (INVITE, UPDATE, PRACK):
            early = () if method == INVITE else (EARLY,)
            assert self.state in (*TALKING, *early), f"{method} in {self.state}"
            assert method != PRACK or not self.up, "PRACK from the callee (S-34)"
            # An UPDATE without a Body is a refresh of the stack's, a PRACK without one is no exchange.
            if method == INVITE or "Body" in headers or (method == UPDATE and BY_SERVICE in headers):
                assert not self.owed, f"{method} before the ACK of {self.owed} (S-39)"
                assert self.exchange is None, f"{method} while a {self.exchange and self.exchange.method} is open"
                self.exchange = ask
        else:
            assert self.state in OPEN, f"{method} in {self.state}"
        return ask

    def _acknowledge(self, related: int) -> None:
        code = self.owed.pop(related, 0)
        assert code, f"ACK of {related}, which has no final response that waits for one"
        if related == 1 and not self.up and code < 300 and self.state == ANSWERED:
            self.state = CONFIRMED

    def _take_back(self, related: int, now: float) -> None:
        ask = self.ours.get(related)
        assert ask is not None, f"CANCEL of {related}, which is not open"
        assert ask.method == INVITE, f"CANCEL of {related}, {ask.method}"
        assert not ask.cancelled, f"a second CANCEL of {related}"
        ask.cancelled = True
        ask.abandoned = now >= ask.due  # the service has been told 408
        ask.span, ask.most = self.times.cancel, NEVER
        ask.due = NEVER if self.away else now + ask.span
        if ask.first:
            self.state = CANCELLING

    # the peer answers

    def answers(self, headers: Headers, now: float) -> bool:
        """A response of the peer's. Whether it means anything."""
        code, cseq = headers["Code"], headers["CSeq"]
        ask = self.ours.get(cseq)
        if ask is None or self.over:
            return False
        if code < 200:
            if ask.method != INVITE:
                ask.extend(now, self.times)
            elif code > 100 and not ask.cancelled:
                if code == 182:  # it waits in a queue (S-23)
                    ask.most = now + self.times.invite_max
                ask.ring(now, self.times)
                if ask.first and self.state == CALLING:
                    self.state = EARLY
            return True
        self._done(ask)
        if ask.method == INVITE:
            self.owed[cseq] = code
            if ask.first and code < 300:
                self.must_leave = self.state == CANCELLING
                self.state = ANSWERED
            elif ask.cancelled or self.state == LEAVING:
                self.ack_now = cseq
        if self.lone or ask.method == BYE or (ask.first and code >= 300):
            self.over = True
        elif code in (408, 481) and ask.method not in (CANCEL, PRACK) and not ask.abandoned and self.state in TALKING:
            self.must_leave = True  # S-26, S-27; not S-24
        return True

    def _done(self, ask: Ask) -> None:
        self.ours.pop(ask.cseq, None)
        if self.exchange is ask:
            self.exchange = None

    # time

    def lapse(self, now: float, at_rest: bool = True) -> None:
        """What time has done by `now`; `at_rest` where every timer that is due has fired."""

        def late(due: float) -> bool:
            return due <= now if at_rest else due < now

        for ask in self.theirs.values():
            assert not late(ask.due + (MOMENTS if ask.first else 0)), (
                f"{ask.method} CSeq {ask.cseq} of {self.name} was not answered in time"
            )
        for ask in sorted(self.ours.values(), key=lambda ask: (ask.due, ask.method != BYE)):
            if ask.due <= now and not self.over:
                self._give_up(ask, late(ask.due))
        for cseq, (code, due, first) in list(self.unacked.items()):
            if due <= now:
                if code < 300:
                    hung_up = self.over or self.state not in TALKING
                    assert hung_up or not late(due), f"{code} to CSeq {cseq} was never acknowledged: no BYE (S-21)"
                    if not hung_up:
                        continue
                elif first:
                    self.over = True
                del self.unacked[cseq]

    def _give_up(self, ask: Ask, late: bool) -> None:
        if ask.method == INVITE and not ask.cancelled:
            assert not late, f"INVITE CSeq {ask.cseq} has had no answer in time, and no CANCEL (S-22)"
            return
        if ask.method == BYE and not late:  # what else is due at this very time may come first
            return
        self._done(ask)
        if self.lone or ask.method == BYE or ask.first:
            self.over = True

    def at_rest(self, now: float) -> None:
        """The step is over: what had to happen at once has happened."""
        self.lapse(now)
        at_once = [ask for ask in self.theirs.values() if ask.must is not None]
        assert not at_once, f"{at_once} should have been answered at once"
        late = {cseq: code for cseq, code in self.owed.items() if code >= 300 or self.over or cseq == self.ack_now}
        assert not late, f"no ACK of {late}"
        assert not self.must_leave or self.state == LEAVING or self.over, (
            "no BYE after the 200 that crossed a CANCEL (S-7)"
        )
        self.must_leave, self.ack_now = False, 0
        assert not (self.over and self.theirs), f"over, but {list(self.theirs.values())} has no answer"
        assert self.over or self.state != LEAVING or not self.theirs, "we have hung up, but owe answers (S-12)"
