"""A sent INVITE or re-INVITE: ringing, its ACK, cancelling it. docs/jsip.md section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from gortc.jsip.message import Request, Response
from gortc.jsip.methods import CANCEL
from gortc.jsip.transaction import CANCELLED, EXPIRED, FAILURE, PROVISIONAL, SUCCESS, TRYING, Table, Transaction

if TYPE_CHECKING:
    from gortc.jsip.invite_session import InviteSession

CALLING = "calling"
PROCEEDING = "proceeding"
CANCELLING = "cancelling"  # the service cancelled it
ABANDONED = "abandoned"  # its time was up, the service has been told
DONE = "done"


class InviteClient(Transaction):
    """`first` tells the INVITE that opened the session from a re-INVITE."""

    __slots__ = ("first",)

    session: InviteSession

    def begin(self) -> None:
        """It is about to be sent."""
        self.first = self.session.outgoing and self.request.cseq == 1
        self.layer.ringing_in_all.start(self)
        self.wait(self.layer.ringing)

    def close(self) -> None:
        """Two timers run while it rings."""
        self.layer.ringing_in_all.stop(self)
        super().close()

    @property
    def awaited(self) -> bool:
        """Nobody waits any more once the service was told 408."""
        return self.state != ABANDONED

    def absorb(self, response: Response) -> None:
        """100 resets no timer and ends here; so does what comes while it is cancelled."""

    def ring(self, response: Response) -> None:
        """Each 1xx but 100 starts the 60 s again; the 600 s in all go on."""
        self.wait(self.layer.ringing)
        if self.first:
            self.session.step(PROVISIONAL, response)
        self.session.deliver(response)

    def accept(self, response: Response) -> None:
        """A 2xx: the service sends the ACK, for it may carry an answer (RFC 3261 section 13.2.2.4)."""
        self.close()
        session = self.session
        if session.leaving:  # RFC 5407 section 3.2.3: who has sent a BYE still acknowledges a re-INVITE's 200
            session.ack(self.request)
            session.deliver(self.local(487))
            return
        session.unacked = self.request.cseq
        session.accepted(self, response)
        session.deliver(response)

    def refuse(self, response: Response) -> None:
        """A 3xx..6xx: the stack sends the ACK (RFC 3261 section 17.1.1.3)."""
        self.close()
        if not response.local:
            self.session.ack(self.request)
        self.session.refused(self, response)

    def cancel(self, cancel: Request | None) -> None:
        """The service gives up: its CANCEL (or ours, where the service has gone) goes out; the final response is
        waited for."""
        self._send_cancel(cancel)

    def no_answer(self, _: Any) -> None:
        """No final response in time: CANCEL, and a local 408 to the service, once."""
        self._send_cancel(None)
        self.session.deliver(self.local(408))

    def crossed(self, response: Response) -> None:
        """A 200 crossed our CANCEL: without ACK and BYE it would leave a phone off the hook."""
        self.close()
        self.session.ack(self.request)
        self.session.crossed(self, response)

    def crossed_unseen(self, response: Response) -> None:
        """The same after the service was told 408."""
        self.close()
        self.session.ack(self.request)
        self.session.crossed(self, None)

    def refuse_unseen(self, response: Response) -> None:
        """A late 3xx..6xx only ends the session: the service was told 408."""
        self.close()
        if not response.local:
            self.session.ack(self.request)
        self.session.given_up(self)

    def unanswered(self, _: Any) -> None:
        """We cancelled, and nothing final arrived: the service gets a local 487."""
        self.close()
        self.session.refused(self, self.local(487))

    def unanswered_unseen(self, _: Any) -> None:
        """Neither a final response nor anybody who waits for it."""
        self.close()
        self.session.given_up(self)

    def _send_cancel(self, cancel: Request | None) -> None:
        self.layer.ringing_in_all.stop(self)
        if self.first:
            self.session.step(CANCELLED)
        if not self.refusal:  # an INVITE that can't be delivered is about to come back on its own
            self.wait(self.layer.cancelling)
            self.layer.send_request(cancel or self.session.related(CANCEL, self.request))

    START = CALLING
    TABLE: ClassVar[Table] = {
        CALLING: {
            TRYING: (CALLING, absorb),
            PROVISIONAL: (PROCEEDING, ring),
            SUCCESS: (DONE, accept),
            FAILURE: (DONE, refuse),
            CANCELLED: (CANCELLING, cancel),
            EXPIRED: (ABANDONED, no_answer),
        },
        PROCEEDING: {
            TRYING: (PROCEEDING, absorb),
            PROVISIONAL: (PROCEEDING, ring),
            SUCCESS: (DONE, accept),
            FAILURE: (DONE, refuse),
            CANCELLED: (CANCELLING, cancel),
            EXPIRED: (ABANDONED, no_answer),
        },
        CANCELLING: {
            TRYING: (CANCELLING, absorb),
            PROVISIONAL: (CANCELLING, absorb),
            SUCCESS: (DONE, crossed),
            FAILURE: (DONE, refuse),
            CANCELLED: (CANCELLING, absorb),
            EXPIRED: (DONE, unanswered),
        },
        ABANDONED: {
            TRYING: (ABANDONED, absorb),
            PROVISIONAL: (ABANDONED, absorb),
            SUCCESS: (DONE, crossed_unseen),
            FAILURE: (DONE, refuse_unseen),
            CANCELLED: (ABANDONED, absorb),
            EXPIRED: (DONE, unanswered_unseen),
        },
        DONE: {},
    }
