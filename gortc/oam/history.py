"""What calls did: the messages on the tape, as they are and as ladders."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from twisted.internet.task import deferLater

from gortc.client.ladder import SERVER, Ladder, as_text
from gortc.client.ladder_mermaid import as_mermaid
from gortc.client.ladder_svg import as_svg
from gortc.jsip.message import Headers
from gortc.jsip.tape import Entry, Leg
from gortc.jsip.uri import is_party, same_name
from gortc.oam.route import (
    BAD_PATH,
    BAD_VALUE,
    NOT_NOW,
    OPERATE,
    PLAIN,
    READ,
    SVG,
    Answer,
    Problem,
    Query,
    Route,
    Text,
    number,
)

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.server import Server

AT_ONCE: Final = 2000
"""So many messages are looked at in one turn of the reactor."""
LAST: Final = 20
"""So many messages are told with a session."""
ROWS_MAX: Final = 2000
"""So many, the last ones, are drawn."""
PAGE_MAX: Final = 1000
CHANNEL: Final = {"channel": "On this channel, where several have that DialogueID."}


class Said(NamedTuple):
    """A message on the tape, read."""

    number: int
    time: float
    source: str
    target: str
    channel: str
    message: Headers

    def row(self, body: bool) -> dict[str, Any]:
        """As JSON has it; with its `Body`, or without."""
        message = self.message if body else {key: value for key, value in self.message.items() if key != "Body"}
        row = {"number": self.number, "time": self.time, "from": self.source, "to": self.target}
        return {**row, "message": message}


class History:
    """Of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._node = server.node

    def routes(self) -> list[Route]:
        """Ladders and messages."""
        base = "/runtime/v1/sessions/<path:dialogue>"
        some = {
            "party": "Sent to or by it, or From or To it: with or without its host.",
            "after": "From this number on: `next` of the answer before.",
            "limit": f"So many, {PAGE_MAX} at most; the last ones, or, with `after`, the first.",
        }
        text = "Its messages and those of the other legs of its instance, the last ones; as "
        return [
            Route("GET", f"{base}/ladder.svg", READ, f"{text}a ladder, SVG.", self.drawn(svg), CHANNEL, SVG),
            Route("GET", f"{base}/ladder.txt", READ, f"{text}a ladder, text.", self.drawn(text_ladder), CHANNEL, PLAIN),
            Route("GET", f"{base}/ladder.mmd", READ, f"{text}a ladder, Mermaid.", self.drawn(mermaid), CHANNEL, PLAIN),
            Route("GET", f"{base}/messages", OPERATE, f"{text}they are.", self.messages, CHANNEL),
            Route("GET", "/runtime/v1/messages", OPERATE, "The last messages.", self.all_messages, some),
        ]

    def drawn(self, draw: Callable[[Ladder, str], Text]) -> Callable[[Query], Any]:
        """What answers with a ladder."""

        async def answer(query: Query) -> Answer:
            ladder = Ladder()
            for said in (await self.of(query))[-ROWS_MAX:]:
                ladder.add(said.time, said.source, said.target, said.message)
            return draw(ladder, f"Dialogue {query['dialogue']}")

        return answer

    async def messages(self, query: Query) -> Answer:
        """Of a session and its instance."""
        return {"messages": [said.row(body=True) for said in (await self.of(query))[-PAGE_MAX:]]}

    async def all_messages(self, query: Query) -> Answer:
        """Those that somebody has said or heard."""
        limit, after = number(query, "limit", 100, PAGE_MAX), number(query, "after", 0, 2**31)
        party = query.get("party")
        rows: deque[Said] = deque(maxlen=None if "after" in query else limit)
        goes_on = after
        async for said in self.read(after):
            if "after" in query and len(rows) == limit:
                break
            goes_on = said.number + 1
            if party is None or is_about(party, said.channel, said.message):
                rows.append(said)
        return {"messages": [said.row(body=True) for said in rows], "next": goes_on}

    async def of(self, query: Query) -> list[Said]:
        """The messages of a dialogue and of the other legs of its instance. Raises Problem where there are none."""
        legs = await self._legs(query["dialogue"], query.get("channel"))
        may_be = naming({dialogue for _, dialogue in legs})
        found = [said async for said in self.read(0, may_be) if (said.channel, said.message.get("DialogueID")) in legs]
        if not found:
            raise Problem(404, BAD_PATH, "no message of such a session is on the tape")
        return found

    async def read(self, after: int, may_be: Callable[[Entry], bool] = lambda entry: True) -> AsyncIterator[Said]:
        """The messages from the number `after` on. Calls go on meanwhile."""
        tape = self._node.tape
        if tape is None:
            raise Problem(409, NOT_NOW, "there is no tape: trace_bytes is 0")
        more = True
        while more:
            more = False
            for looked, entry in enumerate(tape.entries(after)):
                if looked == AT_ONCE:
                    after, more = entry.number, True
                    break
                if may_be(entry):
                    ways = (SERVER, entry.channel) if entry.sent else (entry.channel, SERVER)
                    yield Said(entry.number, entry.time, *ways, entry.channel, orjson.loads(entry.data))
            if more:
                await deferLater(self._server.reactor, 0)

    def sessions(self, dialogue: str, channel: str | None) -> list[Session]:
        """Those that live and have this DialogueID. One peer's has nothing to do with another's."""
        channels = [*self._node.channels.by_name.values(), *self._server.hops]
        return [
            one.sessions[dialogue]
            for one in channels
            if dialogue in one.sessions and (channel is None or same_name(channel, one.name))
        ]

    async def _legs(self, dialogue: str, channel: str | None) -> set[Leg]:
        tape = self._node.tape
        found: dict[Leg, Iterable[Session]] = {
            (one.channel.name, dialogue): getattr(one.owner, "sessions", ()) for one in self.sessions(dialogue, channel)
        }
        if not found:
            async for said in self.read(0, naming({dialogue})):
                if said.message.get("DialogueID") != dialogue:
                    continue
                if channel is None or same_name(channel, said.channel):
                    found[said.channel, dialogue] = ()
        if len(found) > 1:
            raise several(name for name, _ in found)
        legs: set[Leg] = set()
        for leg, others in found.items():
            legs |= {leg, *((one.channel.name, one.dialogue_id) for one in others)}
            legs |= tape.legs(leg) if tape is not None else set()
        return legs


def naming(dialogues: Iterable[str]) -> Callable[[Entry], bool]:
    """Whether a message may be of one of these dialogues: its text has one as it is, or something that is escaped."""
    needles = [orjson.dumps(dialogue) for dialogue in dialogues]
    return lambda entry: b"\\" in entry.data or any(needle in entry.data for needle in needles)


def several(channels: Iterable[str]) -> Problem:
    """A DialogueID means something on its channel only."""
    return Problem(409, BAD_VALUE, f"several channels have it; say which: channel={', '.join(sorted(channels))}")


def svg(ladder: Ladder, title: str) -> Text:
    """It, drawn."""
    return Text(as_svg(ladder, title), SVG)


def text_ladder(ladder: Ladder, title: str) -> Text:
    """It, for a terminal."""
    return Text(as_text(ladder) + "\n")


def mermaid(ladder: Ladder, title: str) -> Text:
    """It, for a document."""
    return Text(as_mermaid(ladder) + "\n")


def is_about(party: str, channel: str, message: Headers) -> bool:
    """Whether `party`, a user or a number, with its host or without, has sent, received or is named in a message."""
    names = (channel, message.get("From"), message.get("To"), message.get("Request-URI"))
    return any(isinstance(name, str) and is_party(party, name) for name in names)
