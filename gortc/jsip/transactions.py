"""Transactions: a request and its responses. docs/jsip.md section 3.

The layer finds the session and the transaction that a message belongs to, or makes them; the four machines
(request_client, request_server, invite_client, invite_server) do the rest. A session keeps its transactions in one
dict: those of our requests under their CSeq, those of the peer's under minus theirs, since both sides number on their
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from gortc.jsip.delays import Delays
from gortc.jsip.invite_client import InviteClient
from gortc.jsip.invite_server import MOMENT, InviteServer
from gortc.jsip.layers import Channel, Journal
from gortc.jsip.memory import LEG, MESSAGE, Held
from gortc.jsip.message import Headers, Message, Request, Response
from gortc.jsip.methods import ACK, BYE, CANCEL, FREE, INVITE, STARTERS
from gortc.jsip.request_client import RequestClient
from gortc.jsip.request_server import RequestServer
from gortc.jsip.timers import Timers
from gortc.jsip.times import Times
from gortc.jsip.transaction import ACKED, CANCELLED, FAILURE, REFUSED, Transaction, classify

if TYPE_CHECKING:
    from gortc.jsip.invite_session import InviteSession
    from gortc.jsip.session import Session
    from gortc.jsip.sessions import Sessions
    from gortc.jsip.syntax import Syntax


EVENTS: Final = tuple(map(classify, range(700)))
"""The event that a response is, by its code."""


class Transactions:
    """The storey between syntax and sessions."""

    above: Sessions
    below: Syntax

    def __init__(self, timers: Timers, times: Times, journal: Journal, requests_max: int) -> None:
        self.journal = journal
        self.timers = timers
        self.requests_max = requests_max
        """So many requests of a peer may be open in one dialogue."""
        self.payer: Held | None = None
        """What is held of the message that is handled now, where its sender's memory is limited: what is sent because
        of it counts as his, and keeps what it has of it."""
        self.calls = 0
        """How many INVITEs have opened a dialogue."""
        self.post_dial = Delays()
        """From such an INVITE until it rings, or is accepted without."""
        self.set_up = Delays()
        """From such an INVITE until it is accepted."""
        self.unanswered = timers.queue(times.transaction, expire)
        self.provisional = timers.queue(times.provisional, expire)
        self.ringing = timers.queue(times.invite, expire)
        self.quiet = timers.queue(times.invite / 2, expire)
        self.late = timers.queue(2 * MOMENT, expire)
        self.ringing_in_all = timers.queue(times.invite_max, expire)
        self.cancelling = timers.queue(times.cancel, expire)
        self.unacked = timers.queue(times.ack, expire)
        self.error_unacked = timers.queue(times.error_ack, expire)
        # Not at once: the sender is still in its call.
        self._undelivered = timers.queue(0, give_back)
        self._told = timers.queue(0, tell)
        self._cut_off = timers.queue(0, hang_up)

    # up

    def receive(self, channel: Channel, message: Message) -> None:
        """Take a message of `channel` to its transaction and session."""
        session = channel.sessions.get(message.dialogue_id)
        if type(message) is Response:
            self._receive_response(channel, session, message)
            return
        assert type(message) is Request
        method = message.method
        if session is None:
            session = self.above.open(channel, message)
            if session is None:  # answered, or dropped
                return
        elif channel.guest is not None and method not in FREE and self.above.gate.turns_away(channel, message, False):
            return
        message.session = session
        if method in (ACK, CANCEL):
            self._receive_related(session, message)
            return
        key = -message.cseq
        live = session.transactions.get(key)
        if live is not None:
            self._repeated(channel, message, live)
        elif session.lone and session.transactions:
            reason = "this session is one transaction, which is still open"
            self.below.answer(channel, message, 491 if method in STARTERS else 481, Reason=reason)
        elif len(session.transactions) >= self.requests_max and method != BYE and self._too_many(session):
            self.below.answer(channel, message, 503, Reason="too many requests are open in this dialogue")
        elif method == BYE:  # the stack answers it at once: nothing is left for a transaction to wait for
            session.receive(message)
        else:
            transaction: Transaction
            transaction = InviteServer(self, message, key) if method == INVITE else RequestServer(self, message, key)
            session.transactions[key] = transaction
            transaction.begin()
            session.receive(message)

    def _too_many(self, session: Session) -> bool:
        return sum(key < 0 for key in session.transactions) >= self.requests_max  # ours do not count

    def _repeated(self, channel: Channel, message: Request, live: Transaction) -> None:
        if live.request.method != message.method:
            self.below.answer(channel, message, 400, Reason=f"CSeq {message.cseq} is a live {live.request.method}'s")
        else:  # the same request again while it lives is not given to the service twice
            self.journal.note("repeated request", channel.name, message)

    def _receive_response(self, channel: Channel, session: Session | None, message: Response) -> None:
        transaction = session and session.transactions.get(message.cseq)
        if not session or not transaction:
            self.journal.note("stray response", channel.name, message)
            return
        message.session = session
        message.request = transaction.request
        transaction.step(EVENTS[message.code], message)

    def _receive_related(self, session: Session, message: Request) -> None:
        """An ACK or a CANCEL: `RelatedID` names the INVITE meant; absent, the open one of that side."""
        related = message.headers.get("RelatedID") or session.invited
        transaction = session.transactions.get(-related)
        invite = transaction if type(transaction) is InviteServer else None
        if message.method == CANCEL:
            if invite is not None:
                self.below.answer(session.channel, message, 200)
                message.related = invite.request
                invite.step(CANCELLED, message)
            else:  # an INVITE that is done for good is no longer open to a CANCEL, which has no effect
                known = related != 0 and related == session.invited
                self.below.answer(session.channel, message, 200 if known else 481)
        elif invite is not None:
            message.related = invite.request
            invite.step(ACKED, message)
        else:
            self.journal.note("stray ACK", session.channel.name, message)

    def undelivered(self, request: Request, code: int, reason: str = "") -> None:
        """`request` could not be delivered: the one way in which a local 413, 480, 503 or 404 is made."""
        transaction = request.session.transactions.get(request.cseq)
        if transaction is not None:
            transaction.refusal = refusal = transaction.local(code)
            reason = reason or request.session.channel.trouble
            if reason:
                refusal.headers["Reason"] = reason
            transaction.wait(self._undelivered)

    def refused(self, channel: Channel, headers: Headers, code: int, reason: str) -> None:
        """The peer has closed its connection for the message of ours that has these headers."""
        session = channel.sessions.get(headers["DialogueID"])
        if session is None:
            return
        method, cseq = headers["Type"], headers["CSeq"]
        if method == ACK:
            self.cut_off(session, reason)
        elif method != "RESPONSE":
            sent = session.transactions.get(cseq)
            if sent is not None and sent.request.method == method:
                self.undelivered(sent.request, code, reason)
        elif headers["Code"] >= 200:
            received = session.transactions.get(-cseq)
            if type(received) is InviteServer:  # any other is done with its final response
                received.step(REFUSED, reason)

    def cut_off(self, session: Session, reason: str) -> None:
        """An ACK has not reached the peer of `session` as it was: without it the call can't go on."""
        self._cut_off.start((session, reason))

    # down

    def send_request(self, request: Request) -> None:
        """Send `request` in a new transaction (an ACK has none)."""
        method = request.method
        if method != ACK:
            transaction: Transaction
            if method == INVITE:
                transaction = InviteClient(self, request, request.cseq)
            else:
                transaction = RequestClient(self, request, request.cseq)
            request.session.transactions[request.cseq] = transaction
            transaction.begin()
            payer = self.payer
            if payer is not None or request.session.channel.account is not None:
                self._charge(request, payer)
                if request.held is not None and method not in FREE and request.held.account.is_over():
                    self.journal.note("no memory", request.session.channel.name, request)
                    self.undelivered(request, 503, "too much waits to be answered")
                    return
        self.below.send(request)

    def _charge(self, request: Request, payer: Held | None) -> None:
        """It is its payer's: the caller's, where it opens a leg of his call; else of who has sent what is handled now.
        What nobody has asked for is of whoever gets it, with its text; a refresh of the stack's is nobody's."""
        session = request.session
        opens = session.outgoing and request.cseq == 1
        if opens and session.owner is not None:
            payer = session.owner.payer or payer
        if payer is not None:
            request.held = Held(payer.account, MESSAGE, payer)
        elif session.channel.account is not None and not request.local:
            request.held = Held(session.channel.account, MESSAGE + len(request.data or b""))
        if opens and request.held is not None:
            session.charge(request.held.account, LEG)

    def send_response(self, message: Response) -> None:
        """Send a response of the service; one to no open request is dropped."""
        transaction = message.session.transactions.get(-message.cseq)
        if transaction is None or transaction.request is not message.request:
            self.journal.note("late response", message.session.channel.name, message)
            return
        data = message.data
        if (
            (data is None or len(data) > self.below.frame_max)
            and (message.code > 100 or type(transaction) is not InviteServer)  # whose 100 never goes out
            and transaction.unfinished
            and not self.below.fits(message)
        ):
            self._replace(transaction, message)
        else:
            transaction.step(EVENTS[message.code], message)

    def _replace(self, transaction: Transaction, message: Response) -> None:
        """`message` is too large for whoever awaits it, and gets 500 instead."""
        self.journal.note("can't be sent", message.session.channel.name, message)
        told = transaction.unheard(message.code) if type(transaction) is InviteServer else None
        transaction.answer(500, Reason=self.below.unfit(len(message.data or b"")))
        if told is not None:
            self._told.start(told)

    def unexpected(self, transaction: Transaction, event: str, message: Any) -> None:
        """The one door for what the tables do not list: dropped, counted, logged."""
        self.journal.note(f"unexpected {event}", transaction.session.channel.name, message or transaction.request)


def expire(transaction: Transaction) -> None:
    """The time of `transaction` is up."""
    transaction.expired()


def give_back(transaction: Transaction) -> None:
    """Tell the sender of a request that could not be delivered."""
    transaction.step(FAILURE, transaction.refusal)


def tell(message: Request) -> None:
    """Tell the service what has become of what it sent."""
    if not message.session.over:
        message.session.deliver(message)


def hang_up(call: tuple[Session, str]) -> None:
    """End a call that lacks an ACK."""
    session, reason = call
    if not session.over:
        cast("InviteSession", session).hang_up_talk(reason)
