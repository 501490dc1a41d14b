"""An INVITE session: the call as one side of it lives. docs/jsip.md section 4.

One table says what each event means in each state; the transactions of INVITE (invite_client, invite_server) bring the
outcomes of the first INVITE, the layer brings the requests received (named by their method) and those of the service
(`send ...`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from gortc.jsip.ended import GONE, LOST, PEER, STACK, US, cause
from gortc.jsip.message import Headers, Request, Response, whole
from gortc.jsip.methods import ACK, BYE, CANCEL, INFO, INVITE, PRACK, UPDATE
from gortc.jsip.session import Session
from gortc.jsip.timers import TimerQueue
from gortc.jsip.transaction import ACKED, CANCELLED, FAILURE, PROVISIONAL, SUCCESS, Transaction

if TYPE_CHECKING:
    from gortc.jsip.invite_client import InviteClient
    from gortc.jsip.invite_server import InviteServer
    from gortc.jsip.layers import Channel
    from gortc.jsip.sessions import Sessions

    Invite = InviteClient | InviteServer

# States.
NEW: Final = "new"
CALLING: Final = "calling"
EARLY: Final = "early"
ANSWERED: Final = "answered"
CONFIRMED: Final = "confirmed"
FAILED: Final = "failed"
CANCELLING: Final = "cancelling"
LEAVING: Final = "leaving"
ENDED: Final = "ended"

# What the service sends. Any other request of a dialogue, sent or received, goes as INFO does.
SEND_INVITE: Final = "send INVITE"
SEND_UPDATE: Final = "send UPDATE"
SEND_PRACK: Final = "send PRACK"
SEND_INFO: Final = "send INFO"
SEND_BYE: Final = "send BYE"
SEND_CANCEL: Final = "send CANCEL"
SEND_ACK: Final = "send ACK"

HANG_UP: Final = "hang up"
"""The stack itself ends the call: no ACK, or no refresh."""

_RECEIVED: Final = frozenset((INVITE, UPDATE, PRACK, BYE))
_SENT: Final = frozenset((INVITE, UPDATE, PRACK, BYE, CANCEL, ACK))

MISSED_MAX: Final = 3
"""So many refreshes in a row unanswered, and the session is over."""


class InviteSession(Session):
    """`expire` is the session interval in seconds; `refresher` whether we refresh it, else the peer does.

    `exchange` is the open re-INVITE, UPDATE or PRACK with a Body of either side: one at a time (RFC 3311 section 5.2,
    RFC 3261 section 14), `offered` the session interval that it asks for, 0 for none, `overdue` whether the session
    ends with it unless it is accepted. `parting` is what the CANCEL of the first INVITE carried, for the BYE that may
    have to follow it.
    """

    __slots__ = ("_clock", "exchange", "expire", "missed", "offered", "overdue", "parting", "refresher", "state")

    state: str

    def __init__(
        self,
        layer: Sessions,
        channel: Channel,
        dialogue_id: str,
        uri: str,
        caller: str,
        callee: str,
        outgoing: bool,
    ) -> None:
        super().__init__(layer, channel, dialogue_id, uri, caller, callee, outgoing)
        self.state = NEW
        self.exchange: Transaction | None = None
        self.expire = layer.times.session
        self.offered = 0
        self.overdue = False
        self.refresher = outgoing
        self.missed = 0
        self.parting: Headers | None = None
        self._clock: TimerQueue[InviteSession] | None = None

    @property
    def leaving(self) -> bool:
        """Whether we have hung up, and the peer has not answered that yet."""
        return self.state == LEAVING

    @property
    def rings(self) -> bool:
        """Whether it is a call of ours that is not answered yet."""
        return self.outgoing and self.state in (CALLING, EARLY)

    def step(self, event: str, message: Any = None) -> None:
        """Take one event: new state first, then the action."""
        cell = TABLE[self.state].get(event)
        if cell is None:
            self.layer.journal.note(f"{event} in {self.state}", self.channel.name, message or self.dialogue_id)
        else:
            self.state, action = cell
            action(self, message)

    # up

    def receive(self, request: Request) -> None:
        """A received request, by its method."""
        method = request.method
        self.step(method if method in _RECEIVED else INFO, request)

    def incoming(self, request: Request) -> None:
        """The first INVITE of a peer."""
        interval = self._interval(request)
        if interval:
            self.expire = interval
            self.refresher = "Expire" not in request.headers  # who sends none will not refresh, so its receiver does
            self.deliver(request)

    def hand_on(self, request: Request) -> None:
        """INFO and its like go to the service at any time in a dialogue."""
        self.deliver(request)

    def take_offer(self, request: Request) -> None:
        """A re-INVITE, or an UPDATE with a Body, goes to the service; one without is a refresh, answered here."""
        if request.method == UPDATE and "Body" not in request.headers:
            interval = self._interval(request)
            if interval:
                self.expire = interval
                self._restart_clock()
                self._transaction(request).answer(200)
        elif self._take_exchange(request):
            self.offered = self._interval(request)
            if self.offered:
                self.deliver(request)

    def take_prack(self, request: Request) -> None:
        """RFC 3262 section 3: only the INVITE's sender acknowledges its provisional responses.

        Without a Body it takes no part in an exchange (section 5): several may be open.
        """
        if self.outgoing:
            self.unknown(request)
        elif "Body" not in request.headers or self._take_exchange(request):
            self.deliver(request)

    def too_soon(self, request: Request) -> None:
        """A re-INVITE before the first one is answered (RFC 3261 section 14.2)."""
        if self.outgoing:  # an INVITE of ours is in progress: 491
            self._transaction(request).answer(491)
        else:  # a second INVITE before the final response to the first: 500 with a Retry-After of 0 to 10 s
            self._transaction(request).answer(500, **{"Retry-After": 5})

    def unknown(self, request: Request) -> None:
        """No such dialogue, or none any more."""
        if request.method == BYE:
            self.layer.answer(request, 481)
        else:
            self._transaction(request).answer(481)

    def hung_up(self, request: Request) -> None:
        """A BYE: ACK, where its 200 has none; 200; 487 to each open request of the peer's (RFC 3261 section 15.1.2)."""
        self.ends(PEER, 0, request.headers)
        self._acknowledge()
        self.layer.answer(request, 200)
        self.answer_open(487)
        self.deliver(request)
        self.end()

    def hung_up_too(self, request: Request) -> None:
        """Both sides hang up at the same time: each BYE is answered 200."""
        self.layer.answer(request, 200)

    def _take_exchange(self, request: Request) -> bool:
        if self.exchange is not None:
            self._transaction(request).answer(491)
            return False
        self.exchange = self._transaction(request)
        self.offered = 0
        return True

    def _interval(self, request: Request) -> int:
        """The session interval that it asks for: one that is too small is refused (RFC 4028 section 6), and 0; one too
        large is taken as the most."""
        expire: int = request.headers.get("Expire", self.expire)
        times = self.layer.times
        if expire < times.session_min and "Expire" in request.headers:
            self._transaction(request).answer(423, **{"Min-Expire": times.session_min})
            return 0
        return min(expire, times.session_max)

    def _transaction(self, request: Request) -> Transaction:
        return self.transactions[-request.cseq]

    def _first_invite(self) -> Invite:
        """That of a call which is not answered yet: any other has come after it."""
        invites = [one for one in self.transactions.values() if one.request.method == INVITE]
        return cast("Invite", invites[0])

    # outcomes of INVITEs, and of other requests

    def ring(self, _: Response) -> None:
        """An early dialogue, or one more 1xx."""

    def start_clock(self, _: Response) -> None:
        """The call is answered; the session timer runs from the 200."""
        self._start_clock()

    def failed(self, _: Any) -> None:
        """The first INVITE has failed; a received one waits for its ACK."""

    def confirmed(self, _: Request) -> None:
        """The ACK has passed."""

    def give_up(self, cancel: Request | None) -> None:
        """We cancelled the first INVITE, or its time was up."""
        self.parting = cancel.carried if cancel is not None else None

    def leave(self, _: Any) -> None:
        """A 200 crossed our CANCEL; its ACK has gone out, the BYE goes now, and says what the CANCEL said."""
        self.send_bye(self.make(BYE, self.parting))

    def accepted(self, transaction: Invite, response: Response) -> None:
        """A 2xx to an INVITE, either way."""
        self._close(transaction, True)
        if transaction.first:
            self.step(SUCCESS, response)

    def refused(self, transaction: Invite, response: Response) -> None:
        """A 3xx..6xx to an INVITE of ours, which the stack has ACKed."""
        self._close(transaction, False)
        if transaction.first:
            self.step(FAILURE, response)
            self.deliver(response)
            self.end()
        else:
            self._answered(response)

    def crossed(self, transaction: Invite, response: Response | None) -> None:
        """A 2xx to an INVITE that we cancelled; the stack has ACKed it. `response` is None where nobody waits."""
        self._close(transaction, True)
        if transaction.first:
            self.step(SUCCESS)
            if response is not None:
                self.deliver(transaction.local(487))
        elif response is not None:  # RFC 6141: the re-INVITE has taken effect, so the service learns of it
            self.deliver(response)

    def given_up(self, transaction: InviteClient) -> None:
        """An INVITE whose failure the service was told long ago is done."""
        self._close(transaction, False)
        if transaction.first:
            self.end()

    def progress(self, transaction: Transaction, response: Response) -> None:
        """A provisional response to another request of ours; the stack's own are absorbed."""
        if not transaction.request.local and transaction.request.method not in (BYE, CANCEL):
            self.deliver(response)

    def answered(self, transaction: Transaction, response: Response) -> None:
        """The final response to another request of ours."""
        self._close(transaction, response.code < 300)
        request = transaction.request
        if request.method == BYE:
            self.end()
        elif request.local:
            self._refreshed(response)
        elif request.method != CANCEL:
            self._answered(response)

    def finished(self, transaction: Transaction, response: Response) -> None:
        """`response` is our final one to a request of the peer's."""
        self._close(transaction, response.code < 300)

    def _close(self, transaction: Transaction, accepted: bool) -> None:
        """A transaction has got its final response: another exchange may begin. One that has failed changes nothing
        (RFC 3261 section 14.1)."""
        if self.exchange is transaction:
            self.exchange = None
            if accepted and self.offered:
                self.expire = self.offered
                self._restart_clock()
            elif self.overdue:
                self._stop_clock()
                self._clock = self.layer.timers.start(0.0, expired, self)  # the response goes first
            self.overdue = False

    def _answered(self, response: Response) -> None:
        self.deliver(response)
        # RFC 5057 section 5.1; to a PRACK, 481 says that it acknowledges nothing (RFC 3262 section 3).
        if response.code in (408, 481) and not response.local and response.method != PRACK:
            self._unknown_there(response)

    def _unknown_there(self, response: Response) -> None:
        """The peer knows the dialogue no more, or says so: whatever it still has of it ends, too (RFC 3261 section
        12.2.1.2)."""
        if self.state in (ANSWERED, CONFIRMED):
            self.ended, self.ended_held = (PEER, response.code, response.headers), response.held
            self.hang_up_both(cause(response.code, "the dialogue is over"))
        elif self.state in (CALLING, EARLY):
            self.ended, self.ended_held = (PEER, response.code, response.headers), response.held
            self._first_invite().overdue(cause(response.code, "the dialogue is over"))

    # down

    def send_request(self, request: Request) -> None:
        """A request of the service, by its method."""
        method = request.method
        self.step(f"send {method}" if method in _SENT else SEND_INFO, request)

    def outgoing_invite(self, request: Request) -> None:
        """The first INVITE of ours."""
        self.expire = request.headers["Expire"]
        self.layer.below.send_request(request)

    def pass_request(self, request: Request) -> None:
        """INFO and its like."""
        self.layer.below.send_request(request)

    def make_offer(self, request: Request) -> None:
        """A re-INVITE or UPDATE, unless another is open."""
        if self._may_exchange(request):
            self.offered = request.headers["Expire"]
            self._send_exchange(request)

    def send_prack(self, request: Request) -> None:
        """Only the INVITE's sender acknowledges provisional responses (RFC 3262 section 4)."""
        if not self.outgoing:
            self.refuse_own(request, 481)
        elif "Body" not in request.headers:
            self.layer.below.send_request(request)
        elif self._may_exchange(request):
            self._send_exchange(request)

    def send_bye(self, request: Request) -> None:
        """We hang up: each open request of the peer's gets its answer first; an unacknowledged 200 its ACK."""
        self.ends(US, 0, request.headers)
        self.answer_open(487)
        if self.unacked is not None:
            self._acknowledge()
            self.renumber(request)  # it was made before its ACK, and is sent after it
        self._stop_clock()
        self.layer.below.send_request(request)

    def _acknowledge(self) -> None:
        """Each 2xx has its ACK, also where the service sends none any more (RFC 3261 section 13.2.2.4)."""
        invite = self.unacked
        if invite is not None:
            self.unacked = None
            self.ack(invite)

    def send_ack(self, request: Request) -> None:
        """The service's ACK to a 2xx, once."""
        if request.related is None or request.related is not self.unacked:
            self.layer.journal.note("ACK of nothing", self.channel.name, request)
            return
        self.unacked = None
        self.layer.below.send_request(request)
        if self.outgoing and self.state == ANSWERED:
            self.step(ACKED, request)

    def send_cancel(self, request: Request) -> None:
        """The service gives up an INVITE or re-INVITE of its own: its transaction sends the CANCEL."""
        invite = request.related and self.transactions.get(request.related.cseq)
        if invite and invite.request is request.related and invite.request.method == INVITE:
            invite.step(CANCELLED, request)
        else:
            self.layer.journal.note("CANCEL of nothing", self.channel.name, request)

    def cannot(self, request: Request) -> None:
        """Nothing is sent: local 481."""
        self.refuse_own(request, 481)

    def not_yet(self, request: Request) -> None:
        """Nothing is sent while the first INVITE is open: local 491."""
        self.refuse_own(request, 491)

    def _may_exchange(self, request: Request) -> bool:
        if self.exchange is not None or self.unacked is not None:
            self.refuse_own(request, 491)
            return False
        self.offered = 0
        return True

    def _send_exchange(self, request: Request) -> None:
        self.layer.below.send_request(request)
        self.exchange = self.transactions[request.cseq]

    def make(self, method: str, headers: Mapping[str, Any] | None = None, body: Any = None) -> Request:
        """A new request; we always send `Expire` on INVITE and UPDATE. Raises ValueError where it is none."""
        request = super().make(method, headers, body)
        if method in (INVITE, UPDATE) and request.headers.setdefault("Expire", self.expire) < 1:
            raise ValueError(f"Expire must be so many seconds, not {request.headers['Expire']!r}")
        return request

    # ends

    def hang_up_both(self, reason: str) -> None:
        """The stack ends the call."""
        self.step(HANG_UP, reason)

    def hang_up_talk(self, reason: str) -> None:
        """The same where they talk: else it ends already."""
        if self.state in (ANSWERED, CONFIRMED):
            self.hang_up_both(reason)

    def leave_both(self, reason: str) -> None:
        """BYE to the peer, BYE (local) to the service."""
        self.ends(STACK, 408, {"Reason": reason})
        self.send_bye(self.make(BYE, {"Reason": reason}))
        self._tell_bye(reason)

    def abandon(self, code: int, reason: str | None, parting: Headers | None = None) -> None:
        """The owner has gone: cancel what rings, hang up what talks, refuse what is asked."""
        self.answer_open(code, reason)
        if self.state in (ANSWERED, CONFIRMED):
            self.step(SEND_BYE, self.make(BYE, parting))
        elif CANCELLED in TABLE[self.state]:  # one that we have opened; any other has just got its answer
            invite = self.transactions[1]
            invite.step(CANCELLED, self.related(CANCEL, invite.request, parting))

    def peer_resumed(self) -> None:
        """The session timer does not count the time away."""
        self.missed = 0
        self._restart_clock()
        super().peer_resumed()

    def peer_gone(self) -> None:
        """Where they talked, it is as if the peer had hung up."""
        self.ends(LOST, 408, {"Reason": GONE})
        self._tell_end(GONE)
        super().peer_gone()

    def end_talk(self, reason: str) -> None:
        """The peer knows of no call (any more)."""
        self.ends(STACK, 500, {"Reason": reason})
        self._tell_end(reason)
        self.end()

    def end(self) -> None:
        """Over: no state, no clock, no 200 without its ACK."""
        self._acknowledge()
        self.state = ENDED
        self._stop_clock()
        super().end()
        self.exchange = None

    # the session timer: RFC 4028 in spirit, docs/jsip.md section 4, last row

    def _restart_clock(self) -> None:
        if self._clock is not None:  # before the 200 it does not run
            self._clock.stop(self)
            self._start_clock()

    def _start_clock(self) -> None:
        layer = self.layer
        if self.refresher:
            self._clock = layer.timers.start(self.expire / 3, refresh, self)
        else:
            self._clock = layer.timers.start(self.expire + layer.times.session_margin, expired, self)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.stop(self)
            self._clock = None

    def refresh(self) -> None:
        """Send an UPDATE without a Body, unless a re-INVITE is open, which serves as well."""
        self._start_clock()
        if self.channel.away:  # it is not asked whether it is there
            return
        if not self._reinvite_is_open:
            update = self.make(UPDATE)
            update.local = True
            self.layer.below.send_request(update)

    @property
    def _reinvite_is_open(self) -> bool:
        return self.exchange is not None and self.exchange.request.method == INVITE

    def unrefreshed(self) -> None:
        """The peer has not refreshed it in time; one that is away has its grace, and while a re-INVITE is open nobody
        refreshes."""
        self.overdue = self._reinvite_is_open
        if self.channel.away or self.overdue:
            self._start_clock()
        else:
            self.hang_up_both("session expired")

    def _refreshed(self, response: Response) -> None:
        if not response.local:
            self.missed = 0  # any answer but these two proves life
            if response.code in (408, 481):
                self._unknown_there(response)
            elif response.code == 423:  # RFC 4028 section 7.4: with the interval that the peer wants
                least = whole(response.headers.get("Min-Expire"))
                if self.expire < least <= self.layer.times.session_max:
                    self.expire = least
            return
        self.missed += 1
        if self.missed == MISSED_MAX:
            self.hang_up_both("session expired")

    def _tell_end(self, reason: str) -> None:
        """BYE (local) where they talk; nothing more goes to the peer."""
        if self.state in (ANSWERED, CONFIRMED):
            self.state = ENDED
            self._tell_bye(reason)

    def _tell_bye(self, reason: str) -> None:
        bye = self.make(BYE, {"Reason": reason})
        bye.local = True
        self.deliver(bye)


def refresh(session: InviteSession) -> None:
    """It is time to refresh `session`."""
    session.refresh()


def expired(session: InviteSession) -> None:
    """The peer has not refreshed `session` in time."""
    session.unrefreshed()


S = InviteSession
Action = Callable[[Any, Any], None]

TABLE: Final[dict[str, dict[str, tuple[str, Action]]]] = {
    NEW: {
        INVITE: (CALLING, S.incoming),
        SEND_INVITE: (CALLING, S.outgoing_invite),
    },
    CALLING: {
        PROVISIONAL: (EARLY, S.ring),
        SUCCESS: (ANSWERED, S.start_clock),
        FAILURE: (FAILED, S.failed),
        CANCELLED: (CANCELLING, S.give_up),
        INVITE: (CALLING, S.too_soon),
        UPDATE: (CALLING, S.unknown),
        PRACK: (CALLING, S.unknown),
        INFO: (CALLING, S.hand_on),
        BYE: (ENDED, S.hung_up),
        SEND_INVITE: (CALLING, S.not_yet),
        SEND_UPDATE: (CALLING, S.cannot),
        SEND_PRACK: (CALLING, S.cannot),
        SEND_INFO: (CALLING, S.pass_request),
        SEND_CANCEL: (CALLING, S.send_cancel),
    },
    EARLY: {
        PROVISIONAL: (EARLY, S.ring),
        SUCCESS: (ANSWERED, S.start_clock),
        FAILURE: (FAILED, S.failed),
        CANCELLED: (CANCELLING, S.give_up),
        INVITE: (EARLY, S.too_soon),
        UPDATE: (EARLY, S.take_offer),
        PRACK: (EARLY, S.take_prack),
        INFO: (EARLY, S.hand_on),
        BYE: (ENDED, S.hung_up),
        SEND_INVITE: (EARLY, S.not_yet),
        SEND_UPDATE: (EARLY, S.make_offer),
        SEND_PRACK: (EARLY, S.send_prack),
        SEND_INFO: (EARLY, S.pass_request),
        SEND_CANCEL: (EARLY, S.send_cancel),
    },
    ANSWERED: {
        ACKED: (CONFIRMED, S.confirmed),
        INVITE: (ANSWERED, S.take_offer),
        UPDATE: (ANSWERED, S.take_offer),
        PRACK: (ANSWERED, S.take_prack),
        INFO: (ANSWERED, S.hand_on),
        BYE: (ENDED, S.hung_up),
        SEND_INVITE: (ANSWERED, S.make_offer),
        SEND_UPDATE: (ANSWERED, S.make_offer),
        SEND_PRACK: (ANSWERED, S.send_prack),
        SEND_INFO: (ANSWERED, S.pass_request),
        SEND_CANCEL: (ANSWERED, S.send_cancel),
        SEND_ACK: (ANSWERED, S.send_ack),
        SEND_BYE: (LEAVING, S.send_bye),
        HANG_UP: (LEAVING, S.leave_both),
    },
    CONFIRMED: {
        INVITE: (CONFIRMED, S.take_offer),
        UPDATE: (CONFIRMED, S.take_offer),
        PRACK: (CONFIRMED, S.take_prack),
        INFO: (CONFIRMED, S.hand_on),
        BYE: (ENDED, S.hung_up),
        SEND_INVITE: (CONFIRMED, S.make_offer),
        SEND_UPDATE: (CONFIRMED, S.make_offer),
        SEND_PRACK: (CONFIRMED, S.send_prack),
        SEND_INFO: (CONFIRMED, S.pass_request),
        SEND_CANCEL: (CONFIRMED, S.send_cancel),
        SEND_ACK: (CONFIRMED, S.send_ack),
        SEND_BYE: (LEAVING, S.send_bye),
        HANG_UP: (LEAVING, S.leave_both),
    },
    FAILED: {
        INVITE: (FAILED, S.unknown),
        UPDATE: (FAILED, S.unknown),
        PRACK: (FAILED, S.unknown),
        INFO: (FAILED, S.unknown),
        BYE: (FAILED, S.unknown),
        SEND_INVITE: (FAILED, S.cannot),
        SEND_UPDATE: (FAILED, S.cannot),
        SEND_PRACK: (FAILED, S.cannot),
        SEND_INFO: (FAILED, S.cannot),
    },
    CANCELLING: {
        SUCCESS: (LEAVING, S.leave),
        FAILURE: (ENDED, S.failed),
        INVITE: (CANCELLING, S.unknown),
        UPDATE: (CANCELLING, S.unknown),
        PRACK: (CANCELLING, S.unknown),
        INFO: (CANCELLING, S.unknown),
        BYE: (ENDED, S.hung_up),
        SEND_INVITE: (CANCELLING, S.cannot),
        SEND_UPDATE: (CANCELLING, S.cannot),
        SEND_PRACK: (CANCELLING, S.cannot),
        SEND_INFO: (CANCELLING, S.cannot),
    },
    LEAVING: {
        ACKED: (LEAVING, S.confirmed),
        INVITE: (LEAVING, S.unknown),
        UPDATE: (LEAVING, S.unknown),
        PRACK: (LEAVING, S.unknown),
        INFO: (LEAVING, S.unknown),
        BYE: (LEAVING, S.hung_up_too),
        SEND_INVITE: (LEAVING, S.cannot),
        SEND_UPDATE: (LEAVING, S.cannot),
        SEND_PRACK: (LEAVING, S.cannot),
        SEND_INFO: (LEAVING, S.cannot),
    },
    ENDED: {
        FAILURE: (ENDED, S.failed),  # the peer's first INVITE is answered 487 as its own BYE ends the session
        SEND_INVITE: (ENDED, S.cannot),
        SEND_UPDATE: (ENDED, S.cannot),
        SEND_PRACK: (ENDED, S.cannot),
        SEND_INFO: (ENDED, S.cannot),
    },
}
