"""A received request but INVITE, ACK and CANCEL, until we have answered it. docs/jsip.md section 3."""

from __future__ import annotations

from typing import Any, Final

from gortc.jsip.ended import STACK
from gortc.jsip.message import Response
from gortc.jsip.transaction import EXPIRED, FAILURE, PROVISIONAL, SUCCESS, TRYING, Transaction

UNANSWERED: Final = "unanswered"
PROCEEDING: Final = "proceeding"
DONE: Final = "done"


class RequestServer(Transaction):
    """Waits for the service's answer, and answers 408 where none comes in time."""

    __slots__ = ()

    def begin(self) -> None:
        """It has just been received."""
        self.wait(self.layer.unanswered)

    def proceed(self, response: Response) -> None:
        """Any provisional response gives the service more time, once."""
        self.wait(self.layer.provisional)
        self.layer.below.send(response)

    def progress(self, response: Response) -> None:
        """A further provisional response."""
        self.layer.below.send(response)

    def finish(self, response: Response) -> None:
        """One final response, and it is over: the channel is reliable, so nothing lingers."""
        self.close()
        self.layer.below.send(response)
        self.session.finished(self, response)

    def give_up(self, _: Any) -> None:
        """The service did not answer in time: 408. In a call 504, which ends nothing (RFC 5057 section 5.1): the
        service may have waited for another leg, which has nothing to do with this one."""
        if not self.session.lone:
            self.answer(504)
            return
        self.session.ended = STACK, 408, None
        self.answer(408)


S = RequestServer
S.START = UNANSWERED
S.TABLE = {
    UNANSWERED: {
        TRYING: (PROCEEDING, S.proceed),
        PROVISIONAL: (PROCEEDING, S.proceed),
        SUCCESS: (DONE, S.finish),
        FAILURE: (DONE, S.finish),
        EXPIRED: (UNANSWERED, S.give_up),
    },
    PROCEEDING: {
        TRYING: (PROCEEDING, S.progress),
        PROVISIONAL: (PROCEEDING, S.progress),
        SUCCESS: (DONE, S.finish),
        FAILURE: (DONE, S.finish),
        EXPIRED: (PROCEEDING, S.give_up),
    },
    DONE: {},
}
