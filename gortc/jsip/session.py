"""A session: what a DialogueID stands for on its channel. docs/jsip.md sections 3 and 4.

There are two kinds, `InviteSession` and `RequestSession`; this is what they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gortc.jsip.ended import GONE, LOST, PEER, End
from gortc.jsip.layers import Channel, Owner
from gortc.jsip.memory import Account, Held, weigh_names
from gortc.jsip.message import OWN_HEADERS, Headers, Request, Response, check_headers, dumps, event, response
from gortc.jsip.methods import ACK, PEER_LOST, PEER_RESUMED
from gortc.jsip.transaction import Transaction

if TYPE_CHECKING:
    from gortc.jsip.sessions import Sessions

OWN_BYTES: Final = 69
"""The names of a request's own headers, and a CSeq of 16 digits, beside a list of the other values."""


class Session:
    """What both kinds of session share.

    `outgoing` tells whether we opened it; `uri`, `caller` and `callee` are the first request's Request-URI, From and
    To. `owner` is the task it belongs to. `invited` is the CSeq of the peer's latest INVITE, 0 for none; `unacked` is
    the INVITE of ours whose 2xx awaits the service's ACK. `held` is what it takes itself, with its names: they stay
    until its BYE has its answer, and the first request does not. `ended` is how it has ended, or is about to;
    `ended_held` has the memory of what was said then.
    """

    __slots__ = (
        "callee", "caller", "channel", "cseq", "dialogue_id", "ended", "ended_held", "held", "invited", "layer",
        "outgoing", "over", "owner", "transactions", "unacked", "uri",
    )  # fmt: skip

    lone = False
    """Whether it is a session of one transaction."""

    @property
    def rings(self) -> bool:
        """Whether it is a call of ours that is not answered yet."""
        return False

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
        self.layer = layer
        self.channel = channel
        self.dialogue_id = dialogue_id
        self.uri = uri
        self.caller = caller
        self.callee = callee
        self.outgoing = outgoing
        self.owner: Owner | None = None
        self.transactions: dict[int, Transaction] = {}
        self.cseq = 0
        self.invited = 0
        self.unacked: Request | None = None
        self.over = False
        self.ended: End | None = None
        self.ended_held: Held | None = None
        self.held: Held | None = None
        channel.sessions[self.dialogue_id] = self
        layer.count += 1

    def charge(self, account: Account, size: int) -> None:
        """It counts as this user's from now on, with its names."""
        size += weigh_names(self.dialogue_id, self.uri, self.caller, self.callee)
        self.held = Held(account, size)

    # up

    def receive(self, request: Request) -> None:
        """Take a received request, which has its transaction."""
        raise NotImplementedError

    def progress(self, transaction: Transaction, response: Response) -> None:
        """A provisional response to a request of ours, INVITE apart."""
        raise NotImplementedError

    def answered(self, transaction: Transaction, response: Response) -> None:
        """The final response to a request of ours, INVITE apart."""
        raise NotImplementedError

    def finished(self, transaction: Transaction, response: Response) -> None:
        """`response` is our final one to a request of the peer's."""
        raise NotImplementedError

    def deliver(self, message: Request | Response) -> None:
        """Hand a message to its owner; the storey above finds one for a new session."""
        owner = self.owner
        if owner is not None:
            owner.receive(message)
        else:
            self.layer.above.receive(message)

    # the peer's connection

    def peer_lost(self) -> None:
        """The peer has lost its connection; its dialogues wait for the next one."""
        if self.owner is not None:
            self.owner.receive(event(PEER_LOST, self))

    def peer_resumed(self) -> None:
        """The peer is back: what it had to answer is given its whole time again."""
        for transaction in self.transactions.values():
            transaction.renew()
        if self.owner is not None:
            self.owner.receive(event(PEER_RESUMED, self))

    def ends(self, by: str, code: int, headers: Headers | None) -> None:
        """It is about to end, or has; what was said first holds."""
        if self.ended is None:
            self.ended = by, code, headers
            self.ended_held = self.layer.below.payer

    def peer_gone(self) -> None:
        """The peer has not come back in its grace: 408 to what it had to answer, then TERM."""
        self.ends(LOST, 408, {"Reason": GONE})
        for key in list(self.transactions):
            transaction = self.transactions.get(key)
            if transaction is not None:
                transaction.peer_gone()
        self.end()

    # down

    def send(self, message: Request | Response) -> None:
        """Take a message of the service for this session.

        What may not be sent now is dropped and logged, or comes back as a local response (section 4's last rows).
        """
        if type(message) is Response:
            self.layer.below.send_response(message)
        else:
            assert type(message) is Request
            self.send_request(message)

    def send_request(self, request: Request) -> None:
        """Send a request of the service."""
        raise NotImplementedError

    def make(self, method: str, headers: Mapping[str, Any] | None = None, body: Any = None) -> Request:
        """A new request of this session, under a CSeq of its own.

        Raises ValueError where `headers` has what is not the service's to say (`check_headers`).
        """
        if headers and not OWN_HEADERS.isdisjoint(headers):
            check_headers(headers)
        self.cseq += 1
        made: Headers = {
            "Type": method,
            "Request-URI": self.uri,
            "From": self.caller,
            "To": self.callee,
            "DialogueID": self.dialogue_id,
            "CSeq": self.cseq,
        }
        if headers:
            made.update(headers)
        if body is not None:
            made["Body"] = body
        request = Request(made, method, self.cseq, self.dialogue_id, self.caller, self.callee)
        request.session = self
        return request

    def renumber(self, request: Request) -> None:
        """Give a request that has not gone out yet the next CSeq."""
        self.cseq += 1
        request.cseq = request.headers["CSeq"] = self.cseq
        request.data = None

    def room(self, method: str) -> int:
        """So many bytes are left for further headers, as JSON, in a request of this session: one with more is too large
        (docs/jsip.md section 2)."""
        own = dumps([method, self.uri, self.caller, self.callee, self.dialogue_id])
        return self.layer.frame_max - len(own) - OWN_BYTES

    def related(self, method: str, invite: Request, headers: Mapping[str, Any] | None = None) -> Request:
        """An ACK or a CANCEL that means `invite`."""
        request = self.make(method, headers)
        request.headers["RelatedID"] = invite.cseq
        request.related = invite
        return request

    def ack(self, invite: Request) -> None:
        """Send the stack's own ACK for `invite`."""
        self.layer.below.send_request(self.related(ACK, invite))

    def has_failed(self, request: Request) -> bool:
        """Whether a request of ours has not gone out: its local response comes in a moment."""
        transaction = self.transactions.get(request.cseq)
        return transaction is not None and transaction.refusal is not None

    def refuse_own(self, request: Request, code: int) -> None:
        """Answer a request of the service that may not be sent: a local response, after its call has returned."""
        self.layer.own_refused.start(response(request, code, local=True))

    def abandon(self, code: int, reason: str | None, parting: Headers | None = None) -> None:
        """The owner has gone: leave the peer with a proper end.

        Open requests of it get `code` and `reason`; a BYE or a CANCEL carries `parting`.
        """
        raise NotImplementedError

    def answer_open(self, code: int, reason: str | None = None) -> None:
        """Answer each open request of the peer with `code`."""
        if not self.transactions:
            return
        headers = {"Reason": reason} if reason else {}
        for key in [key for key in self.transactions if key < 0]:
            transaction = self.transactions.get(key)
            if transaction is not None and transaction.unfinished:
                transaction.answer(code, **headers)

    def end(self) -> None:
        """The session is over, whatever the reason: local 487 to each open request of ours, then TERM, once."""
        if self.over:
            return
        if self.transactions:
            self.answer_open(487)
            if self.over:  # that was all there was to it: a session of one transaction
                return
            for transaction in list(self.transactions.values()):
                transaction.close()
                if transaction.awaited:
                    self.deliver(self._cut_short(transaction))
        self.layer.close(self)

    def _cut_short(self, transaction: Transaction) -> Response:
        """487, which says why where the peer has said so as it hung up."""
        made = transaction.local(487)
        if self.ended is not None and self.ended[0] == PEER and self.ended[2] is not None and "Reason" in self.ended[2]:
            made.headers["Reason"] = self.ended[2]["Reason"]
        return made
