"""A phone: one call at a time, and short messages. Commands in, lines for whoever has it in hand out.

It is a service on an `Endpoint`, without terminal and socket: a coroutine for each call, and `TABLE`, which says what
each command does in each state.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gortc.client.sdp import CONTENT, Media
from gortc.jsip.message import Request, Response
from gortc.jsip.methods import INFO, INVITE, MESSAGE, OPTIONS, PRACK, UPDATE
from gortc.jsip.timers import TimerQueue
from gortc.jsip.uri import BadURI, parse
from gortc.service.call import Call
from gortc.service.context import Context
from gortc.service.leg import Leg
from gortc.service.outcome import LegFailed
from gortc.service.plugin import service

# States.
IDLE = "idle"
CALLING = "calling"
RINGING = "ringing"
TALKING = "talking"
HOLDING = "holding"
"""We have put the other one on hold."""
HELD = "held"
"""The other one has put us on hold."""
LEAVING = "hanging up"

ANSWER = 200
BUSY = 486

ALLOW = "INVITE, ACK, BYE, CANCEL, INFO, MESSAGE, OPTIONS, PRACK, UPDATE"
TEXT = {"Content-Type": "text/plain"}
QUIT_MAX = 5.0
"""How long a phone that was told to quit waits for the answers to what it has sent, in seconds."""


class Disconnected(Exception):
    """The connection to the server has gone; the text says why."""


class Phone:
    """The phone of `user`, user@host. `tell(line)` is told what happens.

    `to` is whom it calls unless told otherwise; `pick_up` is after how many seconds it answers by itself. `logic` is
    for its `Endpoint`. `gone` fires once it was told to quit and has no more to do; it fails with Disconnected.
    Raises BadURI.
    """

    def __init__(
        self, user: str, tell: Callable[[str], object], to: str | None = None, pick_up: float | None = None
    ) -> None:
        if parse(user).user is None:
            raise BadURI(f"not user@host: {user!r}")
        self.user = user
        self.to = None if to is None else self._address(to)
        self.state = IDLE
        self.gone: Deferred[None] = Deferred()
        self.logic = service("phone", self._load)(self._serve)
        self._tell = tell
        self._pick_up = pick_up
        self._context: Context
        self._running = 0
        self._quitting = False
        self._patience: TimerQueue[Phone] | None = None
        self._leg: Leg | None = None
        self._party = ""
        self._media = Media()
        self._decision: Deferred[int] | None = None

    def obey(self, line: str) -> None:
        """Do what a line says: a command, and what it takes."""
        line = line.strip()
        name = next((name for name in NAMES if line == name or line.startswith(f"{name} ")), None)
        if name is not None:
            command = NAMES[name]
            action = TABLE[self.state].get(command)
            if action is not None:
                action(self, line[len(name) :].strip())
            else:
                self._tell(f"can't {command}: {self.state}")
        elif line:
            self._tell(f"no such command: {line.split()[0]}; there are {', '.join(USAGE)}")

    def lost(self, reason: str) -> None:
        """The connection has gone for `reason`; the endpoint has ended the call."""
        if not self.gone.called:
            self.gone.errback(Disconnected(reason))

    # commands

    def call(self, uri: str) -> None:
        """`call [URI]`."""
        try:
            self.to = self._address(uri) if uri else self.to
        except BadURI as bad:
            self._tell(str(bad))
        else:
            if self.to is None:
                self._tell("call whom?")
            else:
                self._context.start(play=partial(self._dial, self.to))

    def answer(self, _: str) -> None:
        """`answer`."""
        self._decide(ANSWER)

    def reject(self, code: str) -> None:
        """`reject [CODE]`."""
        if not code:
            self._decide(BUSY)
        elif code.isdecimal() and 300 <= int(code) < 700:
            self._decide(int(code))
        else:
            self._tell(f"{code} refuses no call: 300 to 699 do")

    def hold(self, _: str) -> None:
        """`hold`."""
        self._start("hold", self._offer(True))

    def resume(self, _: str) -> None:
        """`resume`."""
        self._start("resume", self._offer(False))

    def message(self, text: str) -> None:
        """`message TEXT`: in the call where it is answered, else to whom it is with, else to whom `call` would call."""
        party = self.to if self._leg is None else self._party
        if not text:
            self._tell("message what?")
        elif self.state in TALK:
            self._start("message", self._send(MESSAGE, text))
        elif party is None:
            self._tell("message whom?")
        else:
            self._context.start(play=partial(self._write, party, text))

    def info(self, text: str) -> None:
        """`info TEXT`."""
        if not text:
            self._tell("info what?")
        else:
            self._start("info", self._send(INFO, text))

    def hang_up(self, _: str = "") -> None:
        """`hang up`: BYE, CANCEL or a refusal, as the state asks."""
        if self.state == RINGING:
            self._decide(BUSY)
        elif self._leg is not None:
            self.state = LEAVING
            self._leg.hang_up()

    def help(self, _: str) -> None:
        """`help`: what can be said now."""
        for command, usage in USAGE.items():
            if command in TABLE[self.state]:
                self._tell(usage)

    def quit(self, _: str = "") -> None:
        """`quit`: hang up, and wait a little for the answers to what was sent."""
        if not self._quitting:
            self._quitting = True
            self._patience = self._context.timers.start(QUIT_MAX, Phone._leave, self)
            self.hang_up()
            self._rest()

    # what it serves

    def _load(self, context: Context) -> None:
        self._context = context

    async def _serve(self, call: Call) -> None:
        """One call or message, ours or another's."""
        self._running += 1
        try:
            await call.details.get("play", self._take_first)(call)
        finally:
            self._running -= 1
            self._rest()

    def _rest(self) -> None:
        if self._quitting and not self._running:
            self._leave()

    def _leave(self) -> None:
        if self._patience is not None:
            self._patience.stop(self)
        if not self.gone.called:
            self.gone.callback(None)

    async def _take_first(self, call: Call) -> None:
        leg = call.caller
        if leg.method != INVITE:
            self._take(leg, leg.request)
        elif self.state != IDLE or self._quitting:
            self._tell(f"{leg.caller} calls: busy")
            leg.reject(BUSY)
        else:
            await self._ring(call, leg)

    # a call that comes

    async def _ring(self, call: Call, leg: Leg) -> None:
        hears = self._begin(RINGING, leg, leg.caller)
        ending = f"the call with {leg.caller} is over"
        try:
            self._tell(f"{leg.caller} calls: answer or reject")
            leg.ring()
            code = await self._decided(call)
            if code == ANSWER:
                await self._pick_it_up(leg)
                await hears
            else:
                leg.reject(code)
                ending = f"{leg.caller} was refused: {code}"
        except LegFailed as failure:
            ending = f"{leg.caller}: {_why(failure)}"
        except CancelledError:
            ending = f"{leg.caller} has given up"
            raise
        finally:
            self._over(ending)

    async def _decided(self, call: Call) -> int:
        """What to do with the call that rings: the code of its answer."""
        decision: Deferred[int] = Deferred()
        self._decision = decision
        queue = None
        if self._pick_up is not None:
            queue = call.timers.start(self._pick_up, _answer, decision)
        try:
            return await decision
        finally:
            self._decision = None
            if queue is not None:
                queue.stop(decision)

    def _decide(self, code: int) -> None:
        assert self._decision is not None, "nothing rings"
        self._decision.callback(code)

    async def _pick_it_up(self, leg: Leg) -> None:
        media, offer = self._media, leg.offer
        acked = leg.answer(media.offer() if offer is None else media.answer(offer), CONTENT)
        self._talk()
        ack = await acked
        if offer is None:  # RFC 3261 section 13.2.1: ours was the offer, so the answer is in the ACK
            media.agree(ack.body)
            if media.held:
                self._talk()

    # a call that goes

    async def _dial(self, uri: str, call: Call) -> None:
        leg = call.leg(uri, self.user, uri)
        hears = self._begin(CALLING, leg, uri)
        ending = f"the call with {uri} is over"
        try:
            self._tell(f"calling {uri}")
            answer = await leg.invite(self._media.offer(), ringing=self._rings, headers=CONTENT)
            leg.ack(answer)
            self._media.agree(answer.body)
            self._talk()
            await hears
        except LegFailed as failure:
            ending = f"{uri}: {_why(failure)}"
        finally:
            self._over(ending)

    def _rings(self, response: Response) -> None:
        self._tell(f"{self._party}: {response.code} {response.get('Desc')}")

    # either

    def _begin(self, state: str, leg: Leg, party: str) -> Deferred[None]:
        """A call begins. Returns what fires when its leg is over and all was heard that the other one has said."""
        self.state, self._leg, self._party, self._media = state, leg, party, Media()
        return Deferred.fromCoroutine(self._hear(leg))

    def _over(self, ending: str) -> None:
        self.state, self._leg = IDLE, None
        self._tell(ending)

    def _talk(self) -> None:
        """It is answered, or somebody holds or resumes."""
        media, party = self._media, self._party
        if self.state != LEAVING:
            self.state = HOLDING if media.holding else HELD if media.held else TALKING
            self._tell(_SAID[media.holding, media.held].format(party))

    async def _hear(self, leg: Leg) -> None:
        """Take what the other one sends in the call, until it is over."""
        async for request in leg.requests:
            self._take(leg, request)

    def _take(self, leg: Leg, request: Request) -> None:
        """Answer a request, of a call or alone."""
        method = request.method
        if method in (INVITE, UPDATE):
            self._take_offer(leg, request)
        elif method in (INFO, MESSAGE):
            party = self._party if leg is self._leg else leg.caller
            text = request.body if isinstance(request.body, str) else orjson.dumps(request.body).decode()
            self._tell(f"{party} {'says' if method == MESSAGE else 'informs'}: {text}")
            leg.reply(request)
        elif method in (OPTIONS, PRACK):
            leg.reply(request, headers={"Allow": ALLOW})
        else:
            leg.reply(request, 405, headers={"Allow": ALLOW})

    def _take_offer(self, leg: Leg, request: Request) -> None:
        """Answer an offer; a re-INVITE without one asks for ours, which says nothing new."""
        media = self._media
        if request.body is None:
            leg.reply(request, 200, media.offer(media.holding), CONTENT)
            return
        held = media.held
        leg.reply(request, 200, media.answer(request.body), CONTENT)
        if media.held != held and self.state in TALK:
            self._talk()

    async def _offer(self, holding: bool) -> None:
        """RFC 3264 section 8.4: a re-INVITE puts on hold, or takes off."""
        leg, media = self._leg, self._media
        assert leg is not None, "there is no call"
        answer = await leg.invite(media.offer(holding), headers=CONTENT)
        leg.ack(answer)
        media.agree(answer.body, holding)
        self._talk()

    async def _send(self, method: str, text: str, leg: Leg | None = None) -> None:
        leg = leg or self._leg
        assert leg is not None, "there is no call"
        await leg.send(method, text, TEXT)
        self._tell(f"{method.lower()}: delivered")

    async def _write(self, uri: str, text: str, call: Call) -> None:
        """A MESSAGE out of a call."""
        try:
            await self._send(MESSAGE, text, call.leg(uri, self.user, uri))
        except LegFailed as failure:
            self._tell(f"message: {_why(failure)}")

    def _start(self, command: str, doing: Coroutine[Any, Any, None]) -> None:
        """Do it beside the call; a failure is told, and leaves the call as it was."""

        def failed(failure: Failure) -> None:
            failure.trap(LegFailed, CancelledError)
            if isinstance(failure.value, LegFailed):
                self._tell(f"{command}: {_why(failure.value)}")

        Deferred.fromCoroutine(doing).addErrback(failed)

    def _address(self, uri: str) -> str:
        """`uri`, at our own host where it names none. Raises BadURI."""
        if "@" not in uri:
            uri = f"{uri}@{parse(self.user).host}"
        parse(uri)
        return uri


_SAID = {
    (False, False): "talking to {}",
    (True, False): "{} is on hold",
    (False, True): "held by {}",
    (True, True): "{} is on hold, and holds, too",
}
"""Whether we hold, whether the other one does -> what is told."""


def _answer(decision: Deferred[int]) -> None:
    decision.callback(ANSWER)


def _why(failure: LegFailed) -> str:
    reason = failure.response and failure.response.get("Reason")
    return f"{failure} ({reason})" if reason else str(failure)


USAGE = {
    "call": "call [URI], c: call, the last one where no URI is given",
    "answer": "answer, a: take the call",
    "reject": "reject [CODE], r: refuse it, with 486 Busy Here or another code",
    "hold": "hold: put the other one on hold",
    "resume": "resume: talk again",
    "message": "message TEXT, m: send a message, to the other one in a call, else to whom call would call",
    "info": "info TEXT, i: send an INFO in the call",
    "hang up": "hang up, h: end the call",
    "help": "help, ?: what can be said now",
    "quit": "quit, q: hang up and leave",
}
NAMES = {
    **{command: command for command in USAGE},
    "c": "call", "a": "answer", "r": "reject", "m": "message", "i": "info", "h": "hang up", "?": "help", "q": "quit",
}  # fmt: skip
"""What may be typed -> the command."""

P = Phone
Action = Callable[[Phone, str], object]
_ALWAYS: dict[str, Action] = {"message": P.message, "help": P.help, "quit": P.quit}
_TALK: dict[str, Action] = {**_ALWAYS, "info": P.info, "hang up": P.hang_up}
TABLE: dict[str, dict[str, Action]] = {
    IDLE: {**_ALWAYS, "call": P.call},
    CALLING: {**_ALWAYS, "hang up": P.hang_up},
    RINGING: {**_ALWAYS, "answer": P.answer, "reject": P.reject, "hang up": P.hang_up},
    TALKING: {**_TALK, "hold": P.hold},
    HELD: {**_TALK, "hold": P.hold},
    HOLDING: {**_TALK, "resume": P.resume},
    LEAVING: _ALWAYS,
}
TALK = (TALKING, HELD, HOLDING)
