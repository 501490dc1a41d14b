"""A service that does what the model says, whenever it says so, and minds what it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gortc.jsip.message import Request, Response
from gortc.jsip.methods import ACK, BYE, CANCEL, INVITE, TERM
from gortc.jsip.session import Session
from gortc.service.context import Context
from gortc.service.interfaces import IServiceInstance, IServiceLogic
from gortc.service.task import START, Task
from tests.model.books import BY_SERVICE
from tests.model.peers import pick


class Boom(Exception):
    """What the service raises on purpose."""


@implementer(IServiceInstance)
class Puppet:
    """One instance.

    `legs` are its sessions, each with whether TERM was seen; `received` the requests that it may answer and `invites`
    the INVITEs that it has sent, stale ones too; `waiting` the requests that have no final response yet; `given` what
    may be given but once; `pending` what it awaits; `next` what it does as soon as it is given something. `ended`: it
    has failed, or said so.
    """

    def __init__(self, troupe: Troupe, task: Task) -> None:
        self.troupe = troupe
        self.task = task
        self.legs: dict[Session, bool] = {}
        self.received: list[Request] = []
        self.invites: list[Request] = []
        self.waiting: set[Request] = set()
        self.given: set[tuple[str, Request | Session]] = set()
        self.next: list[Callable[[Puppet], Any]] = []
        self.pending: list[Deferred[None]] = []
        self.ended = False

    def receive(self, message: Request | Response) -> Deferred[None] | None:
        """Judge, keep, and do what is next."""
        self.troupe.given += 1
        try:
            self._judge(message)
        except AssertionError as wrong:
            self.troupe.wrong.append(f"{wrong}: {message}")
        return self.next.pop(0)(self) if self.next else None

    def _judge(self, message: Request | Response) -> None:
        assert not self.ended, "a message to an instance that has ended"
        if isinstance(message, Response):
            assert message.code > 100, "100 ends in the stack (S-18, T-13)"
            assert message.request in self.waiting, "a response to nothing that waits (T-9)"
            if message.code >= 200:
                self.waiting.remove(message.request)
        elif message.method == START:  # it lives until what it awaits comes
            self.next.insert(0, Puppet.wait)
        else:
            self._judge_request(message)

    def _judge_request(self, message: Request) -> None:
        session, method = message.session, message.method
        assert not self.legs.get(session), "a message after TERM (S-33)"
        if method == TERM:
            assert session in self.legs, "TERM of no leg"
            left = [request for request in self.waiting if request.session is session]
            assert not left, f"TERM, and no answer to {left} (S-28)"
            self.legs[session] = True
            return
        self.legs.setdefault(session, False)
        meant = {ACK: message.related, CANCEL: message.related, BYE: session}.get(method, message)
        assert meant is not None, "an ACK or a CANCEL of nothing"
        assert (method, meant) not in self.given, f"a second {method}"
        self.given.add((method, meant))
        if method not in (ACK, CANCEL, BYE):
            self.received.append(message)

    @property
    def over(self) -> bool:
        """Whether it has ended: it has failed, said so, or awaits nothing and has no leg (D-13, D-15)."""
        return self.ended or (all(self.legs.values()) and all(awaited.called for awaited in self.pending))

    # what it does

    def answer(self, number: int, code: int, body: Any = None) -> None:
        """Answer one of the requests that it has ever received."""
        if self.received:
            self.task.answer(pick(self.received, number), code, body)

    def ask(self, number: int, method: str, **headers: Any) -> None:
        """Send a request in one of its legs, ended ones too."""
        if self.legs:
            request = pick(list(self.legs), number).make(method, {**headers, BY_SERVICE: 1})
            self._keep(request)
            self.task.send(request)

    def open(self, uri: str, method: str) -> None:
        """Open a leg."""
        if not self.over:
            request = self.task.open(uri, method, "an offer", {BY_SERVICE: 1})
            self.legs[request.session] = False
            self._keep(request)

    def _keep(self, request: Request) -> None:
        if request.method != BYE:
            self.waiting.add(request)
        if request.method == INVITE:
            self.invites.append(request)

    def ack(self, number: int) -> None:
        """Acknowledge one of its INVITEs."""
        if self.invites:
            self.task.ack(pick(self.invites, number))

    def cancel(self, number: int) -> None:
        """Cancel one of them."""
        if self.invites:
            self.task.cancel(pick(self.invites, number))

    def finish(self) -> None:
        """End."""
        self.ended = True
        self.task.finish()

    def fail(self) -> None:
        """Raise, where the task can see it."""
        self.ended = True
        raise Boom

    def wait(self) -> Deferred[None]:
        """Await something."""
        self.pending.append(Deferred())
        return self.pending[-1]

    def fire(self, failed: bool) -> None:
        """The first thing that it awaits comes, or fails; nothing does where the end has cancelled it."""
        awaited = self.pending.pop(0)
        if not awaited.called and failed:
            self.ended = True
            awaited.errback(Boom())
        elif not awaited.called:
            awaited.callback(None)


@implementer(IServiceLogic)
class Troupe:
    """The service: its instances, how many messages they were given, and what was wrong in them."""

    name = "default"

    def __init__(self) -> None:
        self.puppets: list[Puppet] = []
        self.given = 0
        self.wrong: list[str] = []

    def load(self, context: Context) -> None:
        """Keep it: it knows which instances live."""
        self.context = context

    def unload(self) -> None:
        """Nothing to let go."""

    def create(self, task: Task) -> Puppet:
        """One more instance."""
        self.puppets.append(Puppet(self, task))
        return self.puppets[-1]

    def at_rest(self) -> None:
        """The step is over: TERM has come for each session that is, and none was given anything wrong."""
        assert not self.wrong, self.wrong
        for puppet in self.puppets:
            assert puppet.over != (puppet.task in self.context.tasks), (
                f"over: {puppet.over}, but the table says otherwise"
            )
            if not puppet.over:
                late = [session.dialogue_id for session, term in puppet.legs.items() if session.over != term]
                assert not late, f"TERM has come, or hasn't, where the session is not, or is, over: {late}"
                stale = [request for request in puppet.waiting if request.session.over]  # S-32: local 481
                assert not stale, f"no answer to {stale}"
