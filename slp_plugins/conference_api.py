"""conference.v1: the rooms of `conference` over the management API.

GET /conference/v1/rooms lists them, GET .../rooms/RELID tells one, DELETE .../rooms/RELID/MEMBER removes a member.
A name in a path is percent-encoded: `%2F` for its `/`, `%25` for its `%`, `%3F` for its `?`, `%20` for a space.
"""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from gortc import IAPI, APIContext, Asked, Problem

Answer = tuple[int, dict[str, Any]]


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

    def room(self, relid: str) -> Any:
        """One. Raises Problem."""
        room = self.rooms().get(relid)
        if room is None:
            raise Problem(404, 1, f"no room {relid}")
        return room

    def get(self, asked: Asked) -> Answer:
        """rooms, or one of them."""
        match asked.parts:
            case ["rooms"] | ["rooms", ""]:
                return 0, {"rooms": [{"room": relid, "members": len(one.users)} for relid, one in self.rooms().items()]}
            case ["rooms", relid] | ["rooms", relid, ""]:
                users = self.room(relid).users
                return 0, {
                    "room": relid,
                    "members": list(users),
                    "away": [name for name, away in users.items() if away],
                }
        raise Problem(404, 1, "no such path")

    def delete(self, asked: Asked) -> Answer:
        """A member of a room."""
        match asked.parts:
            case ["rooms", relid, member]:
                if not self.room(relid).remove(member):
                    raise Problem(404, 1, f"no member {member}")
                return 0, {}
        raise Problem(404, 1, "no such path")

    def post(self, asked: Asked) -> Answer:
        """Rooms are made by who comes."""
        raise Problem(405, 2, "no such method here", "GET, DELETE")

    put = post


rooms = Rooms()
