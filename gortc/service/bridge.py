"""A bridge: two legs, each hearing what the other one says.

It carries re-INVITE, UPDATE, INFO, PRACK, MESSAGE and the like, their responses, the ACK and the CANCEL of a re-INVITE.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gortc.jsip.message import Request, Response
from gortc.jsip.methods import CANCEL, INVITE

if TYPE_CHECKING:
    from gortc.service.leg import Leg


class Bridge:
    """Relays between `one` and `other` as long as both live, from the moment it is made by `connect`."""

    def __init__(self, one: Leg, other: Leg) -> None:
        self.one = one
        self.other = other
        self._relayed: dict[Request, Request] = {}  # a re-INVITE received -> the one sent for it
        one.start_relay(other, partial(self._relay, one, other))
        other.start_relay(one, partial(self._relay, other, one))

    def _relay(self, source: Leg, target: Leg, request: Request) -> bool:
        if request.method == CANCEL:
            sent = request.related and self._relayed.get(request.related)
            if sent:
                target.cancel(sent)
            return True
        if target.session is None or target.over:
            source.reply(request, 480)
            return True
        task = source.call.task
        sent = task.request(target.session, request.method, headers=request.carried)
        if request.method == INVITE:
            self._relayed[request] = sent
        target.expect_answer(sent, partial(self._answered, source, target, request))
        return True

    def _answered(self, source: Leg, target: Leg, request: Request, response: Response) -> None:
        if response.code >= 200:
            self._relayed.pop(request, None)
        if request.method == INVITE and 200 <= response.code < 300:
            transaction = request.session.transactions.get(-request.cseq)
            if transaction is not None and transaction.unfinished:
                source.expect_ack(request, partial(_pass_ack, target, response.request))
            else:  # the peer cancelled it meanwhile; the other one has accepted it all the same
                _pass_ack(target, response.request, None)
        if not source.over:
            source.reply(request, response.code, headers=response.carried)


def _pass_ack(target: Leg, invite: Request, ack: Request | None) -> None:
    if not target.over:
        target.call.task.ack(invite, headers=ack.carried if ack is not None else None)


def connect(one: Leg, other: Leg) -> None:
    """Let two legs hear each other; those that do already go on, with what they have open."""
    if one.peer is not other or other.peer is not one:
        Bridge(one, other)
