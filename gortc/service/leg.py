"""A leg: one party of a call, as a coroutine sees it. Its events are Deferreds.

Every bad outcome of a leg has one door, `LegFailed`. Cancelling a Deferred of a leg takes the request back: a
cancelled `invite` sends CANCEL. No canceller raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gortc.jsip.ended import MOVED, STACK, US, Ended
from gortc.jsip.invite_session import ANSWERED, CALLING, CONFIRMED, EARLY
from gortc.jsip.message import Headers, Request, Response, check_headers, check_refusal, dumps, response, whole
from gortc.jsip.methods import ACK, ALLOW, BYE, CANCEL, INVITE, OPTIONS, PEER_LOST, PEER_RESUMED, PRACK, TERM, UPDATE
from gortc.jsip.uri import BadURI, parse
from gortc.service.bridge import connect_early
from gortc.service.early import Early
from gortc.service.inbox import Inbox
from gortc.service.outcome import LegFailed, Outcome, failed

if TYPE_CHECKING:
    from gortc.jsip.memory import Held
    from gortc.jsip.session import Session
    from gortc.jsip.timers import TimerQueue
    from gortc.service.bridge import Bridge
    from gortc.service.call import Call


class Awaited:
    """Takes the responses to a request that a service awaits: `done` fires with the 2xx; cancelled, it takes an INVITE
    back.

    `again`: it has been sent once more already, with the interval that the peer wants.
    """

    __slots__ = ("again", "done", "leg", "request", "ringing")

    def __init__(self, leg: Leg, request: Request, ringing: Callable[[Response], object] | None) -> None:
        self.leg = leg
        self.request = request
        self.ringing = ringing
        self.again = False
        self.done: Outcome[Response] = Outcome(self.take_back)

    def __call__(self, response: Response) -> None:
        done = self.done
        if done.called:
            return
        code = response.code
        if code < 200:
            if self.ringing is not None:
                self.ringing(response)
        elif code < 300:
            done.callback(response)
        elif code == 423 and not self.again and (least := self.leg.interval_wanted(response)):
            self.again = True
            self.request = self.leg.ask_again(self.request, least)
            self.leg.expect_answer(self.request, self)
        else:
            desc: Any = response.headers.get("Desc")  # any JSON value
            done.errback(LegFailed(code, desc if isinstance(desc, str) else None, response))

    def take_back(self, _: object) -> None:
        """It is awaited no longer."""
        if self.request.method == INVITE:
            self.leg.cancel(self.request)

    def give_up(self, code: int, reason: str, _: object = None) -> None:
        """It has taken too long, or the answer is of no use any more."""
        self.take_back(None)
        self.done.errback(LegFailed(code, reason))


class Leg:
    """Made by `Call`: `call.caller`, `call.joined` and `call.leg(uri)`.

    `uri` is the Request-URI; `answered` tells whether we have answered the leg, `over` whether it has ended.
    """

    # What most legs never need is here, and not in each of them.
    session: Session | None = None
    _first: Request | None = None
    peer: Leg | None = None
    over = False
    answered = False
    _names: tuple[str | None, str | None] = (None, None)
    _answers: dict[Request, Callable[[Response], None]] | None = None
    _acks: dict[Request, Callable[[Request | None], None]] | None = None
    _closed: tuple[Deferred[Leg], ...] = ()
    bridge: Bridge | None = None
    last_word: Request | None = None
    """The BYE that ended it, the peer's or the stack's."""
    early: Early | None = None
    unheard: Headers | None = None
    """The Body of its provisional response that the caller did not get, with what says what it is."""
    parting: Headers | None = None
    """What its CANCEL carries where it is not the caller that has given up."""
    _unheard_held: Held | None = None
    _unread: Inbox[Request] | None = None
    _patience: TimerQueue[Leg] | None = None
    _away_for = 0.0
    _taken_back: Request | None = None
    _on_lost: Callable[[Leg], object] | None = None
    _on_resumed: Callable[[Leg], object] | None = None

    def __init__(
        self,
        call: Call,
        uri: str,
        request: Request | None = None,
        caller: str | None = None,
        callee: str | None = None,
    ) -> None:
        self.call = call
        self.uri = uri
        if request is not None:
            self._first = request
            self.session = request.session
        elif caller or callee:
            self._names = (caller, callee)

    def __repr__(self) -> str:
        return f"<leg {self.uri}{' over' if self.over else ''}>"

    # what it is

    @property
    def method(self) -> str:
        """The method of its first request."""
        return self.request.method

    @property
    def caller(self) -> str:
        """Who calls: `From` of its first request."""
        value: str = self.request.headers["From"]
        return value

    @property
    def user(self) -> str:
        """Who is at the other end: the name of the channel, which nobody can make up, as From can be.

        Raises RuntimeError where nothing has been sent yet.
        """
        return self.request.session.channel.name

    @property
    def called(self) -> str:
        """What was dialled: the name in the Request-URI (`user@host`), in its one spelling. To look it up by."""
        return parse(self.uri).name

    @property
    def ended(self) -> Ended | None:
        """How it has ended; None as long as it has not, and where nothing was sent on it."""
        session = self.session
        if session is None or not self.over:
            return None
        by, code, headers = session.ended or (STACK if session.over else MOVED, 0, None)
        return Ended(by, code, headers)

    @property
    def offer(self) -> Any:
        """The Body of its first request."""
        return self.request.body

    @property
    def headers(self) -> Headers:
        """The headers of its first request that may be carried over to another leg, Body among them."""
        return self.request.carried

    @property
    def request(self) -> Request:
        """Its first request. Raises RuntimeError where none has been sent yet."""
        if self._first is None:
            raise RuntimeError("nothing has been sent on this leg")
        return self._first

    # an incoming leg

    def ring(self, ringing: Response | None = None, code: int = 180, body: Any = None) -> None:
        """Send a 1xx: the other leg's `ringing` with what it carries, else `code` with `body`.

        The same one is not sent twice in a row, unless it must be repeated to keep the caller waiting (RFC 3261 section
        13.3.1.1). Whoever rings and the caller hear each other's requests from now on, until the answer.
        """
        headers: Headers = {} if body is None else {"Body": body}
        source = None
        if ringing is not None:
            code, headers = ringing.code, ringing.carried
            source = self.call.leg_of(ringing)
        if self.over:  # it hears nobody any more
            self.call.task.answer(self.request, code, headers=headers)
            return
        early = self.early
        if early is None:
            early = self.early = Early(self.call.task.rseq)
        now = self.call.timers.clock.seconds()
        session = source.session if source is not None else None
        held_back = early.is_repetition(session, code, headers) and now - early.at < self.call.times.invite / 3
        if source is not None:
            if early.owes(source, code, headers):
                held_back = False
                early.number_anew(source, headers)
            if not held_back and ("RSeq" in headers or "Body" in headers):
                headers = early.share(source, code, headers)
                self.call.task.rseq = early.number
            if self.peer is not source:
                talks_to = early.talks_to(source)
                if self.peer is not talks_to and not (held_back and self.peer is not None and self.peer.ringing):
                    connect_early(self, talks_to)
        if held_back:
            return
        early.at = now
        self.call.task.answer(self.request, code, headers=headers)

    def answer(self, answer: Response | Any = None, headers: Mapping[str, Any] | None = None) -> Deferred[Request]:
        """Send 200 and wait for the ACK, with which the Deferred fires.

        `answer` is the Body, or another leg's answer: its Body and headers are carried over, and when the ACK comes
        that leg is sent its own, with this one's Body. Fails with LegFailed on BYE, or where no ACK comes in 32 s.
        """
        invite = self.request
        carried: Headers = dict(headers or {})
        if isinstance(answer, Response):
            said, callee = answer.carried, self.peer
            if callee is None or callee.session is not answer.session:
                callee = self.call.leg_of(answer)
            if callee is not None and callee.unheard is not None and "Body" not in said:
                said = {**callee.unheard, **said}
            carried = {**said, **carried}
            if callee is not None and self.peer is not callee:
                connect_early(self, callee)
        elif answer is not None:
            carried["Body"] = answer
        if not self.unanswered:
            return failed(LegFailed(487, "the caller has gone"))

        done: Outcome[Request] = Outcome(partial(self._forget_ack, invite))
        self.answered = True
        self.expect_ack(invite, partial(self._acked, answer, done))
        try:
            self.call.task.answer(invite, 200, headers=carried)
        except (TypeError, ValueError):
            self.answered = False
            self._forget_ack(invite, None)
            raise
        if invite.session.channel.away:
            self.wait_for_return()
        return done

    def _acked(self, answer: Any, done: Deferred[Request], ack: Request | None) -> None:
        if ack is None:
            done.errback(LegFailed(487, "the caller has gone" if self.over else "the caller is away"))
            return
        if isinstance(answer, Response) and not answer.session.over:
            self.call.task.ack(answer.request, headers=ack.carried)
        if self.early is not None and not self.early.numbers:  # else a PRACK may still be on its way
            self.early = None
        done.callback(ack)
        if self.bridge is not None and self.bridge.until_answer:  # their service has not connected them
            self.bridge.undo()

    def wait_for_return(self) -> None:
        """The peer is away, and has not acknowledged an answer: who gave it waits for a while, and not at all for a
        peer that has closed its connection."""
        if self._acks and self._patience is None:
            gone = self.session is not None and self.session.channel.closed
            seconds = 0.0 if gone else max(0.0, self.call.times.absent - self._away_for)
            self._patience = self.call.timers.start(seconds, Leg.lose_patience, self)

    def lose_patience(self) -> None:
        """It does not come back: no ACK is waited for any more."""
        self._patience = None
        acks, self._acks = self._acks, None
        if acks:
            for acked in acks.values():
                acked(None)

    def _stop_patience(self) -> None:
        if self._patience is not None:
            now = self.call.timers.clock.seconds()
            self._away_for += now - self._patience.started(self)  # whoever comes and goes has no more time than others
            self._patience.stop(self)
            self._patience = None

    def _forget_ack(self, invite: Request, _: object) -> None:
        if self._acks:
            self._acks.pop(invite, None)

    def reject(self, code: int | LegFailed, reason: str | None = None) -> None:
        """Refuse it with `code`, or with what another leg failed with."""
        headers: Headers = {}
        if isinstance(code, LegFailed):
            code.__traceback__ = None  # whoever has kept it until now is in it
            if code.response is not None:
                headers = code.response.carried
            code = code.code
        if reason is not None:
            headers["Reason"] = reason
        self.call.task.answer(self.request, code, headers=headers)

    def waits_for(self, request: Request) -> bool:
        """Whether the peer still waits for the answer to a request of its own."""
        return not self.over and _is_open(request)

    @property
    def unanswered(self) -> bool:
        """Whether the first request of an incoming leg still waits for its final response."""
        return _is_open(self.request)

    def reply(
        self, request: Request, code: int = 200, body: Any = None, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Answer a request of this leg (MESSAGE, INFO, a re-INVITE, ...)."""
        self.call.task.answer(request, code, body, headers)

    # an outgoing leg

    def invite(
        self,
        offer: Any = None,
        within: float | None = None,
        ringing: Callable[[Response], object] | None = None,
        headers: Mapping[str, Any] | None = None,
        until: Leg | None = None,
    ) -> Deferred[Response]:
        """Call it (or, in a running call, offer again), and wait for its 2xx, with which the Deferred fires.

        `within` is how long to wait, in seconds (default: as long as the stack does); `ringing` is called with each
        1xx. `headers` are added to those that the call carries over from its caller. `until` is a leg whose end ends
        the waiting, too: an answered caller that hangs up meanwhile. Fails with LegFailed; cancelled, it sends CANCEL.
        The answer is acknowledged by the caller's `answer`, or by `ack`.
        """
        if self.over:
            return failed(LegFailed(481, "the leg is over"))
        if until is not None and until.over:
            return failed(LegFailed(487, "the caller has gone"))
        if self.session is not None:
            carried = dict(headers or {})
        else:
            carried = self.call.carried
            if self.call.first is not None and self.call.first.method != INVITE:
                carried.pop("Expire", None)  # that of a MESSAGE, say, is no session interval
            if headers:
                carried.update(headers)
        try:
            invite = self._send(INVITE, offer, carried)
        except BadURI as bad:
            return failed(LegFailed(400, str(bad)))
        awaited = Awaited(self, invite, ringing)
        done = awaited.done
        self.expect_answer(invite, awaited)
        if within is not None:
            self.call.task.sets_times = True
            too_slow = partial(awaited.give_up, 408, f"no answer in {within} s")
            queue = self.call.timers.start(within, _call, too_slow)
            done.addBoth(_after, partial(queue.stop, too_slow))
        if until is not None:
            gone = until.closed()
            gone.addCallbacks(partial(awaited.give_up, 487, "the caller has gone"), _ignore)
            done.addBoth(_after, gone.cancel)
        return done

    def interval_wanted(self, refused: Response) -> int:
        """The session interval, in seconds, that a callee wants who has refused our shorter one with 423 (RFC 4028
        section 7.1); 0 where that can't be."""
        least = whole(refused.headers.get("Min-Expire"))
        request = refused.request
        if request is self._taken_back or (request.session.ended is not None and request.session.ended[0] == US):
            return 0
        if request.method in (INVITE, UPDATE):
            return least if request.headers["Expire"] < least <= self.call.times.session_max else 0
        return 0

    def ask_again(self, request: Request, expire: int) -> Request:
        """Send a request of ours that was refused once more, with another `Expire`."""
        headers: Headers = {**request.carried, "Expire": expire}
        if request is self._first:  # its dialogue has ended with it
            for name in ("Router", "Max-Forwards"):
                if name in request.headers:
                    headers[name] = request.headers[name]
            self.session = None
        return self._send(request.method, None, headers)

    def ack(self, answer: Response, body: Any = None, headers: Mapping[str, Any] | None = None) -> None:
        """Acknowledge an answer that no other leg's ACK acknowledges."""
        self.call.task.ack(answer.request, body, headers)

    def cancel(self, invite: Request, headers: Mapping[str, Any] | None = None) -> None:
        """Cancel an INVITE of this leg; the CANCEL carries `headers`, or what the caller's own CANCEL carried."""
        if not self.over:
            self._taken_back = invite
            self.call.task.cancel(invite, headers or self.parting or self.call.parting)

    # either

    def send(
        self,
        method: str,
        body: Any = None,
        headers: Mapping[str, Any] | None = None,
        progress: Callable[[Response], object] | None = None,
    ) -> Deferred[Response]:
        """Send a request (INFO, MESSAGE, UPDATE, ...) and wait for its 2xx; `progress` is called with each 1xx.

        Fails with LegFailed. Raises ValueError for an ACK and a CANCEL, which have no answer: see `ack` and `cancel`.
        """
        if method in (ACK, CANCEL):
            raise ValueError(f"{method} has no answer to wait for")
        if self.over:
            return failed(LegFailed(481, "the leg is over"))
        try:
            request = self._send(method, body, headers)
        except BadURI as bad:
            return failed(LegFailed(400, str(bad)))
        awaited = Awaited(self, request, progress)
        self.expect_answer(request, awaited)
        return awaited.done

    def closed(self) -> Deferred[Leg]:
        """Fires when the leg is over: hung up, failed, lost. With the leg."""
        done: Outcome[Leg] = Outcome(self.forget_end)
        self.expect_end(done)
        return done

    @property
    def away(self) -> bool:
        """Whether the peer has no connection at the moment: what is sent waits for it, until its grace is over."""
        return self.session is not None and self.session.channel.away

    def watch_peer(
        self, lost: Callable[[Leg], object] | None = None, resumed: Callable[[Leg], object] | None = None
    ) -> None:
        """Call `lost` with the leg when its peer has lost its connection, and `resumed` when it is back."""
        if not self.over:
            self._on_lost, self._on_resumed = lost, resumed

    def hang_up(self, code: int = 480, reason: str | None = None, headers: Mapping[str, Any] | None = None) -> None:
        """End it as its state asks: BYE, CANCEL, or a final response with `code`; `reason` says why.

        A BYE or a CANCEL carries `headers`, too, `Body` among them. Raises ValueError where one of them is not the
        service's to set, or `code` is none of a refusal (300..699), and TypeError where one is no JSON value or that
        no integer.
        """
        talking = self.talking
        if not talking:
            check_refusal(code)
        if self.session is not None and not self.over:
            parting = dict(headers or {})
            if reason is not None:
                parting["Reason"] = reason
            if parting:
                check_headers(parting)
                dumps(parting)
            self.session.abandon(487 if talking else code, reason, parting)

    @property
    def requests(self) -> AsyncIterator[Request]:
        """The requests that the peer sends in the dialogue, until the leg is over; answer each with `reply`.

        From the first use of this on they wait here; before it, and for a service that never reads them, they are
        refused.
        """
        if self._unread is None:
            self._unread = Inbox(_is_open)
            if self.bridge is not None and self.bridge.until_answer:
                self.bridge.undo()
        return self._unread.read(lambda: self.over)

    # from the task

    def keep_unheard(self, headers: Headers) -> None:
        """The caller has not had this of its latest provisional response."""
        assert self.session is not None
        self.unheard, self._unheard_held = headers, self.session.layer.below.payer

    def join(self, bridge: Bridge, peer: Leg) -> None:
        """Hand what is sent on this leg to a bridge, which takes it to `peer`; whoever heard it before does no more."""
        if self.over:  # it sends nothing, and lets go of nothing any more
            return
        if self.session is None:
            unsent = self.call.unsent
            if unsent is None:
                unsent = self.call.unsent = {}
            unsent[self] = None
        if self.bridge is not None:
            self.bridge.undo()
        self.bridge, self.peer = bridge, peer

    def leave(self, bridge: Bridge) -> None:
        """That bridge relays no more."""
        if self.bridge is bridge:
            self.bridge = self.peer = None

    @property
    def reads(self) -> bool:
        """Whether its service reads what it sends in its dialogue."""
        return self._unread is not None

    def expect_answer(self, request: Request, answered: Callable[[Response], None]) -> None:
        """Call `answered` with each response to `request`."""
        if self._answers is None:
            self._answers = {}
        self._answers[request] = answered

    def expect_ack(self, invite: Request, acked: Callable[[Request | None], None]) -> None:
        """Call `acked` with the ACK to our answer to `invite`, or with None where it can't come any more."""
        if not self._acks:
            self._acks = {}
            if self._away_for:
                self._away_for = 0.0
        self._acks[invite] = acked

    def expect_end(self, done: Deferred[Leg]) -> None:
        """Fire `done` when the leg is over, unless something else has by then."""
        if not self.over:
            self._closed = (*self._closed, done)
        elif not done.called:
            done.callback(self)

    def forget_end(self, done: Deferred[Leg]) -> None:
        """`done` is no longer awaited."""
        self._closed = tuple(other for other in self._closed if other is not done)

    def release(self) -> None:
        """The call is over: hold on to nothing that leads back to it, and let nobody wait for an answer in vain."""
        answers, self._answers, self._acks = self._answers, None, None
        if not self.over:
            self._end()
        if answers:
            for answered in answers.values():
                if isinstance(answered, Awaited) and not answered.done.called:
                    answered.done.addErrback(_ignore)
                    answered.done.cancel()

    def receive(self, message: Request | Response) -> None:
        """Take a message of this leg."""
        if isinstance(message, Response):
            self._receive_response(message)
        elif message.method == ACK:
            if self._patience is not None:
                self._stop_patience()
            if self._acks and message.related is not None and (acked := self._acks.pop(message.related, None)):
                acked(message)
        elif message.method == BYE:
            self.last_word = message
            if self._acks and self.call.first is self._first and self._first in self._acks:
                self.call.parting = message.carried
            self._end()
        elif message.method == PEER_LOST:
            self.wait_for_return()
            if self._on_lost is not None:
                self._on_lost(self)
        elif message.method == PEER_RESUMED:
            self._stop_patience()
            if self._on_resumed is not None:
                self._on_resumed(self)
        elif message.method == TERM:
            self._end()
            for request in list(self._answers or ()):  # sent as the session ended: nobody answers any more
                self._receive_response(response(request, 487, local=True))
        elif self.bridge is not None:
            self.bridge.relay(self, message)
        elif message.method != CANCEL:
            self._take(message)

    def _receive_response(self, response: Response) -> None:
        if self._answers:
            find = self._answers.get if response.code < 200 else self._answers.pop
            answered = find(response.request, None)
            if answered is not None:
                answered(response)

    def _take(self, request: Request) -> None:
        if self._unread is not None:
            if len(self._unread) >= self.call.context.unread_max:
                self.reply(request, 480, headers={"Reason": "too many requests wait"})
                return
            self._unread.put(request)
        elif request.method in (INVITE, UPDATE):
            self.reply(request, 488)
        elif request.method in (PRACK, OPTIONS):
            self.reply(request, 200)
        elif request.session is self.request.session and self.method == INVITE and self.unanswered:
            self.reply(request, 491)  # somebody may hear it in a moment
        else:
            self.reply(request, 405, headers={"Allow": ALLOW})

    def _end(self) -> None:
        if self.over:
            return
        self.over = True
        self.peer = self.bridge = self.early = self._on_lost = self._on_resumed = None
        if self._patience is not None:
            self._stop_patience()
        if self._acks:
            self.lose_patience()
        if self._unread is not None:
            self._unread.wake()
        closed, self._closed = self._closed, ()
        for done in closed:
            if not done.called:
                done.callback(self)

    def _send(self, method: str, body: Any, headers: Mapping[str, Any] | None) -> Request:
        task = self.call.task
        if self.session is not None:
            return task.request(self.session, method, body, headers)
        request = task.open(self.uri, method, body, headers, *self._names)
        self._first = request
        self.session = request.session
        self.call.adopt(self)
        return request

    @property
    def talking(self) -> bool:
        """Whether the call on this leg is answered and not over."""
        return not self.over and getattr(self.session, "state", "") in (ANSWERED, CONFIRMED)

    @property
    def ringing(self) -> bool:
        """Whether its INVITE has no final response yet."""
        return not self.over and getattr(self.session, "state", "") in (CALLING, EARLY)

    @property
    def hears(self) -> bool:
        """Whether it rings or talks: nobody has given it up."""
        return not self.over and getattr(self.session, "state", "") in (CALLING, EARLY, ANSWERED, CONFIRMED)


def _after(outcome: Any, tidy: Callable[[], object]) -> Any:
    """Tidy up, whatever the outcome, and pass it on."""
    tidy()
    return outcome


def _ignore(_: object) -> None:
    """Nobody waits for this failure."""


def _is_open(request: Request) -> bool:
    """Whether it still waits for its answer: it may have got 408 or 487 meanwhile."""
    transaction = request.session.transactions.get(-request.cseq)
    return transaction is not None and transaction.unfinished


def _call(expire: Callable[[], None]) -> None:
    expire()
