"""conference: sessions with the same `relid` meet in one instance and hear of each other.

A joiner gets 200 and, after its ACK, an INFO with the roster. Who a member is, its From says. A user may join several
times, in whatever spelling of its name: each session is a member of its own, but the roster has the name once, as it
was spelt first, and the others hear of it when the first session joins, and when the last one leaves.

    {"event": "roster", "members": [...]}    to a joiner; `away`: those of them who are; `more`: true, a part follows
    {"event": "joined", "member": NAME}      to all sessions of all others, as are the next ones
    {"event": "left", "member": NAME}
    {"event": "lost", "member": NAME}        none of its sessions has a connection; what it is sent waits for it
    {"event": "resumed", "member": NAME}     one of them is back

An INFO or MESSAGE goes to all sessions of the member that its header `Member` names, else to all other sessions, with
`Member` = the sender. A re-INVITE gets 488, for nobody is there to take its offer; OPTIONS what an INVITE would get;
anything else 405.

What a word costs is bound. Whose user leaves `unanswered_max` requests, or `user_bytes` of them, unanswered in all its
sessions, gets no more; a word that `Member` would make larger than a message may be does not reach a session either,
nor one for which the sender has no memory left: the sender's 200 says in `Missed` how many sessions have missed the
word; it is 480, or 413, where nobody has heard it. Who has missed an event gets the roster again, once it has nothing
unanswered. A word with which the unanswered ones of the room would have more than `room_bytes` gets 503. All copies of
a word share its Body; what each takes beside it counts, too.

The instance ends with its last member. Written at the level below coroutines: one entry for every message of every leg.

Configuration: `unanswered_max`, by default 100, as many as a dialogue may have open; `user_bytes`, by default 1 MiB;
`room_bytes`, by default 16 MiB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

import orjson
from twisted.plugin import IPlugin
from zope.interface import implementer

from gortc import Context, IServiceInstance, IServiceLogic, Request, Response, Session, Task, canonical
from gortc.jsip.memory import MESSAGE

ALLOW = "INVITE, ACK, BYE, CANCEL, INFO, MESSAGE, OPTIONS"
NO_RELID = "a conference needs a relid in its Router"
ROSTER_BYTES = 32768
"""So many bytes of names an INFO has at most, or half of what there is room for: a longer roster comes in parts."""
COPY = MESSAGE
"""So many bytes does a request take beside its text."""
HERE, AWAY = "here", "away"
EVENTS = {
    (None, HERE): "joined", (HERE, None): "left", (AWAY, None): "left", (HERE, AWAY): "lost", (AWAY, HERE): "resumed",
}  # fmt: skip
"""What the others are told, by what somebody was and what he is now; None: not a member."""


class Member:
    """One session: its name, who that is, whose share its requests are counted in, whether its peer is away, and its
    unanswered requests with their sizes in bytes."""

    def __init__(self, leg: Session, name: str) -> None:
        self.leg = leg
        self.name = name
        self.who = canonical(name)
        peer = leg.channel.name
        self.debtor = peer if "@" in peer else f"{peer} {self.who}"  # many come over the channel of another node
        self.away = False
        self.unanswered: dict[Request, int] = {}


@implementer(IServiceInstance)
class Room:
    """One conference. `members` are those whose ACK has come, `joining` those who have got their 200; by session."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.members: dict[Session, Member] = {}
        self.joining: set[Session] = set()
        self.bytes = 0
        """Those of the words that are not answered."""
        self.owed: Counter[str] = Counter()
        """The same, by who has not answered them: whatever its From says, it has one channel."""
        self.waiting: Counter[str] = Counter()
        """How many they are, by the same."""
        self.behind: dict[Member, None] = {}
        """Who has missed an event."""

    @property
    def users(self) -> dict[str, bool]:
        """Names, each once, in the order in which they came; and whether all sessions of that name are away."""
        users: dict[str, bool] = {}
        for member in self.members.values():
            users[member.name] = member.away and users.get(member.name, True)
        return users

    def receive(self, message: Request | Response) -> None:
        """Take a message of any leg."""
        if isinstance(message, Response):
            if message.code >= 200:
                self.answered(message)
            return
        entry = {
            "INVITE": self.join, "ACK": self.welcome, "INFO": self.pass_on, "MESSAGE": self.pass_on,
            "BYE": self.leave, "TERM": self.leave, "PEER_LOST": self.come_or_go, "PEER_RESUMED": self.come_or_go,
        }.get(message.method)  # fmt: skip
        if entry is not None:
            entry(message)
        elif not message.local and message.method != "CANCEL":  # INVITEs are answered at once
            self.refuse(message)

    # who is here

    def join(self, request: Request) -> None:
        """An INVITE: 200; a re-INVITE has nobody to answer its offer, before its ACK and after it (RFC 3261 14.2)."""
        leg = request.session
        if leg in self.members or leg in self.joining:
            self.task.answer(request, 488)
        elif self.task.relation is None:
            self.task.answer(request, 400, headers={"Reason": NO_RELID})
        else:
            self.joining.add(leg)
            self.task.answer(request, 200)

    def welcome(self, ack: Request) -> None:
        """A new member learns who is here, the others that it has come."""
        leg = ack.session
        if leg in self.joining:
            self.joining.remove(leg)
            known = next(self.of(canonical(leg.caller)), None)  # whom the others know by another spelling keeps that
            member = Member(leg, leg.caller if known is None else known.name)
            was = self.presence(member.who)
            self.members[leg] = member
            self.behind[member] = None
            self.catch_up(member)
            self.announce(member, was)

    def leave(self, message: Request) -> None:
        """A session has gone: hung up, or over."""
        self.forget(message.session)

    def come_or_go(self, event: Request) -> None:
        """Its peer has lost its connection, or is back."""
        member = self.members.get(event.session)
        if member is not None:
            was = self.presence(member.who)
            member.away = event.method == "PEER_LOST"
            self.announce(member, was)
            if not member.away:
                self.catch_up(member)

    def remove(self, name: str) -> bool:
        """Hang up on all sessions of a member, and let the others know; False where there is none."""
        found = list(self.of(canonical(name)))
        for member in found:
            self.forget(member.leg)
            self.task.request(member.leg, "BYE", headers={"Reason": "removed from the conference"})
        return bool(found)

    def forget(self, leg: Session) -> None:
        """It is a member no longer; where it was somebody's last session, the others hear of it."""
        self.joining.discard(leg)
        member = self.members.get(leg)
        if member is not None:
            was = self.presence(member.who)
            del self.members[leg]
            self.behind.pop(member, None)
            for size in member.unanswered.values():
                self.settle(member, size)
            self.announce(member, was)
            self.make_good(member)

    def of(self, wanted: str) -> Iterator[Member]:
        """The sessions of somebody."""
        return (member for member in self.members.values() if member.who == wanted)

    def presence(self, wanted: str) -> str | None:
        """Whether somebody is here, away, or no member."""
        away = [member.away for member in self.of(wanted)]
        return (AWAY if all(away) else HERE) if away else None

    # what they hear

    def announce(self, member: Member, was: str | None) -> None:
        """Tell the others what has become of somebody who `was` here, away, or no member."""
        event = EVENTS.get((was, self.presence(member.who)))
        if event is not None:
            told = {"event": event, "member": member.name}
            for other in self.members.values():
                if other.who != member.who:
                    self.tell(other, told)

    def roster(self, member: Member) -> None:
        """Tell it who is here, in as many parts as it takes."""
        users = self.users
        parts: list[list[str]] = [[]]
        most = left = min(ROSTER_BYTES, member.leg.room("INFO") // 2)
        for name in users:
            size = 2 * len(orjson.dumps(name))  # it may be among those who are away as well
            if size > left and parts[-1]:
                parts.append([])
                left = most
            parts[-1].append(name)
            left -= size
        self.behind.pop(member, None)
        for part in parts:
            event: dict[str, Any] = {"event": "roster", "members": part}
            if away := [name for name in part if users[name]]:
                event["away"] = away
            if part is not parts[-1]:
                event["more"] = True
            self.send(member, "INFO", len(orjson.dumps(event)), event)

    def tell(self, member: Member, event: dict[str, Any]) -> None:
        """Tell a session what has happened. One that has too much to answer gets the roster later."""
        if self.is_open(member):
            self.send(member, "INFO", len(orjson.dumps(event)), event)
        else:
            self.behind[member] = None

    def catch_up(self, member: Member) -> None:
        """One that has missed an event gets the roster, as soon as it may be sent it."""
        if member in self.behind and self.is_open(member):
            self.roster(member)

    def pass_on(self, request: Request) -> None:
        """To all sessions of the member that is named, or to all others."""
        sender = self.members.get(request.session)
        if sender is None:
            self.refuse(request)
            return
        named = request.get("Member")
        meant = None if named is None else canonical(named) if isinstance(named, str) else ""
        others = [other for other in self.members.values() if other is not sender and meant in (None, other.who)]
        if named is not None and not others:
            self.task.answer(request, 404, headers={"Reason": "no such member"})
            return
        headers = {**request.carried, "Member": sender.name}
        size = len(orjson.dumps(headers)) if others else 0
        ready = [other for other in others if self.is_open(other)]
        targets = [other for other in ready if size <= other.leg.room(request.method)]
        if ready and not targets:
            self.task.answer(request, 413, headers={"Reason": "the message is too large with its Member"})
            return
        if self.bytes + (size + COPY) * len(targets) > self.task.context.config["room_bytes"]:
            self.task.answer(request, 503, headers={"Reason": "too much waits to be answered", "Retry-After": 5})
            return
        heard, most = 0, self.task.context.config["unanswered_max"]
        for target in targets:  # somebody with several sessions may have room for one
            if self.waiting[target.debtor] < most and self.send(target, request.method, size, headers=headers):
                heard += 1
        missed = len(others) - heard
        if missed and not heard:
            self.task.answer(request, 480, headers={"Reason": "too much waits to be answered", "Missed": missed})
        else:
            self.task.answer(request, 200, headers={"Missed": missed} if missed else None)

    def send(self, member: Member, method: str, size: int, body: Any = None, headers: Any = None) -> bool:
        """Send a request of `size` bytes, which counts until it is answered; whether it has gone its way."""
        size += COPY
        request = self.task.request(member.leg, method, body, headers)
        member.unanswered[request] = size
        self.bytes += size
        self.owed[member.debtor] += size
        self.waiting[member.debtor] += 1
        return not member.leg.has_failed(request)

    def settle(self, member: Member, size: int) -> None:
        """One of so many bytes is answered, or will never be."""
        debtor = member.debtor
        self.bytes -= size
        self.owed[debtor] -= size
        self.waiting[debtor] -= 1
        if not self.waiting[debtor]:
            del self.owed[debtor], self.waiting[debtor]

    def answered(self, response: Response) -> None:
        """One waits no longer. Who has missed something, and has nothing unanswered any more, gets the roster."""
        member = self.members.get(response.session)
        if member is None:
            return
        size = member.unanswered.pop(response.request, None)
        if size is not None:
            self.settle(member, size)
        if response.local and response.code != 408:  # it has not come there
            if response.code in (480, 503) and response.request.get("Member") is None:
                self.behind[member] = None
            return
        self.make_good(member)

    def make_good(self, member: Member) -> None:
        """What is settled leaves room for those who share its share, and have missed something."""
        for other in [other for other in self.behind if other.debtor == member.debtor and not other.unanswered]:
            self.catch_up(other)

    def is_open(self, member: Member) -> bool:
        """Whether it may be sent one more."""
        config = self.task.context.config
        debtor = member.debtor
        return bool(
            self.waiting.get(debtor, 0) < config["unanswered_max"] and self.owed.get(debtor, 0) < config["user_bytes"]
        )

    def refuse(self, request: Request) -> None:
        """Anything else; OPTIONS gets what an INVITE would (RFC 3261 section 11.2)."""
        if request.method != "OPTIONS":
            self.task.answer(request, 405, headers={"Allow": ALLOW})
        elif self.task.relation is None:
            self.task.answer(request, 400, headers={"Reason": NO_RELID})
        else:
            self.task.answer(request, 200, headers={"Allow": ALLOW})


@implementer(IPlugin, IServiceLogic)
class Conference:
    """The plugin."""

    name = "conference"

    def load(self, context: Context) -> None:
        """The rooms, by relid; one that has ended is gone. Raises ValueError where the configuration is none."""
        default = {"unanswered_max": 100, "user_bytes": 1024 * 1024, "room_bytes": 16 * 1024 * 1024}
        for name, value in context.config.items():
            if name not in default:
                raise ValueError(f"conference: no such configuration: {name}")
            if type(value) is not int or value < 1:
                raise ValueError(f"conference: {name} must be an integer from 1, not {value!r}")
        context.config = {**default, **context.config}
        context.shared["rooms"] = WeakValueDictionary()

    def unload(self) -> None:
        """Nothing to let go."""

    def create(self, task: Task) -> Room:
        """A room for a new relid."""
        room = Room(task)
        if task.relation is not None:
            task.context.shared["rooms"][task.relation] = room
        return room


conference = Conference()
