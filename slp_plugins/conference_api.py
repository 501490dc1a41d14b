"""conference.v1: the rooms of `conference` over the management API.

GET /conference/v1/rooms lists them, `limit=` at a time, after `offset=`; GET .../rooms/RELID tells one, and its members
in the same way; DELETE .../rooms/RELID/MEMBER removes a member. A name in a path is percent-encoded: `%2F` for its `/`,
`%25` for its `%`, `%3F` for its `?`, `%20` for a space. Who may only `read` is told, instead of a relid, what stands
for it, and asks by that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from gortc import IAPI, APIContext, Asked, Problem

Answer = tuple[int, dict[str, Any]]
PAGE, PAGE_MAX = 100, 1000
"""So many rows an answer has, where nobody asks for another number; and at most."""


@implementer(IPlugin, IAPI)
class Rooms:
    """The plugin."""

    name = "conference.v1"

    def load(self, context: APIContext) -> None:
        """The conferences may be loaded before, later, or again."""
        self.context = context

    def unload(self) -> None:
        """Nothing to let go."""

    def rooms(self) -> dict[str, Any]:
        """All of them, by relid; those of a conference that was replaced, too."""
        services = self.context.service("conference")
        return {relid: room for each in reversed(services) for relid, room in each.shared["rooms"].items()}

    def room(self, wanted: str, asked: Asked) -> tuple[str, Any]:
        """One, by what its relid is told as to who asks, and its relid. Raises Problem: who is not told it can't check
        a guess of it."""
        for relid, room in self.rooms().items():
            if asked.relid(relid) == wanted:
                return relid, room
        raise Problem(404, 1, "no such room")

    def get(self, asked: Asked) -> Answer:
        """rooms, or one of them."""
        match asked.parts:
            case ["rooms"]:
                some, more = part(self.rooms().items(), asked)
                return 0, {
                    "rooms": [{"room": asked.relid(relid), "members": len(one.users)} for relid, one in some],
                    "more": more,
                }
            case ["rooms", wanted]:
                relid, room = self.room(wanted, asked)
                users, more = part(room.users.items(), asked)
                return 0, {
                    "room": asked.relid(relid),
                    "members": [asked.uri(name) for name, _ in users],
                    "away": [asked.uri(name) for name, away in users if away],
                    "more": more,
                }
        raise Problem(404, 1, "no such path")

    def delete(self, asked: Asked) -> Answer:
        """A member of a room."""
        match asked.parts:
            case ["rooms", wanted, member]:
                if not self.room(wanted, asked)[1].remove(member):
                    raise Problem(404, 1, "no such member")
                return 0, {}
        raise Problem(404, 1, "no such path")

    def post(self, asked: Asked) -> Answer:
        """Rooms are made by who comes."""
        raise Problem(405, 2, "no such method here", "GET, DELETE")

    put = post


def part(rows: Iterable[Any], asked: Asked) -> tuple[list[Any], bool]:
    """Those that are asked for, and whether there are more. Raises Problem."""
    try:
        limit, offset = int(asked.query.get("limit", PAGE)), int(asked.query.get("offset", 0))
        if not (0 <= limit <= PAGE_MAX and 0 <= offset <= 2**31):
            raise ValueError
    except ValueError:
        raise Problem(400, 8, f"limit must be a number from 0 to {PAGE_MAX}, offset one from 0") from None
    found = list(islice(rows, offset, offset + limit + 1))
    return found[:limit], len(found) > limit


rooms = Rooms()
