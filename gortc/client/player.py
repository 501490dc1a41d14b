"""Plays a scenario: sends what it says, compares what comes, and tells the first step that went wrong.

It works on the raw messages and keeps no rule of the protocol, so that a scenario can do wrong on purpose and no
mistake of the server's stack is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import orjson
from attrs import define, frozen

from gortc.client.ladder import SERVER, Ladder
from gortc.client.match import BadPattern, Variables, differences, fill
from gortc.client.scenario import (
    ALL,
    RESPONSE,
    AnyOrder,
    Closed,
    Connect,
    Disconnect,
    Expect,
    Nothing,
    Party,
    Pause,
    Repeat,
    Scenario,
    Send,
    Step,
)
from gortc.client.venue import Line, Venue
from gortc.jsip.message import Headers
from gortc.jsip.methods import ACK, CANCEL, INVITE
from gortc.jsip.status import phrase

Watch = Callable[[float, str, str, Any], None]


@frozen
class Wrong(Exception):
    """A step that went wrong: where, what was expected, what came instead, and how the two differ."""

    where: str
    expected: str
    received: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.where}", f"  expected  {self.expected}", f"  received  {self.received}"]
        return "\n".join([*lines, *(f"            {detail}" for detail in self.details)])


@define
class Outcome:
    """How it went: `wrong` is None where all went as it should.

    `setup` is the time from the first request sent to its first final response, in seconds, and `code` that
    response's; `seconds` the time in all.
    """

    scenario: Scenario
    ladder: Ladder
    wrong: Wrong | None = None
    seconds: float = 0.0
    setup: float | None = None
    code: int | None = None


class Talk:
    """A dialogue as a party has it: `first` is its first request, `ours` whether the party sent it."""

    def __init__(self, first: Headers, ours: bool) -> None:
        self.first = first
        self.ours = ours
        self.cseq = 0
        self.invite_cseq = 0
        self.received: list[Headers] = []
        self.answered: list[Headers] = []
        self.sent: dict[Any, set[str]] = {}
        if ours:
            self.note_sent(first)

    def note_sent(self, request: Headers) -> None:
        """The party has sent a request."""
        cseq = request.get("CSeq")
        if isinstance(cseq, int):
            self.cseq = max(self.cseq, cseq)
            self.sent.setdefault(cseq, set()).add(request["Type"])
            if request["Type"] == INVITE:
                self.invite_cseq = cseq

    def next_headers(self, method: str) -> Headers:
        """The headers of the party's next request."""
        first = self.first
        made = {
            "Type": method,
            "Request-URI": first.get("Request-URI"),
            "From": first.get("From"),
            "To": first.get("To"),
            "DialogueID": first.get("DialogueID"),
            "CSeq": self.cseq + 1,
        }
        if method in (ACK, CANCEL) and self.invite_cseq:
            made["RelatedID"] = self.invite_cseq
        return made

    def to_answer(self, method: str | None) -> Headers | None:
        """The last request received (of that method) without a final answer; else the last one."""
        asked = [request for request in self.received if method in (None, request["Type"])]
        waiting = [request for request in asked if not any(request is done for done in self.answered)]
        found = waiting or asked
        return found[-1] if found else None


class Seat:
    """A party at play."""

    def __init__(self, name: str, user: str) -> None:
        self.name = name
        self.user = user
        self.line: Line | None = None
        self.inbox: list[Any] = []
        self.talks: dict[Any, Talk] = {}
        self.named: dict[str, Talk] = {}
        self.current: Talk | None = None

    def open(self, talk: Talk, name: str | None) -> None:
        """A dialogue begins."""
        self.talks[talk.first.get("DialogueID")] = talk
        self.turn_to(talk, name)

    def turn_to(self, talk: Talk, name: str | None) -> None:
        """It is this dialogue now."""
        self.current = talk
        if name is not None:
            self.named[name] = talk


class Player:
    """One playing of one scenario at a `venue`.

    `users` may name parties' users; else they are `NAME@REALM`. `watch(time, source, target, message)` is called with
    each message, sent or received. Raises BadPattern where a variable's own value can't be filled in.
    """

    def __init__(
        self,
        scenario: Scenario,
        venue: Venue,
        realm: str,
        users: Mapping[str, str] | None = None,
        variables: Mapping[str, Any] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.venue = venue
        self.realm = realm
        self.outcome = Outcome(scenario, Ladder())
        self.seats: dict[str, Seat] = {}
        self.variables: Variables = {"realm": realm, "play": uuid4().hex, **(variables or {})}
        self._first: tuple[Any, Any, float] | None = None
        self._watch = watch
        self._entered = False
        for party in scenario.parties:
            user = (users or {}).get(party.name) or self._user(party)
            self.seats[party.name] = Seat(party.name, user)
            self.variables[party.name] = user
        for name, value in scenario.variables.items():
            self.variables.setdefault(name, fill(value, self.variables))

    async def connect(self) -> None:
        """Connect the parties, once; `play` does it where nobody has. Where it fails, that is the outcome."""
        if self._entered:
            return
        self._entered = True
        try:
            for party in self.outcome.scenario.parties:
                if party.connected:
                    await self._connect(Connect("", party.name))
        except Wrong as wrong:
            self.outcome.wrong = wrong

    async def play(self) -> Outcome:
        """Play it to its end or to the first wrong step; then close the connections."""
        scenario, outcome = self.outcome.scenario, self.outcome
        begun = self.venue.now()
        try:
            await self.connect()
            if outcome.wrong is not None:
                return outcome
            for step in scenario.steps:
                await self._take(step)
            if scenario.strict:
                await self._nothing(Nothing(f"{scenario.title}: at the end", ALL))
        except Wrong as wrong:
            outcome.wrong = wrong
        finally:
            outcome.seconds = self.venue.now() - begun
            for seat in self.seats.values():
                if seat.line is not None:
                    await seat.line.close()
        return outcome

    # steps

    async def _take(self, step: Step) -> None:
        try:
            await _TAKE[type(step)](self, step)
        except BadPattern as error:
            raise Wrong(step.where, "a step that can be played", str(error)) from None

    async def _send(self, step: Send) -> None:
        seat = self.seats[step.party]
        line = seat.line
        if line is None or line.closed is not None:
            raise Wrong(step.where, f"{step.party} sends {step.kind}", f"{step.party} is not connected")
        if step.text is not None:
            self._note(seat, step.text, sent=True)
            line.send_text(step.text)
            return
        if step.kind.name is None:
            message = fill(step.raw, self.variables)
        elif step.kind.is_response:
            message = self._response(seat, step)
        else:
            message = self._request(seat, step)
        if isinstance(message, dict):
            self._remember(seat, message, step.dialogue)
        self._note(seat, message, sent=True)
        line.send(message)

    async def _expect(self, step: Expect) -> None:
        seat = self.seats[step.party]
        message = await self._next(seat, step)
        if message is None:
            if not step.optional:
                raise Wrong(step.where, self._described(step), self._silence(seat, step.within))
            return
        wrong, found = self._compare(seat, step, message)
        if not wrong:
            self._accept(seat, step, message, found)
        elif not step.optional:
            raise Wrong(step.where, self._described(step), _shown(message), tuple(wrong))

    async def _any_order(self, step: AnyOrder) -> None:
        for party in dict.fromkeys(one.party for one in step.steps):
            seat = self.seats[party]
            left = [one for one in step.steps if one.party == party]
            while left:
                awaited = min(left, key=lambda one: one.optional)
                message = await self._next(seat, awaited)
                taken = next((one for one in left if self._took(seat, one)), None)
                if taken is not None:
                    left.remove(taken)
                elif awaited.optional:
                    break
                else:
                    wanted = " or ".join(map(self._described, left))
                    raise Wrong(step.where, wanted, self._silence(seat, None) if message is None else _shown(message))

    def _took(self, seat: Seat, step: Expect) -> bool:
        """Take what has come, where it is what the step expects."""
        for message in seat.inbox:
            if self._may_mean(seat, step, message):
                wrong, found = self._compare(seat, step, message)
                if not wrong:
                    self._accept(seat, step, message, found)
                return not wrong
        return False

    async def _nothing(self, step: Nothing) -> None:
        seats = list(self.seats.values()) if step.party == ALL else [self.seats[step.party]]
        if step.within:
            await self.venue.pause(step.within)
        await self._settle()
        for seat in seats:
            if seat.inbox:
                raise Wrong(step.where, f"nothing for {seat.name}", _shown(seat.inbox[0]))

    async def _pause(self, step: Pause) -> None:
        await self.venue.pause(step.seconds)

    async def _repeat(self, step: Repeat) -> None:
        for number in range(1, step.times + 1):
            if step.count is not None:
                self.variables[step.count] = number
            for inner in step.steps:
                await self._take(inner)

    async def _connect(self, step: Connect) -> None:
        seat = self.seats[step.party]
        if step.where:
            self.outcome.ladder.note(self.venue.now(), seat.name, "connects")
        try:
            seat.line = await self.venue.connect(seat.user, lambda message: self._arrived(seat, message))
        except Exception as error:  # whatever TCP, TLS or HTTP say
            where = step.where or self.outcome.scenario.title
            raise Wrong(where, f"{seat.name} connects as {seat.user}", str(error) or repr(error)) from None

    async def _disconnect(self, step: Disconnect) -> None:
        line = self.seats[step.party].line
        if line is not None:
            self.outcome.ladder.note(self.venue.now(), step.party, "disconnects")
            await line.close()

    async def _closed(self, step: Closed) -> None:
        seat = self.seats[step.party]
        wanted = f"{seat.name}'s connection closed" + (f" with {step.code}" if step.code else "")
        if seat.line is None:
            raise Wrong(step.where, wanted, "it never was connected")
        while seat.line.closed is None:
            if not await seat.line.wait(step.within):
                break
        closed = seat.line.closed
        if closed is None:
            raise Wrong(step.where, wanted, "it is open")
        self.outcome.ladder.note(self.venue.now(), seat.name, "closed: {} {}".format(*closed))
        if step.code not in (None, closed[0]):
            raise Wrong(step.where, wanted, "{} {}".format(*closed))

    # messages

    def _request(self, seat: Seat, step: Send) -> Headers:
        method = str(step.kind.name)
        if step.to is not None:
            callee = self._address(fill(step.to, self.variables))
            made: Headers = {"Type": method, "Request-URI": callee, "From": seat.user, "To": callee}
            made.update({"DialogueID": uuid4().hex, "CSeq": 1})
        else:
            made = self._talk(seat, step).next_headers(method)
        return self._overridden(made, step.headers)

    def _response(self, seat: Seat, step: Send) -> Headers:
        talk = self._talk(seat, step)
        request = talk.to_answer(step.kind.of)
        if request is None:
            raise Wrong(step.where, f"{seat.name} sends {step.kind}", f"{seat.name} has no such request to answer")
        code = int(str(step.kind.name))
        if code >= 200:
            talk.answered.append(request)
        made: Headers = {"Type": RESPONSE, "Code": code, "Desc": phrase(code)}
        made.update({name: request.get(name) for name in ("From", "To", "DialogueID", "CSeq")})
        return self._overridden(made, step.headers)

    def _overridden(self, made: Headers, headers: Headers) -> Headers:
        for name, value in headers.items():
            if value is None:
                made.pop(name, None)
            else:
                made[name] = fill(value, self.variables)
        return made

    def _talk(self, seat: Seat, step: Send) -> Talk:
        talk = seat.current if step.dialogue is None else seat.named.get(step.dialogue)
        if talk is None:
            name = "a dialogue" if step.dialogue is None else f"the dialogue {step.dialogue!r}"
            raise Wrong(step.where, f"{seat.name} sends {step.kind}", f"{seat.name} is not in {name}; `to` opens one")
        return talk

    def _remember(self, seat: Seat, message: Headers, name: str | None) -> None:
        kind, dialogue_id = message.get("Type"), message.get("DialogueID")
        if not isinstance(kind, str) or not isinstance(dialogue_id, str) or kind == RESPONSE:
            return
        talk = seat.talks.get(dialogue_id)
        if talk is None:
            seat.open(Talk(message, ours=True), name)
        else:
            talk.note_sent(message)
            seat.turn_to(talk, name)
        if self._first is None:
            self._first = (dialogue_id, message.get("CSeq"), self.venue.now())

    def _arrived(self, seat: Seat, message: Any) -> None:
        self._note(seat, message, sent=False)
        seat.inbox.append(message)
        outcome = self.outcome
        if self._first is None or outcome.setup is not None or not isinstance(message, dict):
            return
        dialogue_id, cseq, begun = self._first
        code = message.get("Code")
        if (
            isinstance(code, int)
            and code >= 200
            and message.get("CSeq") == cseq
            and message["DialogueID"] == dialogue_id
        ):
            outcome.setup = self.venue.now() - begun
            outcome.code = code

    async def _next(self, seat: Seat, step: Expect) -> Any:
        """The next message that the step may mean, which stays in the inbox; None where none comes in time."""
        if seat.line is None:
            raise Wrong(step.where, self._described(step), f"{seat.name} is not connected")
        until = None if step.within is None else self.venue.now() + step.within
        while True:
            for message in seat.inbox:
                if self._may_mean(seat, step, message):
                    return message
            if until is None and step.optional:
                await self._settle(seat)
                return next((message for message in seat.inbox if self._may_mean(seat, step, message)), None)
            if not await seat.line.wait(None if until is None else max(0.0, until - self.venue.now())):
                return None
            if seat.line.closed is not None and not seat.inbox:
                return None

    def _may_mean(self, seat: Seat, step: Expect, message: Any) -> bool:
        if step.dialogue is None:
            return True
        dialogue_id = message.get("DialogueID") if isinstance(message, dict) else None
        talk = seat.talks.get(dialogue_id)
        named = seat.named.get(step.dialogue)
        return talk is None if named is None else talk is named

    def _compare(self, seat: Seat, step: Expect, message: Any) -> tuple[list[str], Variables]:
        found: Variables = {}
        if not isinstance(message, dict):
            return ["the frame is no JSON object"], found
        wrong = [] if step.kind.fits(message) else [f"it is no {step.kind.name}"]
        if not wrong and step.kind.of is not None and step.kind.is_response:
            talk = seat.talks.get(message.get("DialogueID"))
            asked = talk.sent.get(message.get("CSeq"), set()) if talk is not None else set()
            if step.kind.of not in asked:
                wrong.append(f"it answers {', '.join(sorted(asked)) or 'nothing that was asked'}")
        if not wrong:
            wrong.extend(differences(step.headers, message, self.variables, found))
        for variable, path in step.save.items() if not wrong else ():
            try:
                found[variable] = _at_path(message, path)
            except LookupError:
                wrong.append(f"{path} is missing")
        return wrong, found

    def _accept(self, seat: Seat, step: Expect, message: Headers, found: Variables) -> None:
        seat.inbox.remove(message)
        self.variables.update(found)
        dialogue_id = message.get("DialogueID")
        talk = seat.talks.get(dialogue_id)
        if message.get("Type") == RESPONSE:
            if talk is not None:
                seat.turn_to(talk, step.dialogue)
            return
        if talk is None:
            talk = Talk(message, ours=False)
            seat.open(talk, step.dialogue)
        else:
            seat.turn_to(talk, step.dialogue)
        if message.get("Type") != ACK:
            talk.received.append(message)

    async def _settle(self, last: Seat | None = None) -> None:
        """Everything that has been sent has had its effect: ask those who sent, then those who may have received."""
        lines = [seat.line for seat in self.seats.values() if seat.line is not None]
        for line in lines:
            await line.settle()
        for line in lines if last is None else filter(None, [last.line]):
            await line.settle()

    # words

    def _note(self, seat: Seat, message: Any, sent: bool) -> None:
        now = self.venue.now()
        shown = message if isinstance(message, dict) else {"Type": str(message)}
        source, target = (seat.name, SERVER) if sent else (SERVER, seat.name)
        self.outcome.ladder.add(now, source, target, shown)
        if self._watch is not None:
            source, target = (seat.user, SERVER) if sent else (SERVER, seat.user)
            self._watch(now, source, target, message)

    def _described(self, step: Expect) -> str:
        headers = f" {_shown(step.headers)}" if step.headers else ""
        return f"{step.party} {step.kind}{headers}"

    def _silence(self, seat: Seat, within: float | None) -> str:
        if seat.line is not None and seat.line.closed is not None:
            return "the connection was closed: {} {}".format(*seat.line.closed).rstrip()
        return "nothing" if within is None else f"nothing in {within:g} s"

    def _user(self, party: Party) -> str:
        return self._address(party.user or party.name)

    def _address(self, name: str) -> str:
        if name in self.seats:
            return self.seats[name].user
        return name if "@" in name else f"{name}@{self.realm}"


_TAKE: dict[type, Any] = {
    Send: Player._send,
    Expect: Player._expect,
    AnyOrder: Player._any_order,
    Nothing: Player._nothing,
    Pause: Player._pause,
    Repeat: Player._repeat,
    Connect: Player._connect,
    Disconnect: Player._disconnect,
    Closed: Player._closed,
}


def _shown(message: Any) -> str:
    return orjson.dumps(message, default=str).decode() if isinstance(message, (dict, list)) else repr(message)


def _at_path(message: Headers, path: str) -> Any:
    """The value at a path such as Body.media.0. Raises LookupError."""
    value: Any = message
    if path in message:
        return message[path]
    for part in path.split("."):
        if isinstance(value, list) and part.isdigit():
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value[part]
        else:
            raise LookupError(path)
    return value
