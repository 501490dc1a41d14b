"""A sent INVITE or re-INVITE: ringing, its ACK, cancelling it. docs/jsip.md section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from gortc.jsip.ended import PEER, STACK, US, cause
from gortc.jsip.message import Request, Response
from gortc.jsip.methods import CANCEL
from gortc.jsip.transaction import CANCELLED, EXPIRED, FAILURE, PROVISIONAL, SUCCESS, TRYING, Transaction

if TYPE_CHECKING:
    from gortc.jsip.invite_session import InviteSession

CALLING: Final = "calling"
PROCEEDING: Final = "proceeding"
CANCELLING: Final = "cancelling"  # the service cancelled it
ABANDONED: Final = "abandoned"  # its time was up, the service has been told
DONE: Final = "done"

QUEUED: Final = 182
"""RFC 3261 section 21.1.4: somebody will take the call, sooner or later."""


class InviteClient(Transaction):
    """`dialogue` is its session; `first` tells the INVITE that opened it from a re-INVITE."""

    __slots__ = ("dialogue", "first")

    dialogue: InviteSession

    def begin(self) -> None:
        """It is about to be sent."""
        self.dialogue = session = cast("InviteSession", self.session)
        self.first = session.outgoing and self.request.cseq == 1
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

    def absorb(self, _: Any) -> None:
        """100 resets no timer and ends here; so does what comes while it is cancelled."""

    def ring(self, response: Response) -> None:
        """Each 1xx but 100 starts the 60 s again; the 600 s in all go on, unless the call waits in a queue (182)."""
        self.wait(self.layer.ringing)
        if response.code == QUEUED:
            self.layer.ringing_in_all.start(self)
        if self.first:
            self.dialogue.step(PROVISIONAL, response)
        self.dialogue.deliver(response)

    def accept(self, response: Response) -> None:
        """A 2xx: the service sends the ACK, for it may carry an answer (RFC 3261 section 13.2.2.4)."""
        self.close()
        session = self.dialogue
        if session.leaving:  # RFC 5407 section 3.2.3: who has sent a BYE still acknowledges a re-INVITE's 200
            session.ack(self.request)
            session.deliver(self.local(487))
            return
        session.unacked = self.request
        session.accepted(self, response)
        session.deliver(response)

    def refuse(self, response: Response) -> None:
        """A 3xx..6xx: the stack sends the ACK (RFC 3261 section 17.1.1.3)."""
        self.close()
        if self.first:
            self.dialogue.ends(STACK if response.local else PEER, response.code, response.headers)
        if not response.local:
            self.dialogue.ack(self.request)
        self.dialogue.refused(self, response)

    def cancel(self, cancel: Request | None) -> None:
        """The service gives up: its CANCEL (or ours, where the service has gone) goes out; the final response is
        waited for."""
        if self.first:
            self.dialogue.ends(US, 487, cancel.headers if cancel is not None else None)
        self._send_cancel(cancel)

    def no_answer(self, why: str | None) -> None:
        """No final response in time: CANCEL, and a local 408 to the service, once."""
        late = self.local(408)
        if self.first:
            self.dialogue.ends(STACK, 408, late.headers)
        reason = why or cause(408, "no answer in time")
        self._send_cancel(self.dialogue.related(CANCEL, self.request, {"Reason": reason}))
        self.dialogue.deliver(late)

    def crossed(self, response: Response) -> None:
        """A 200 crossed our CANCEL: without ACK and BYE it would leave a phone off the hook."""
        self.close()
        self.dialogue.ack(self.request)
        self.dialogue.crossed(self, response)

    def crossed_unseen(self, response: Response) -> None:
        """The same after the service was told 408."""
        self.close()
        self.dialogue.ack(self.request)
        self.dialogue.crossed(self, None)

    def refuse_unseen(self, response: Response) -> None:
        """A late 3xx..6xx only ends the session: the service was told 408."""
        self.close()
        if not response.local:
            self.dialogue.ack(self.request)
        self.dialogue.given_up(self)

    def unanswered(self, _: Any) -> None:
        """We cancelled, and nothing final arrived: the service gets a local 487."""
        self.close()
        self.dialogue.refused(self, self.local(487))

    def unanswered_unseen(self, _: Any) -> None:
        """Neither a final response nor anybody who waits for it."""
        self.close()
        self.dialogue.given_up(self)

    def overdue(self, why: str) -> None:
        """Its time is up, whatever the clock says."""
        self.step(EXPIRED, why)

    def _send_cancel(self, cancel: Request | None) -> None:
        self.layer.ringing_in_all.stop(self)
        if self.first:
            self.dialogue.step(CANCELLED, cancel)
        if self.refusal is None:  # an INVITE that can't be delivered is about to come back on its own
            self.wait(self.layer.cancelling)
            self.layer.send_request(cancel or self.dialogue.related(CANCEL, self.request))


S = InviteClient
S.START = CALLING
S.PATIENT = frozenset((CANCELLING, ABANDONED))
S.TABLE = {
    CALLING: {
        TRYING: (CALLING, S.absorb),
        PROVISIONAL: (PROCEEDING, S.ring),
        SUCCESS: (DONE, S.accept),
        FAILURE: (DONE, S.refuse),
        CANCELLED: (CANCELLING, S.cancel),
        EXPIRED: (ABANDONED, S.no_answer),
    },
    PROCEEDING: {
        TRYING: (PROCEEDING, S.absorb),
        PROVISIONAL: (PROCEEDING, S.ring),
        SUCCESS: (DONE, S.accept),
        FAILURE: (DONE, S.refuse),
        CANCELLED: (CANCELLING, S.cancel),
        EXPIRED: (ABANDONED, S.no_answer),
    },
    CANCELLING: {
        TRYING: (CANCELLING, S.absorb),
        PROVISIONAL: (CANCELLING, S.absorb),
        SUCCESS: (DONE, S.crossed),
        FAILURE: (DONE, S.refuse),
        CANCELLED: (CANCELLING, S.absorb),
        EXPIRED: (DONE, S.unanswered),
    },
    ABANDONED: {
        TRYING: (ABANDONED, S.absorb),
        PROVISIONAL: (ABANDONED, S.absorb),
        SUCCESS: (DONE, S.crossed_unseen),
        FAILURE: (DONE, S.refuse_unseen),
        CANCELLED: (ABANDONED, S.absorb),
        EXPIRED: (DONE, S.unanswered_unseen),
    },
    DONE: {},
}
