"""The storey of sessions. docs/jsip.md sections 3 and 4.

It opens a session for a received first request or for one of the service's, and answers what belongs to none. Each
channel keeps the table of its sessions, DialogueID -> session, and a session knows its owner: one look-up takes a
message from its frame to its service.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gortc.jsip.gate import Gate
from gortc.jsip.invite_session import InviteSession
from gortc.jsip.layers import Channel, Dispatch, Journal, Owner
from gortc.jsip.memory import SESSION
from gortc.jsip.message import NAME_MAX, Headers, Request, Response
from gortc.jsip.methods import ACK, INVITE, OPENERS, STARTERS
from gortc.jsip.request_session import RequestSession
from gortc.jsip.session import Session
from gortc.jsip.syntax import BadMessage
from gortc.jsip.timers import TimerQueue, Timers
from gortc.jsip.times import Times
from gortc.jsip.uri import BadURI, parse

if TYPE_CHECKING:
    from gortc.jsip.syntax import Syntax
    from gortc.jsip.transactions import Transactions

Route = Callable[[str, Owner], Channel]

HOPS: Final = 70
"""The `Max-Forwards` of a first request to another node that has none."""


class Sessions:
    """The storey between transactions and dispatch."""

    above: Dispatch
    below: Transactions

    def __init__(
        self,
        timers: Timers,
        times: Times,
        journal: Journal,
        syntax: Syntax,
        route: Route,
        besieged: Channel,
        realm: str,
        gate: Gate,
    ) -> None:
        """`route(uri, owner)` finds the channel for a first request, which may be one that delivers nothing; `besieged`
        is in the place of one that others have opened too many dialogues to."""
        self.timers = timers
        self.times = times
        self.journal = journal
        self.route = route
        self._besieged = besieged
        self.realm = realm
        self.gate = gate
        self.count = 0
        self.opened = 0
        self.own_refused: TimerQueue[Response] = timers.queue(0, give_back)
        self._syntax = syntax

    @property
    def frame_max(self) -> int:
        """So many bytes a message has at most, as it is written."""
        return self._syntax.frame_max

    # up

    def open(self, channel: Channel, request: Request) -> Session | None:
        """A session for a received request that belongs to none; None where it may not start one."""
        method = request.method
        if method not in STARTERS:
            if method == ACK:
                self.journal.counts["stray ACK"] += 1  # mostly that of an INVITE which the gate has turned away
            else:
                self._syntax.answer(channel, request, 481)
            return None
        gate = self.gate
        if (channel.guest is not None or gate.full()) and gate.turns_away(channel, request, first=True):
            return None
        gate.admitted += 1
        headers = request.headers
        uri: str = headers["Request-URI"]
        if "Max-Forwards" in headers and headers["Max-Forwards"] == 0:  # RFC 3261 section 16.3 step 3
            self._syntax.answer(channel, request, 483)
            return None
        try:
            parse(uri)
        except BadURI as bad:
            self._syntax.refuse(channel, headers, BadMessage(f"Request-URI: {bad}"))
            return None
        self.opened += 1
        caller, callee, dialogue_id = request.caller, request.callee, request.dialogue_id
        session: Session  # each by its own name: compiled, a class in a variable is slow to call
        if method == INVITE:
            session = InviteSession(self, channel, dialogue_id, uri, caller, callee, outgoing=False)
        else:
            session = RequestSession(self, channel, dialogue_id, uri, caller, callee, outgoing=False)
        if request.held is not None:
            session.charge(request.held.account, SESSION)
        return session

    # down

    def answer(self, request: Request, code: int) -> None:
        """Answer a request that has no transaction."""
        self._syntax.answer(request.session.channel, request, code)

    def create(self, owner: Owner, method: str, uri: str, caller: str, callee: str, headers: Headers) -> Request:
        """The first request of a new session to `uri`, not sent yet. Its `session` belongs to `owner`.

        It goes to the first `Router` URI of `headers`, else to `uri`. Raises BadURI, ValueError where `method` opens no
        session or `headers` has what is not the service's to say, and TypeError where `caller` or `callee` is no text.
        """
        if method not in OPENERS:
            raise ValueError(f"{method!r} opens no session: {', '.join(sorted(OPENERS))} do")
        if "Request-URI" in headers:
            raise ValueError("the Request-URI of what opens a session is whom it goes to")
        if type(caller) is not str or type(callee) is not str:
            raise TypeError("From and To are texts")
        if len(caller) > NAME_MAX or len(callee) > NAME_MAX:
            raise ValueError(f"From and To have {NAME_MAX} characters at most")
        router = headers.get("Router")
        if router is not None and type(router) is not str:
            raise ValueError(f"Router must be a string, not {router!r}")
        if router:
            parse(uri)
        channel = self.route(router.split(",", 1)[0].strip() if router else uri, owner)
        if channel.guest is not None and self.gate.is_besieged(channel, owner):
            channel = self._besieged
        if channel.elsewhere and "Max-Forwards" not in headers:
            headers["Max-Forwards"] = HOPS  # RFC 3261 section 8.1.1.6
        dialogue_id = f"dlg_{self.realm}_{os.urandom(16).hex()}"
        session: Session
        if method == INVITE:
            session = InviteSession(self, channel, dialogue_id, uri, caller, callee, outgoing=True)
        else:
            session = RequestSession(self, channel, dialogue_id, uri, caller, callee, outgoing=True)
        session.owner = owner
        try:
            request = session.make(method, headers)
        except ValueError:
            session.owner = None
            session.end()
            raise
        self.opened += 1
        return request

    def close(self, session: Session) -> None:
        """`session` is over: drop its row, tell its owner."""
        session.over = True
        self.count -= 1
        channel = session.channel
        del channel.sessions[session.dialogue_id]
        if not channel.sessions:
            channel.release()
        if session.owner is not None:
            session.owner.left(session)


def give_back(refused: Response) -> None:
    """Tell the service that its request was not sent."""
    owner = refused.session.owner
    assert owner is not None  # it was a service that sent the request
    owner.receive(refused)
