"""A session of one transaction. docs/jsip.md section 3, last rows."""

from __future__ import annotations

from gortc.jsip.ended import PEER, STACK, US
from gortc.jsip.message import Headers, Request, Response
from gortc.jsip.methods import ACK, BYE, CANCEL
from gortc.jsip.session import Session
from gortc.jsip.transaction import Transaction


class RequestSession(Session):
    """A session of one transaction: MESSAGE, SUBSCRIBE, REGISTER, OPTIONS, NOTIFY outside an INVITE dialogue."""

    __slots__ = ()

    lone = True

    def receive(self, request: Request) -> None:
        """The first request goes up; the storey below has refused any other."""
        self.deliver(request)

    def progress(self, transaction: Transaction, response: Response) -> None:
        """A provisional response goes up."""
        self.deliver(response)

    def answered(self, transaction: Transaction, response: Response) -> None:
        """The final response goes up, and the session ends."""
        self.ends(STACK if response.local else PEER, response.code, response.headers)
        self.deliver(response)
        self.end()

    def finished(self, transaction: Transaction, response: Response) -> None:
        """The session ends with its transaction."""
        self.ends(US, response.code, response.headers)
        self.end()

    def send_request(self, request: Request) -> None:
        """The first request goes out; nothing else may follow in this session."""
        if request.cseq == 1 and self.outgoing:
            self.layer.below.send_request(request)
        elif request.method in (ACK, BYE, CANCEL):
            self.layer.journal.note("no INVITE session", self.channel.name, request)
        else:
            self.refuse_own(request, 481)

    def abandon(self, code: int, reason: str | None, parting: Headers | None = None) -> None:
        """The peer's request gets `code`; ours is no longer waited for."""
        self.ended = US, code, {"Reason": reason} if reason else None
        self.answer_open(code, reason)
        self.end()
