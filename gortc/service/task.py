"""A task: one service instance, its legs, and its hand on the world.

Every message of every leg of the instance enters by `Task.receive`; the instance sends by the methods below. However
the instance ends, its rows in the tables go at once and the stack alone finishes what its legs had open.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gortc.jsip.invite_session import CALLING, EARLY, InviteSession
from gortc.jsip.layers import Channel, Owner
from gortc.jsip.message import (
    Headers,
    Request,
    Response,
    check_headers,
    check_own,
    check_refusal,
    encode,
    response,
    term,
)
from gortc.jsip.methods import ACK, CANCEL, INVITE, PEER_LOST, PEER_RESUMED, TERM
from gortc.jsip.session import Session

if TYPE_CHECKING:
    from gortc.dispatch import Dispatcher
    from gortc.jsip.memory import Held
    from gortc.jsip.timers import Timers
    from gortc.jsip.times import Times
    from gortc.service.context import Context
    from gortc.service.interfaces import IServiceInstance

START: Final = "START"
"""Not a method and never on the wire: the event that `context.start` has made an instance."""

NO_METHODS: Final = frozenset(("RESPONSE", TERM, PEER_LOST, PEER_RESUMED, START, ""))
"""What no service can invent as a method: each says something else already."""

UNANSWERED: Final = "the service ended without an answer"


class Awaited(Protocol):
    """What an instance awaits: a Deferred, a coroutine on its way."""

    def cancel(self) -> None:
        """It is awaited no longer."""


class Nobody(Owner):
    """Owns the sessions whose task has gone: the stack finishes them alone."""

    def receive(self, message: Request | Response) -> None:
        """Nobody listens."""

    def left(self, session: Session) -> None:
        """Nobody listens."""


NOBODY: Final = Nobody()


class Task(Owner):
    """`context` is the service's, `sessions` the instance's legs, `first` the message that made the instance, and
    `relation` the relid of that message, where it had one."""

    # What most instances never need is here, and not in each of them.
    first: Request | None = None
    relation: str | None = None
    _instance: IServiceInstance | None = None
    _mailbox: list[Request | Response | Session] | None = None
    _awaited: dict[Awaited, None] | None = None
    _relids: tuple[tuple[dict[Any, Task], Any], ...] = ()
    rseq = 0
    """The last number of a reliable provisional response to `first` (RFC 3262 section 3)."""
    sets_times = False
    """Whether it rings callees for so long, and no longer."""
    _running = False
    _ended = False

    def __init__(self, dispatch: Dispatcher, context: Context) -> None:
        self._dispatch = dispatch
        self.context = context
        self.sessions: dict[Session, None] = {}

    # up

    def begin(self, message: Request) -> None:
        """Make the instance and give it its first message."""
        self.first = message
        context = self.context
        context.entered(self)
        self._running = True  # what comes of what `create` does is for the instance, too, after its first message
        try:
            instance = context.logic.create(self)
        except KeyboardInterrupt:
            raise
        except BaseException:
            self._fail(Failure())
        else:
            self._running = False
            if not self._ended:
                self._instance = instance
                self.receive(message)

    def join(self, session: Session) -> None:
        """`session` belongs to this instance from now on."""
        session.owner = self
        self._take(session)

    def _take(self, session: Session) -> None:
        first, tape = self.first, self._dispatch.tape
        if first is not None and tape is not None:
            channel = "" if first.method == START else first.session.channel.name
            tape.relate(session.channel.name, session.dialogue_id, (channel, first.dialogue_id))
        self.sessions[session] = None

    def receive(self, message: Request | Response) -> None:
        """Give one message to the instance, now or when it has returned from the one before."""
        if self._running:
            if self._mailbox is None:
                self._mailbox = []
            self._mailbox.append(message)
            return
        self._running = True
        try:
            self._give(message)
            while self._mailbox and not self._ended:
                waiting = self._mailbox.pop(0)
                self._give(term(waiting) if isinstance(waiting, Session) else waiting)
        finally:
            self._running = False
        if not self._ended:
            self._rest()

    def left(self, session: Session) -> None:
        """A leg is over: TERM, in its turn."""
        if self._running:
            if self._mailbox is None:
                self._mailbox = []
            self._mailbox.append(session)  # an instance that ends in this very turn needs no event
        else:
            self.receive(term(session))

    def rings_on(self, time: float) -> bool:
        """Whether an INVITE of its own waits for an answer, and has begun to after `time`, on the clock; or is not the
        last one, for whoever sets callees a time has something else to do after it."""
        for session in self.sessions:
            if isinstance(session, InviteSession) and session.outgoing and session.state in (CALLING, EARLY):
                invite = session.transactions[1]
                if self.sets_times or (invite.timer is not None and invite.timer.started(invite) > time):
                    return True
        return False

    @property
    def asker(self) -> Channel | None:
        """Whose first request has made the instance."""
        first = self.first
        return None if first is None or first.method == START else first.session.channel

    @property
    def payer(self) -> Held | None:
        """What is held for whose first request has made the instance."""
        return None if self.first is None else self.first.held

    def _give(self, message: Request | Response) -> None:
        if self._instance is None:
            return
        try:
            result = self._instance.receive(message)
            if result is not None:
                self._await(result)
        except KeyboardInterrupt:
            raise
        except BaseException:  # sys.exit(), too, is the service's own
            self._fail(Failure())
        if message.code == 0 and message.method == TERM:
            self.sessions.pop(message.session, None)

    def _await(self, result: Any) -> None:
        if not isinstance(result, Deferred):
            if not isinstance(result, Coroutine):  # a value that means nothing here
                return
            result = Deferred.fromCoroutine(result)
        if result.called and not result.paused and not isinstance(result.result, (Failure, Deferred)):
            return
        self.hold(result)
        result.addBoth(self.let_go, result)

    @property
    def holds(self) -> list[Awaited]:
        """What it awaits now."""
        return list(self._awaited or ())

    def hold(self, awaited: Awaited) -> None:
        """The instance awaits something: it lives on without a leg, and its end cancels what it awaits."""
        if self._awaited is None:
            self._awaited = {}
        self._awaited[awaited] = None

    def let_go(self, outcome: object, awaited: Awaited) -> None:
        """What it has awaited is here; a Failure is the instance's own."""
        if self._awaited is not None:
            self._awaited.pop(awaited, None)
        if isinstance(outcome, Failure) and not (self._ended and outcome.check(CancelledError)):
            self._fail(outcome)
        elif not self._running:
            self._rest()

    def _rest(self) -> None:
        if not self.sessions and not self._awaited and not self._running:
            self.finish()

    def _fail(self, failure: Failure) -> None:
        dialogues = [session.dialogue_id for session in self.sessions]
        first = self.first
        channel = first.session.channel.name if first is not None and first.method != START else ""
        self.context.failed(failure, dialogues, channel)
        if failure.value is not None:
            failure.value.__traceback__ = None  # it is told, and leads back here by way of each frame
        self.end(500, "service failed", {"Reason": "service failed"})

    # what the instance may do

    @property
    def log(self) -> Logger:
        """The service's log."""
        return self.context.log

    @property
    def timers(self) -> Timers:
        """The node's timers: real time in a server, virtual time in a test."""
        return self._dispatch.below.timers

    @property
    def times(self) -> Times:
        """The stack's times."""
        return self._dispatch.below.times

    def answer(self, request: Request, code: int, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
        """Answer a received request with `code` (100..699; what is below 200 is provisional).

        What nobody waits for (an answer to an event, an ACK, a BYE, a CANCEL; a second one) is dropped and logged.
        Raises ValueError where `code` is no such code or a header is not the service's to set, TypeError where
        `request` is no request, `code` no integer, and where `body` or a header is no JSON value.
        """
        if type(code) is not int or type(request) is not Request or request.method == START:
            raise TypeError(f"a request is answered, with a code: not {request!r} with {code!r}")
        if not 100 <= code < 700:
            raise ValueError(f"no response code: {code}")
        answer = response(request, code, headers)
        if body is not None:
            answer.headers["Body"] = body
        encode(answer)
        answer.session.layer.below.send_response(answer)

    def open(
        self,
        uri: str,
        method: str = INVITE,
        body: Any = None,
        headers: Mapping[str, Any] | None = None,
        caller: str | None = None,
        callee: str | None = None,
    ) -> Request:
        """Open a leg to `uri` and send its first request, which is returned; the leg is its `session`.

        `caller` and `callee` become From and To; by default those of the request that made the instance, else the
        node's realm and `uri`. Its `Max-Forwards` is one less than that of the request that made the instance.
        Raises BadURI (a ValueError), ValueError where `method` opens no session (INVITE, REGISTER, OPTIONS, MESSAGE,
        SUBSCRIBE and NOTIFY do) or a header is not the service's to set, TypeError where `body` or a header is no JSON
        value, and RuntimeError where the instance has ended. Then nothing is left of it.
        """
        self._check_alive()
        first = self.first.headers if self.first is not None else {}
        carried: Headers = dict(headers or {})
        if "Max-Forwards" in first and "Max-Forwards" not in carried:  # RFC 3261 section 16.6 step 3
            carried["Max-Forwards"] = first["Max-Forwards"] - 1
        if body is not None:
            carried["Body"] = body
        request = self._dispatch.below.create(
            self,
            method,
            uri,
            caller or first.get("From") or self.context.realm,
            callee or first.get("To") or uri,
            carried,
        )
        self._take(request.session)
        try:
            self._send(request)
        except TypeError:
            request.session.end()
            raise
        return request

    def request(
        self, session: Session, method: str, body: Any = None, headers: Mapping[str, Any] | None = None
    ) -> Request:
        """Send a request in a leg, and return it: its responses name it as their `request`.

        A method of the service's own invention goes as INFO does. Raises ValueError where `method` can't be one, where
        a header is not the service's to set, and where the leg is another instance's; TypeError where `body` or a
        header is no JSON value.
        """
        if type(method) is not str or method in NO_METHODS:
            raise ValueError(f"no method: {method!r}")
        request = session.make(method, headers, body)
        self._send(request)
        return request

    def ack(self, invite: Request, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
        """Send the ACK for a 2xx to `invite`, a request of this instance.

        One of anything else is dropped and logged. Raises as `request` does, and TypeError where `invite` is no request
        (a response has it as its `request`).
        """
        if type(invite) is not Request or invite.method == START:
            raise TypeError(f"an INVITE is acknowledged, not {invite!r}")
        ack = invite.session.related(ACK, invite, headers)
        if body is not None:
            ack.headers["Body"] = body
        self._send(ack)

    def cancel(self, invite: Request, headers: Mapping[str, Any] | None = None) -> None:
        """Cancel `invite`, a request of this instance that has no final response yet; its CANCEL carries `headers`.

        One of anything else is dropped and logged. Raises TypeError where it is no request, ValueError where the leg is
        another instance's.
        """
        if type(invite) is not Request or invite.method == START:
            raise TypeError(f"an INVITE is cancelled, not {invite!r}")
        self._send(invite.session.related(CANCEL, invite, headers))

    def send(self, message: Request | Response) -> None:
        """Send a message made for one of the legs, once.

        Raises ValueError where it was sent before, or received, or is for another instance's leg, or a header is not
        the service's to set; TypeError where a header is no JSON value.
        """
        if message.data is not None or message.local:
            raise ValueError(f"it has been sent or received: {message!r}")
        if message.method in NO_METHODS:
            raise ValueError(f"no method: {message.method!r}")
        check_own(message)
        self._send(message)

    def _send(self, message: Request | Response) -> None:
        session = message.session
        owner = session.owner
        if owner is not self and owner is not NOBODY:  # whose instance has ended may still wind up, and is not heard
            raise ValueError(f"another instance has the leg of {message!r}")
        encode(message)
        session.send(message)

    def relid(self) -> str:
        """Mint a relation id: a session whose first Router URI has it as `;relid=` joins this instance."""
        return self._dispatch.mint(self)

    def relate(self, key: str) -> None:
        """Let sessions for this service with `;relid=KEY` join this instance. Raises KeyError where one has it."""
        self._dispatch.relate(self, key)

    def _check_alive(self) -> None:
        if self._ended:
            raise RuntimeError("the instance has ended")

    def keep_relid(self, table: dict[Any, Task], key: Any) -> None:
        """Remember a row of dispatch's, to take it away at the end."""
        self._check_alive()
        table[key] = self
        self._relids = (*self._relids, (table, key))

    def become(self, name: str) -> None:
        """Hand over to the service loaded under `name`: a new instance of it gets the first message and the legs.

        Raises LookupError where no such service is loaded, and RuntimeError where the instance has ended.
        """
        self._check_alive()
        context = self._dispatch.services.get(name)
        if context is None:
            raise LookupError(f"no service is loaded as {name!r}")
        self.context.left(self)
        context.entered(self)
        self.context = context
        self._instance = context.logic.create(self)
        assert self.first is not None
        self.receive(self.first)

    def owns(self, instance: object) -> bool:
        """Whether `instance` still is this task's."""
        return self._instance is instance

    def finish(
        self,
        code: int = 500,
        reason: str = UNANSWERED,
        bye_reason: str | None = None,
        parting: Headers | None = None,
    ) -> None:
        """End the instance. What its legs have open is answered `code` with `reason`, cancelled, or hung up; a CANCEL
        or BYE carries the headers `parting`, or `bye_reason` as its `Reason`.

        Raises ValueError where one of them is not the service's to set, or `code` is none of a refusal (300..699), and
        TypeError where that is no integer, or a header's name no string.
        """
        check_refusal(code)
        if bye_reason:
            parting = {"Reason": bye_reason}
        if parting:
            check_headers(parting)
        self.end(code, reason, parting)

    def end(self, code: int, reason: str, parting: Headers | None) -> None:
        """As `finish`, which looks at what it is given."""
        if self._ended:
            return
        self._ended = True
        self._instance = self.first = None  # a first message leads back here: leave no cycle to the collector
        for table, key in self._relids:
            del table[key]
        self.context.left(self)
        sessions, self.sessions = list(self.sessions), {}
        for session in sessions:
            session.owner = NOBODY
        if self._awaited:
            for awaited in list(self._awaited):
                awaited.cancel()
        for session in sessions:
            if not session.over:
                session.abandon(code, reason, parting)
