"""Peers that say anything at any time: the rules that all models share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gortc.jsip import methods
from gortc.jsip.message import Headers, answer_headers
from gortc.jsip.methods import ACK, CANCEL, INVITE
from tests.model.stand import Key, Stand

CODES = (100, 180, 180, 183, 200, 200, 200, 200, 202, 302, 408, 481, 486, 491, 500, 603)
EXPIRES = (None, None, None, None, 5, 10, 30, 600)
HOPS = (None, None, None, None, None, 0, 1, 70)
STRAYS: tuple[Headers, ...] = ({}, {}, {}, {}, {}, {}, {}, {"CSeq": 99}, {"DialogueID": "none"})
"""What makes a response one to nothing."""
METHODS = (*sorted(methods.METHODS), *["ACK"] * 5, *["BYE"] * 4, *["INVITE"] * 3, "CANCEL", "UPDATE", "INFO")
PAUSES = (0.0, 0.125, 4.875, 5.0, 10.0, 15.0, 31.875, 32.0, 59.875, 60.0, 200.0, 600.0)
"""Mostly to the edge of one of the stack's times, in seconds."""

which = st.integers(0, 1_000)
"""One of those that there are, counted from the latest."""

Thing = TypeVar("Thing")


def pick(things: Sequence[Thing], number: int) -> Thing:
    """One of them: small numbers mean the latest ones."""
    return things[-1 - number % len(things)]


def mostly(living: Sequence[Thing], ever: Sequence[Thing], number: int) -> Thing:
    """One of the latest that live; now and then, or where none does, of those that ever were."""
    return pick(living if living and number % 6 else ever, number // 6 % 3)


class Peers(RuleBasedStateMachine):
    """Users of one server. A model adds the service, and what that one does."""

    NAMES: tuple[str, ...] = ("alice", "bob")

    def __init__(self) -> None:
        super().__init__()
        self.stand = self.make_stand()
        self.names = [f"{name}@gortc.local" for name in self.NAMES]
        self.opened = 0
        self.cseqs: dict[Key, int] = {}
        for name in self.names:
            self.stand.come(name)

    def make_stand(self) -> Stand:
        """The server."""
        raise NotImplementedError

    def say(self, name: str, headers: Headers) -> bool:
        """Send, where the peer is connected. Whether the service may hear of it."""
        return not self.stand.here(name) or self.stand.say(name, headers)

    def dial(self, name: str, callee: str, method: str = INVITE, **headers: Any) -> None:
        """Send a first request."""
        self.opened += 1
        first = {"Type": method, "Request-URI": callee, "From": name, "To": callee, "CSeq": 1}
        self.say(name, {**first, "DialogueID": f"{name}-{self.opened}", **headers})

    def reply(self, name: str, code: int) -> None:
        """Answer the latest request that a peer has received."""
        request = next(headers for who, headers in reversed(self.stand.heard) if who == name)
        self.say(name, answer_headers(request, code))

    def ask(self, key: Key, method: str, step: int = 1, **headers: Any) -> None:
        """Send a further request in a dialogue."""
        cseq = max(1, self.cseqs.get(key, 1) + step)
        self.cseqs[key] = max(self.cseqs.get(key, 1), cseq)
        first = self.stand.firsts[key]
        named = {header: first[header] for header in ("Request-URI", "From", "To", "DialogueID")}
        self.say(key[0], {**named, "Type": method, "CSeq": cseq, **headers})

    @initialize(steps=st.integers(0, 6))
    def begins(self, steps: int) -> None:
        """Mostly with a call that has got somewhere already, so that more is seen of what comes then."""
        for step in self.call()[:steps]:
            step()
            self.every_rule_is_kept()

    def call(self) -> list[Callable[[], object]]:
        """The steps of a plain call of Alice's."""
        raise NotImplementedError

    # what peers do

    @rule(
        number=which, method=st.sampled_from(["INVITE", "INVITE", "INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "INFO"]),
        body=st.booleans(), expire=st.sampled_from(EXPIRES), hops=st.sampled_from(HOPS),
    )  # fmt: skip
    def opens(self, number: int, method: str, body: bool, expire: int | None, hops: int | None) -> None:
        """A first request."""
        name, callee = pick(self.names, number), pick(self.names, number + 1)
        headers = {"Body": "an offer" if body else None, "Expire": expire, "Max-Forwards": hops}
        self.dial(name, callee, method, **given(**headers))

    @precondition(lambda self: self.stand.firsts)
    @rule(
        number=which, method=st.sampled_from(METHODS),
        body=st.booleans(), expire=st.sampled_from(EXPIRES), step=st.sampled_from([1, 1, 1, 1, 1, 0, -1, 7]),
        related=st.sampled_from(["latest", "latest", "latest", "none", "wrong"]),
    )  # fmt: skip
    def asks(self, number: int, method: str, body: bool, expire: int | None, step: int, related: str) -> None:
        """A further request in any dialogue that ever was, its CSeq mostly new."""
        key = mostly(list(self.stand.books), list(self.stand.firsts), number)
        headers = given(Body="an offer" if body else None, Expire=expire)
        if method in (ACK, CANCEL) and related != "none":
            headers["RelatedID"] = (self.stand.invited(key) if related == "latest" else 0) or 99
        self.ask(key, method, step, **headers)

    @precondition(lambda self: self.stand.heard)
    @rule(number=which, code=st.sampled_from(CODES), body=st.booleans(), stray=st.sampled_from(STRAYS))
    def answers(self, number: int, code: int, body: bool, stray: Headers) -> None:
        """A response to any request that a peer has received, mostly to one that waits for it; or to none."""
        name, request = mostly(self.stand.unanswered(), self.stand.heard, number)
        self.say(name, answer_headers(request, code) | given(Body="an answer" if body else None) | stray)

    @rule(seconds=st.sampled_from(PAUSES))
    def time_passes(self, seconds: float) -> None:
        """The clock jumps."""
        self.stand.advance(seconds)

    @rule(number=which, back=st.booleans())
    def leaves(self, number: int, back: bool) -> None:
        """A connection is lost; or another one replaces it."""
        name = pick(self.names, number)
        if back or not self.stand.here(name):
            self.stand.come(name)
        else:
            self.stand.go(name)

    # what must be true

    @invariant()
    def every_rule_is_kept(self) -> None:
        """After each step."""
        self.stand.at_rest()
        self.check()

    def check(self) -> None:
        """What else must be true of the model's service."""

    def teardown(self) -> None:
        """All fall silent, time passes, and nothing is left."""
        try:
            self.silence()
            self.stand.run_out()
            self.check()
        finally:
            self.stand.close()

    def silence(self) -> None:
        """The service does no more of its own."""


def given(**headers: Any) -> Headers:
    """Those headers that are not None."""
    return {header: value for header, value in headers.items() if value is not None}
