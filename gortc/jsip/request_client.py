"""A sent request but INVITE and ACK, until its final response. docs/jsip.md section 3."""

from __future__ import annotations

from typing import Any, Final

from gortc.jsip.message import Response
from gortc.jsip.transaction import EXPIRED, FAILURE, PROVISIONAL, SUCCESS, TRYING, Transaction

UNANSWERED: Final = "unanswered"
PROCEEDING: Final = "proceeding"
DONE: Final = "done"


class RequestClient(Transaction):
    """Waits for the peer's answer, and gives a local 408 where none comes in time."""

    __slots__ = ()

    def begin(self) -> None:
        """It is about to be sent."""
        self.wait(self.layer.unanswered)

    def trying(self, _: Response) -> None:
        """100 gives more time as any provisional response does, and ends here."""
        self.wait(self.layer.provisional)

    def proceed(self, response: Response) -> None:
        """Any provisional response gives the peer more time, once."""
        self.wait(self.layer.provisional)
        self.session.progress(self, response)

    def progress(self, response: Response) -> None:
        """A further provisional response."""
        self.session.progress(self, response)

    def absorb(self, _: Response) -> None:
        """A further 100."""

    def finish(self, response: Response) -> None:
        """The final response."""
        self.close()
        self.session.answered(self, response)

    def give_up(self, _: Any) -> None:
        """The peer did not answer in time: local 408."""
        self.step(FAILURE, self.local(408))


S = RequestClient
S.START = UNANSWERED
S.PATIENT = frozenset((UNANSWERED, PROCEEDING))
S.TABLE = {
    UNANSWERED: {
        TRYING: (PROCEEDING, S.trying),
        PROVISIONAL: (PROCEEDING, S.proceed),
        SUCCESS: (DONE, S.finish),
        FAILURE: (DONE, S.finish),
        EXPIRED: (UNANSWERED, S.give_up),
    },
    PROCEEDING: {
        TRYING: (PROCEEDING, S.absorb),
        PROVISIONAL: (PROCEEDING, S.progress),
        SUCCESS: (DONE, S.finish),
        FAILURE: (DONE, S.finish),
        EXPIRED: (PROCEEDING, S.give_up),
    },
    DONE: {},
}
