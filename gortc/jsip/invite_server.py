"""A received INVITE or re-INVITE: answering it, cancelling it, waiting for its ACK. docs/jsip.md section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from gortc.jsip.ended import GONE, PEER, STACK, US, cause
from gortc.jsip.message import Headers, Request, Response, response
from gortc.jsip.methods import ACK, CANCEL
from gortc.jsip.transaction import (
    ACKED,
    CANCELLED,
    EXPIRED,
    FAILURE,
    PROVISIONAL,
    REFUSED,
    SUCCESS,
    TRYING,
    Transaction,
)

if TYPE_CHECKING:
    from gortc.jsip.invite_session import InviteSession

PROCEEDING: Final = "proceeding"
QUIET: Final = "quiet"  # half of its time has passed, and the peer has heard nothing
LATE: Final = "late"  # its time is up, and that of the callee that was rung for it will be in a moment
ACCEPTED: Final = "accepted"  # RFC 6026: a 2xx went out, its ACK is awaited
COMPLETED: Final = "completed"  # a 3xx..6xx went out, its ACK is awaited
DONE: Final = "done"

MOMENT: Final = 1.0
"""A callee that is rung so many seconds after its caller has asked has as much time as the caller."""


class InviteServer(Transaction):
    """`dialogue` is its session; `first` tells the INVITE that opened it from a re-INVITE; `rang`, whether it has;
    `came_at` is when it came, on the clock."""

    __slots__ = ("came_at", "dialogue", "first", "rang")

    dialogue: InviteSession

    def begin(self) -> None:
        """It has just been received."""
        self.dialogue = session = cast("InviteSession", self.session)
        self.first = session.invited == 0 and not session.outgoing
        session.invited = self.request.cseq
        self.rang = False
        if self.first:
            self.layer.calls += 1
        self.wait(self.layer.quiet)
        self.came_at = self.layer.quiet.started(self)

    def ring(self, response: Response) -> None:
        """Each 1xx but 100 starts the 60 s again: the service knows how long its caller shall wait."""
        self.wait(self.layer.quiet)
        if self.first:
            if not self.rang:
                self.rang = True
                self.layer.post_dial.add(self.layer.quiet.started(self) - self.came_at)
            self.dialogue.step(PROVISIONAL, response)
        self.layer.below.send(response)

    def trying(self, response: Response) -> None:
        """The stack never sends 100: on a reliable channel it would say nothing."""
        self.layer.unexpected(self, TRYING, response)

    def accept(self, response: Response) -> None:
        """A 2xx is sent again until its ACK comes (RFC 3261 section 13.3.1.4); here it is only waited for."""
        self.wait(self.layer.unacked)
        if self.first:
            waited = self.layer.unacked.started(self) - self.came_at
            self.layer.set_up.add(waited)
            if not self.rang:
                self.layer.post_dial.add(waited)
        self.layer.below.send(response)
        self.dialogue.accepted(self, response)

    def refuse(self, response: Response) -> None:
        """A 3xx..6xx: its ACK is waited for and absorbed."""
        self.wait(self.layer.error_unacked)
        self.layer.below.send(response)
        if self.first:
            self.dialogue.ends(US, response.code, response.headers)
            self.dialogue.step(FAILURE, response)
        self.dialogue.finished(self, response)

    def cancelled(self, cancel: Request) -> None:
        """RFC 3261 section 9.2: the UAS answers the INVITE with 487; the CANCEL has been answered 200."""
        if self.first:
            self.dialogue.ends(PEER, 487, cancel.headers)
        self.answer(487)
        self.dialogue.deliver(cancel)

    def no_effect(self, cancel: Request) -> None:
        """RFC 3261 section 9.2: a CANCEL has no effect on a request that has got its final response."""

    def keep(self, _: Any) -> None:
        """RFC 3261 section 13.3.1.1: a caller must hear something now and then, where the callee that rings for it has
        more time left than itself."""
        # What has come over another node has a time of its own there, which its callee's service can't see (M-32).
        over_a_node = "Max-Forwards" in self.request.headers
        if self._callee_has(-MOMENT if over_a_node else self.layer.quiet.seconds + MOMENT):
            self._keep_waiting()
        else:
            self.wait(self.layer.quiet)  # the other half

    def last_moment(self, why: str | None) -> None:
        """The service learns first that the callee does not answer: it may ring another one, or say what it wants."""
        if why is None and self._callee_has(-MOMENT):
            self.wait(self.layer.late)
        else:
            self.no_answer(why)

    def keep_or_refuse(self, why: str | None) -> None:
        """It rings another one, or not."""
        if why is None and self._callee_has(MOMENT):
            self._keep_waiting()
        else:
            self.no_answer(why)

    def _keep_waiting(self) -> None:
        """183; but a caller that takes reliable responses only (RFC 3262 section 3) gets none that is not."""
        if "100rel" in str(self.request.headers.get("Require")):
            self.state = PROCEEDING
            self.wait(self.layer.quiet)
        else:
            self.step(PROVISIONAL, response(self.request, 183))

    def _callee_has(self, seconds: float) -> bool:
        """Whether a callee that rings for the peer has more than that left."""
        owner = self.dialogue.owner
        started = self.layer.timers.clock.seconds() - self.layer.ringing.seconds + seconds
        return self.first and owner is not None and owner.rings_on(started)

    def no_answer(self, why: str | None) -> None:
        """The service did not answer in time: 408, and the service is told as if the peer had cancelled. A re-INVITE
        gets 504, which ends nothing (RFC 5057 section 5.1)."""
        code = 408 if self.first else 504
        cancel = self._local(CANCEL, {"Reason": why or cause(408, "no answer in time")})
        if self.first:
            self.dialogue.ends(STACK, code, cancel.headers)
        self.answer(code)
        self.dialogue.deliver(cancel)

    def unheard(self, code: int) -> Request | None:
        """The peer gets 500 in the place of a response with `code`: what the service is told, where it believes else.

        To the first INVITE it is as if the peer had cancelled, and so it is while it rings. A re-INVITE that the
        service has accepted has an ACK, which is local: the call stays, as with a 2xx that crosses a CANCEL (RFC 6141).
        """
        if code >= 300:
            return None
        return self._local(ACK if code >= 200 and not self.first else CANCEL)

    def _local(self, method: str, headers: Headers | None = None) -> Request:
        made = self.dialogue.make(method, headers)
        made.local = True
        made.related = self.request
        return made

    def confirm(self, ack: Request) -> None:
        """The ACK to a 2xx goes to the service: it may carry an answer."""
        self.close()
        if self.first:
            self.dialogue.step(ACKED, ack)
        self.dialogue.deliver(ack)

    def peer_gone(self) -> None:
        """Nobody waits for our answer any more: to the service that is as if the peer had cancelled."""
        if self.unfinished:
            self.overdue(GONE)

    def overdue(self, why: str) -> None:
        """Its time is up, whatever the clock says."""
        self.state = QUIET
        self.step(EXPIRED, why)

    def unacked(self, _: Any) -> None:
        """RFC 3261 section 13.3.1.4: without an ACK for 64*T1 the session is terminated with a BYE."""
        self.close()
        self.dialogue.hang_up_both("no ACK")

    def unaccepted(self, reason: str) -> None:
        """A 2xx that the peer has refused, and got 500 for: without the first INVITE's there is no call."""
        self.close()
        if self.first:
            self.dialogue.end_talk(reason)
        else:
            self.dialogue.hang_up_talk(reason)

    def unrefused(self, reason: str) -> None:
        """A 3xx..6xx that the peer has refused, and got 500 for: that has an ACK as well."""

    def over(self, _: Any) -> None:
        """The ACK to a 3xx..6xx, or its time is up."""
        self.close()
        if self.first:
            self.dialogue.end()


S = InviteServer
S.START = PROCEEDING
S.PATIENT = frozenset((ACCEPTED,))
S.TABLE = {
    PROCEEDING: {
        TRYING: (PROCEEDING, S.trying),
        PROVISIONAL: (PROCEEDING, S.ring),
        SUCCESS: (ACCEPTED, S.accept),
        FAILURE: (COMPLETED, S.refuse),
        CANCELLED: (PROCEEDING, S.cancelled),
        EXPIRED: (QUIET, S.keep),
    },
    QUIET: {
        TRYING: (QUIET, S.trying),
        PROVISIONAL: (PROCEEDING, S.ring),
        SUCCESS: (ACCEPTED, S.accept),
        FAILURE: (COMPLETED, S.refuse),
        CANCELLED: (QUIET, S.cancelled),
        EXPIRED: (LATE, S.last_moment),
    },
    LATE: {
        TRYING: (LATE, S.trying),
        PROVISIONAL: (PROCEEDING, S.ring),
        SUCCESS: (ACCEPTED, S.accept),
        FAILURE: (COMPLETED, S.refuse),
        CANCELLED: (LATE, S.cancelled),
        EXPIRED: (LATE, S.keep_or_refuse),
    },
    ACCEPTED: {
        ACKED: (DONE, S.confirm),
        CANCELLED: (ACCEPTED, S.no_effect),
        EXPIRED: (DONE, S.unacked),
        REFUSED: (DONE, S.unaccepted),
    },
    COMPLETED: {
        ACKED: (DONE, S.over),
        CANCELLED: (COMPLETED, S.no_effect),
        EXPIRED: (DONE, S.over),
        REFUSED: (COMPLETED, S.unrefused),
    },
    DONE: {},
}
