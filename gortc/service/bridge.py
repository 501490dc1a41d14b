"""A bridge: two legs, each hearing what the other one says.

It carries re-INVITE, UPDATE, INFO, PRACK, MESSAGE and the like, their responses, the ACK and the CANCEL of a re-INVITE.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from gortc.jsip.ended import cause
from gortc.jsip.message import Headers, Request, Response, onward
from gortc.jsip.methods import CANCEL, INVITE, PRACK
from gortc.service.early import acknowledges

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.service.leg import Leg

ELSEWHERE: Final = {404: 504, 408: 504, 480: 503, 481: 504}
"""What the stack says of one leg, and what the other one gets: those codes would end its dialogue, which has done
nothing wrong; these end nothing (RFC 5057 section 5.1)."""


class Bridge:
    """Relays between `one` and `other` as long as both live, from the moment it is made by `connect`; one that is to do
    so `until_answer`, until the caller, `one`, is answered."""

    def __init__(self, one: Leg, other: Leg, until_answer: bool) -> None:
        self.one = one
        self.other = other
        self.until_answer = until_answer
        self._relayed: dict[Request, Request] = {}  # a re-INVITE received -> the one sent for it
        self._numbers: tuple[Session, int, int] | None = None
        """The latest re-INVITE that was relayed: where it came from, its CSeq there, and where it went."""
        one.join(self, other)
        other.join(self, one)

    def undo(self) -> None:
        """Relay no more."""
        self.one.leave(self)
        self.other.leave(self)

    def relay(self, source: Leg, request: Request) -> None:
        """Take a request of one of the two to the other."""
        target = self.other if source is self.one else self.one
        if request.method == CANCEL:
            sent = request.related and self._relayed.get(request.related)
            if sent:
                target.cancel(sent, request.carried)
            return
        if request.method == PRACK:
            self._acknowledge(source, target, request)
            return
        if self.until_answer and not target.hears and source.early is not None:
            rings = source.early.somebody()
            if rings is not None:
                Bridge(source, rings, True).relay(source, request)
                return
        self._pass(source, target, request, onward(request))

    def _pass(self, source: Leg, target: Leg, request: Request, headers: Headers) -> None:
        if target.session is None or target.over or (self.until_answer and not target.hears):
            source.reply(request, 491 if self.until_answer else 480)  # another one may ring in a moment
        else:
            self._ask(source, target, request, headers, False)

    def _acknowledge(self, source: Leg, target: Leg, prack: Request) -> None:
        """RAck is a response's RSeq, the INVITE's CSeq and INVITE (RFC 3262 section 7.2), which differ leg by leg. That
        of a caller who has several callees goes to the one whose response it means."""
        number, invite = acknowledges(prack)
        headers, early = prack.carried, source.early
        if self._numbers is not None and self._numbers[:2] == (prack.session, invite):
            headers["RAck"] = f"{number} {self._numbers[2]} INVITE"
            return self._pass(source, target, prack, headers)
        if early is None or not early.numbers:
            if invite == source.request.cseq and target.session is not None:
                headers["RAck"] = f"{number} {target.request.cseq} INVITE"
            return self._pass(source, target, prack, headers)
        whose = early.acknowledged(number) if invite == source.request.cseq else None
        if whose is None:
            return source.reply(prack, 481)  # RFC 3262 section 3
        leg, number = whose
        if leg is None:
            return _has_heard(source, prack)
        headers["RAck"] = f"{number} {leg.request.cseq} INVITE"
        self._ask(source, leg, prack, headers, False)

    def _ask(self, source: Leg, target: Leg, request: Request, headers: Headers, again: bool) -> None:
        assert target.session is not None
        sent = source.call.task.request(target.session, request.method, headers=headers)
        if request.method == INVITE:
            self._relayed[request] = sent
            self._numbers = request.session, request.cseq, sent.cseq
        target.expect_answer(sent, partial(self._answered, source, target, request, again))

    def _answered(self, source: Leg, target: Leg, request: Request, again: bool, response: Response) -> None:
        code = response.code
        if code == 423 and not again and source.waits_for(request) and (least := target.interval_wanted(response)):
            self._ask(source, target, request, {**request.carried, "Expire": least}, True)
            return
        if code >= 200:
            self._relayed.pop(request, None)
        if request.method == INVITE and 200 <= code < 300:
            transaction = request.session.transactions.get(-request.cseq)
            if transaction is not None and transaction.unfinished:
                source.expect_ack(request, partial(_pass_ack, target, response.request))
            else:  # the peer cancelled it meanwhile; the other one has accepted it all the same
                _pass_ack(target, response.request, None)
        if source.over:
            return
        if response.local and code >= 300 and request.method == PRACK and source.early is not None:
            _has_heard(source, request)
            return
        carried = response.carried
        # Before the answer another callee may ring: what a callee says of its own dialogue ends no other.
        ends_its_own = source.ringing and code in (408, 481) and request.method != PRACK
        if (response.local or ends_its_own) and code in ELSEWHERE:
            carried.setdefault("Reason", cause(code, "the other side has not answered"))
            code = ELSEWHERE[code]
        source.reply(request, code, headers=carried)
        if request.method == INVITE and source.away:
            source.wait_for_return()


def _has_heard(caller: Leg, prack: Request) -> None:
    """RFC 3262 section 3: a PRACK of a response that was sent gets a 2xx, whatever has become of whose it was. One that
    makes an offer has nobody to answer it."""
    caller.reply(prack, 488 if "Body" in prack.headers else 200)


def _pass_ack(target: Leg, invite: Request, ack: Request | None) -> None:
    if not target.over:
        target.call.task.ack(invite, headers=ack.carried if ack is not None else None)


def connect(one: Leg, other: Leg) -> None:
    """Let two legs hear each other; those that do already go on, with what they have open."""
    bridge = one.bridge
    if bridge is not None and other.bridge is bridge:
        bridge.until_answer = False
    else:
        Bridge(one, other, False)


def connect_early(caller: Leg, callee: Leg) -> None:
    """Let a caller and who rings hear each other until the answer, unless their service has said who hears whom."""
    for leg in (caller, callee):
        if leg.reads or (leg.bridge is not None and not leg.bridge.until_answer):
            return
    if caller.peer is not callee:
        Bridge(caller, callee, True)
