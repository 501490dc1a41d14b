"""A call as a coroutine: the level that most services are written at.

    @service("echo")
    async def echo(call):
        call.caller.ring()
        await call.caller.answer(call.caller.offer)
        await call.caller.closed()

The caller's CANCEL cancels the coroutine. The call owns its legs: however the coroutine ends, what still lives gets
CANCEL, BYE or a final response.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gortc.jsip.ended import cause
from gortc.jsip.message import Headers, Request, Response, onward
from gortc.jsip.methods import BYE, CANCEL, TERM
from gortc.service.bridge import connect
from gortc.service.inbox import Inbox
from gortc.service.leg import Leg
from gortc.service.outcome import LegFailed, Outcome
from gortc.service.run import Run
from gortc.service.task import START, UNANSWERED

if TYPE_CHECKING:
    from gortc.jsip.memory import Held
    from gortc.jsip.session import Session
    from gortc.jsip.timers import Timers
    from gortc.jsip.times import Times
    from gortc.service.context import Context
    from gortc.service.task import Task


COMPLETED_ELSEWHERE: Final[Headers] = {"Reason": cause(200, "Call completed elsewhere")}
"""What losers of a fork are told, so that no phone shows a missed call (RFC 3326 section 3.1)."""


class Race:
    """Which of several legs answers first. `won` fires with it, or fails as the last of them does."""

    def __init__(self, legs: int) -> None:
        self.won: Outcome[tuple[Leg, Response]] = Outcome()
        self._left = legs

    def answered(self, answer: Response, leg: Leg) -> None:
        """A leg has picked up."""
        if self.won.called:  # two at the same time
            leg.hang_up(headers=COMPLETED_ELSEWHERE)
        else:
            self.won.callback((leg, answer))

    def failed(self, failure: Failure) -> None:
        """A leg has failed, or been cancelled."""
        self._left -= 1
        if not self._left and not self.won.called:
            self.won.errback(failure)


Logic = Callable[["Call"], Coroutine[Any, Any, Any]]


class Call:
    """One running coroutine and its legs.

    `caller` is the leg that started it. A call made by `context.start` has none: using it raises AttributeError, and
    `details` has what `start` was given.
    """

    first: Request | None = None
    _caller: Leg | None = None
    _started = False
    unsent: dict[Leg, None] | None = None
    """Those that hear another one before they have their sessions, which may never come."""
    _run: Run | None = None
    _joined: Inbox[Leg] | None = None
    _moved = False
    parting: Headers | None = None
    _parting_held: Held | None = None
    """What the caller's CANCEL, or its BYE before its ACK, carried: for the CANCELs and BYEs that follow."""

    def __init__(self, task: Task, logic: Logic) -> None:
        self.task = task
        self.details: Headers = {}
        self._logic = logic
        self._legs: dict[Session, Leg] = {}

    # what a service sees

    @property
    def caller(self) -> Leg:
        """The leg that started it. Raises AttributeError where none has, and when the call is over."""
        if self._caller is None:
            raise AttributeError("this call has no caller")
        return self._caller

    @property
    def context(self) -> Context:
        """What all calls of this service share."""
        return self.task.context

    @property
    def config(self) -> Mapping[str, Any]:
        """The service's configuration."""
        return self.task.context.config

    @property
    def log(self) -> Logger:
        """The service's log."""
        return self.task.context.log

    @property
    def timers(self) -> Timers:
        """The node's timers."""
        return self.task.timers

    @property
    def times(self) -> Times:
        """The stack's times."""
        return self.task.times

    @property
    def carried(self) -> Headers:
        """The caller's headers that a new leg carries on, its `Expire` among them, Body apart."""
        first = self.first
        if first is None:
            return {}
        carried = onward(first)
        carried.pop("Body", None)
        return carried

    @property
    def onward(self) -> Headers:
        """The same with what dispatch has left of the caller's `Router`: for a leg to where the caller meant to go."""
        carried = self.carried
        router = self.first.headers.get("Router") if self.first is not None else None
        if router:
            carried["Router"] = router
        return carried

    def leg(self, uri: str, caller: str | None = None, callee: str | None = None) -> Leg:
        """A new leg to `uri`; nothing is sent until its `invite` or `send`.

        `caller` and `callee` become From and To; by default those of the call's caller.
        """
        return Leg(self, uri, caller=caller, callee=callee)

    async def ring_all(self, legs: Sequence[Leg], offer: Any = None, **how: Any) -> tuple[Leg, Response]:
        """Ring several legs at once, each as `leg.invite(offer, **how)` does; the first that answers wins.

        Returns the leg and its answer; the others are cancelled. Raises LegFailed, the last one's, where none answers.
        """
        if not legs:
            raise LegFailed(480)
        race = Race(len(legs))
        ringing = [leg.invite(offer, **how) for leg in legs]
        for leg, ring in zip(legs, ringing, strict=True):
            ring.addCallbacks(race.answered, race.failed, callbackArgs=(leg,))
        try:
            won = await race.won
            for leg in legs:
                if leg is not won[0]:
                    leg.parting = COMPLETED_ELSEWHERE
            return won
        finally:
            for ring in ringing:
                ring.cancel()

    @property
    def joined(self) -> AsyncIterator[Leg]:
        """The legs that come by relid, as they come, until the call has no leg left.

        From the first use of this on they wait here; before it, and for a service that never reads it, they are
        refused with 488.
        """
        if self._joined is None:
            self._joined = Inbox(_is_there)
        return self._joined.read(lambda: not self._legs)

    def link(self, one: Leg, other: Leg) -> None:
        """Relay between two legs what they send in their dialogues, early ones too, from now on."""
        connect(one, other)

    async def bridge(self, one: Leg, other: Leg) -> Leg:
        """Relay between two answered legs until one hangs up, then hang up the other. Returns who hung up first."""
        connect(one, other)
        first: Outcome[Leg] = Outcome()
        one.expect_end(first)
        other.expect_end(first)
        try:
            left = await first
        finally:
            one.forget_end(first)
            other.forget_end(first)
        word = left.last_word
        (other if left is one else one).hang_up(headers=word.carried if word is not None else None)
        return left

    async def sleep(self, seconds: float) -> None:
        """Wait; in a test, for virtual time."""
        done: Outcome[None] = Outcome()
        queue = self.timers.start(seconds, _fire, done)
        try:
            await done
        finally:
            queue.stop(done)

    def become(self, name: str) -> None:
        """Hand the call over to the service `name`, and return from the coroutine after it. Raises LookupError."""
        self.task.become(name)
        self._moved = True

    # from the task

    def adopt(self, leg: Leg) -> None:
        """A new leg has its session."""
        assert leg.session is not None
        self._legs[leg.session] = leg
        if self.unsent:
            self.unsent.pop(leg, None)

    def leg_of(self, message: Request | Response) -> Leg | None:
        """The leg that a message came on; None where it is none of this call's."""
        return self._legs.get(message.session)

    def receive(self, message: Request | Response) -> None:
        """Take a message of any leg; the first one starts the coroutine."""
        if not self._started:
            self._started = True
            assert isinstance(message, Request)
            self._start(message)
            return
        leg = self._legs.get(message.session)
        if leg is None:
            if isinstance(message, Request):
                self._join(message)
            return
        if leg.session is message.session or isinstance(message, Response):
            leg.receive(message)  # else it is the end of a session that it has had before
        if isinstance(message, Request):
            if message.method == TERM:
                self._legs.pop(message.session, None)
                if self._joined is not None and not self._legs:  # nobody is left whom anybody could join
                    self._joined.wake()
            elif self._run is not None and self._gives_up(message):
                self.parting, self._parting_held = message.carried, message.held
                self._run.cancel()

    def _gives_up(self, message: Request) -> bool:
        """Whether the caller no longer waits for an answer: a CANCEL of its first INVITE, or a BYE before the 200."""
        if self.first is None or message.session is not self.first.session:
            return False
        if message.method == BYE:
            return not self.caller.answered
        return message.method == CANCEL and message.related is self.first

    def _start(self, message: Request) -> None:
        if message.method == START:
            self.details = {name: value for name, value in message.headers.items() if name != "Type"}
        else:
            self.first = message
            self._caller = leg = Leg(self, message.session.uri, message)
            self.adopt(leg)
        self._run = Run(self._logic(self), self.task, self._done, LegFailed)
        self._run.begin()

    def _done(self, failure: Failure | None) -> None:
        """The coroutine has ended: so does the call. The task hears of a failure of the service's own by itself."""
        if failure is None:
            self._finish()
        elif failure.check(CancelledError):
            self._finish(487, "the caller has gone", self.parting)
        elif isinstance(failure.value, LegFailed):
            failed = failure.value
            code = failed.code if type(failed.code) is int and 300 <= failed.code < 700 else 500
            if self.first is not None and self.caller.unanswered:
                self.caller.reject(failed if code == failed.code else code)
            self._finish(code, str(failed), self.parting or {"Reason": cause(failed.code, failed.reason)})
        for leg in self._legs.values():
            if self._moved and leg is not self._caller:  # another service has the call now, but not these
                leg.hang_up()
            leg.release()
        for leg in self.unsent or ():
            leg.release()
        self._legs.clear()
        self._caller = self._run = self.unsent = None  # leave no cycle to the collector

    def _finish(self, code: int = 500, reason: str = UNANSWERED, parting: Headers | None = None) -> None:
        if self.task.owns(self):  # else it has become another service's
            self.task.end(code, reason, parting)

    def _join(self, request: Request) -> None:
        if request.local or request.method == BYE:
            return
        leg = Leg(self, request.session.uri, request)
        if self._joined is None:
            leg.reject(488)
            return
        self.adopt(leg)
        self._joined.put(leg)


def _is_there(leg: Leg) -> bool:
    return not leg.over


def _fire(done: Deferred[None]) -> None:
    done.callback(None)
