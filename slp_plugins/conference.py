"""conference: sessions with the same `relid` meet in one instance and hear of each other.

A joiner gets 200 and, after its ACK, an INFO with the roster; the others get an INFO that it has joined. An INFO or
MESSAGE goes to the member that its header `Member` names, else to all others, with `Member` = the sender. The
instance ends with its last member. Written at the level below coroutines: one entry for every message of every leg.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from twisted.plugin import IPlugin
from zope.interface import implementer

from gortc import Context, IServiceInstance, IServiceLogic, Request, Response, Session, Task


@implementer(IServiceInstance)
class Room:
    """One conference. `members` are the legs whose ACK has come, and their callers' names."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.members: dict[Session, str] = {}

    def receive(self, message: Request | Response) -> None:
        """Take a message of any leg. How a member answers our INFOs is its own business."""
        if isinstance(message, Request):
            entry = {
                "INVITE": self.join, "ACK": self.welcome, "INFO": self.pass_on, "MESSAGE": self.pass_on,
                "BYE": self.leave, "CANCEL": self.leave, "TERM": self.leave,
            }.get(message.method, self.refuse)  # fmt: skip
            entry(message)

    def join(self, request: Request) -> None:
        """An INVITE: 200; a re-INVITE has nobody to answer its offer."""
        if request.session in self.members:
            self.task.answer(request, 488)
        elif self.task.relation is None:
            self.task.answer(request, 400, headers={"Reason": "a conference needs a relid in its Router"})
        else:
            self.task.answer(request, 200)

    def welcome(self, ack: Request) -> None:
        """A new member learns who is here, the others that it has come."""
        leg = ack.session
        self.members[leg] = leg.caller
        self.tell(leg, {"event": "roster", "members": list(self.members.values())})
        for other in self.others(leg):
            self.tell(other, {"event": "joined", "member": leg.caller})

    def leave(self, message: Request) -> None:
        """A member has gone."""
        self.forget(message.session)

    def remove(self, name: str) -> bool:
        """Hang up on a member, by its name, and let the others know; False where there is none."""
        legs = [leg for leg, member in self.members.items() if member == name]
        for leg in legs:
            self.forget(leg)
            self.task.request(leg, "BYE", headers={"Reason": "removed from the conference"})
        return bool(legs)

    def forget(self, leg: Session) -> None:
        """It is a member no longer; the others hear of it."""
        name = self.members.pop(leg, None)
        if name is not None:
            for other in self.members:
                self.tell(other, {"event": "left", "member": name})

    def pass_on(self, request: Request) -> None:
        """To the member that is named, or to all the others."""
        leg = request.session
        if leg not in self.members:
            self.refuse(request)
            return
        named = request.get("Member")
        targets = [other for other in self.others(leg) if named in (None, self.members[other])]
        if named is not None and not targets:
            self.task.answer(request, 404, headers={"Reason": "no such member"})
            return
        for target in targets:
            self.task.request(target, request.method, headers={**request.carried, "Member": self.members[leg]})
        self.task.answer(request, 200)

    def refuse(self, request: Request) -> None:
        """Anything else."""
        self.task.answer(request, 405, headers={"Allow": "INVITE, ACK, BYE, CANCEL, INFO, MESSAGE"})

    def others(self, leg: Session) -> list[Session]:
        """All members but `leg`."""
        return [other for other in self.members if other is not leg]

    def tell(self, leg: Session, event: dict[str, Any]) -> None:
        """Tell a member what has happened."""
        self.task.request(leg, "INFO", event)


@implementer(IPlugin, IServiceLogic)
class Conference:
    """The plugin."""

    name = "conference"

    def load(self, context: Context) -> None:
        """The rooms, by relid; one that has ended is gone."""
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
