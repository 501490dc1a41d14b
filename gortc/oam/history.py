"""What calls did: the messages on the tape, as they are and as ladders."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from orjson import Fragment

from gortc.client.ladder import SERVER, Ladder, as_text, text_lines
from gortc.client.ladder_mermaid import as_mermaid, mermaid_lines
from gortc.client.ladder_svg import as_svg, svg_rows
from gortc.jsip.message import Headers
from gortc.jsip.tape import Leg
from gortc.jsip.uri import is_party, same_name
from gortc.oam.doors import for_readers
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
from gortc.oam.turns import in_turns, pause

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.server import Server

AT_ONCE: Final = 500
"""So much is a bit of work: a message is looked at; `SEARCHED` bytes of one are searched for one DialogueID; or
`PARSED` bytes of one are read."""
SEARCHED: Final = 128
PARSED: Final = 64
DRAWN: Final = 50
"""So many rows are drawn in a bit."""
NEEDLES: Final = 4
"""More DialogueIDs than that are looked for in messages that were read, not in their bytes: that costs less."""
LAST: Final = 20
"""So many messages are told with a session."""
ROWS_MAX: Final = 2000
"""So many, the last ones, are drawn."""
RUNG: Final = ("Type", "Code", "Desc", "DialogueID", "CSeq")
"""What a ladder reads of a message; its other headers may be thousands."""
WORDS_MAX: Final = 100
"""So many characters of each of them, but of the DialogueID: more is not drawn."""
BETWEEN: Final = 5
"""So many bytes stand between two rows at most."""
PARTIES_MAX: Final = 30
"""So many parties are drawn; of the others it is said how many there are."""
PAGE_MAX: Final = 1000
NAMES_MAX: Final = 10
"""So many channels are named where a DialogueID is several's."""
CHANNEL: Final = {"channel": "On this channel, where several have that DialogueID."}


class Said(NamedTuple):
    """A message on the tape, read; and how many bytes it has."""

    number: int
    time: float
    source: str
    target: str
    channel: str
    message: Headers
    size: int

    def row(self, message: Headers) -> Fragment:
        """As JSON has it, with what is to be told of the message. One that is nested too deeply can be read, but not be
        written again: it was refused, and of it is told what is not nested."""
        row = {"number": self.number, "time": self.time, "from": self.source, "to": self.target}
        try:
            return Fragment(orjson.dumps({**row, "message": message}))
        except TypeError:
            return Fragment(orjson.dumps({**row, "message": for_readers(message)}))


class Rows:
    """The last messages of some, as JSON: so many at `most`, and so many `bytes`. `cut`: there were more."""

    def __init__(self, most: int, bytes: int) -> None:
        self.rows: deque[tuple[Fragment, int]] = deque()
        self.cut = False
        self._most = most
        self._left = bytes

    def add(self, row: Fragment, size: int) -> None:
        """One more; where there is no room for it, the first ones go. One there is always room for."""
        self.rows.append((row, size))
        self._left -= size
        while len(self.rows) > self._most or (self._left < 0 and len(self.rows) > 1):
            self._left += self.rows.popleft()[1]
            self.cut = True

    def has_room(self, size: int) -> bool:
        """Whether one more would push out none."""
        return len(self.rows) < self._most and (self._left >= size or not self.rows)

    def told(self) -> list[Fragment]:
        """All of them."""
        return [row for row, _ in self.rows]


class Drawing(NamedTuple):
    """How a ladder is drawn: bit by bit, and what is made of that, with a title."""

    rows: Callable[[Ladder], Iterable[Any]]
    whole: Callable[[Ladder, str, list[Any]], str]
    kind: str


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
            Route("GET", f"{base}/ladder.svg", READ, f"{text}a ladder, SVG.", self.drawn(SVG_LADDER), CHANNEL, SVG),
            Route("GET", f"{base}/ladder.txt", READ, f"{text}a ladder, text.", self.drawn(TEXT_LADDER), CHANNEL, PLAIN),
            Route("GET", f"{base}/ladder.mmd", READ, f"{text}a ladder, Mermaid.", self.drawn(MERMAID), CHANNEL, PLAIN),
            Route("GET", f"{base}/messages", OPERATE, f"{text}they are.", self.messages, CHANNEL),
            Route("GET", "/runtime/v1/messages", OPERATE, "The last messages.", self.all_messages, some),
        ]

    def drawn(self, drawing: Drawing) -> Callable[[Query], Any]:
        """What answers with a ladder."""

        async def answer(query: Query) -> Answer:
            title = f"Dialogue {query['dialogue']}"
            whole, before = await self._ladder(query)
            frame = len(drawing.whole(Ladder(*whole.parties), title, []).encode())
            room = self._node.settings.api_answer_max - 2 * frame  # names may stand at both ends
            number = len(whole)
            while True:
                ladder = whole.last(number, before)
                rows, sizes = await self._rows(drawing, ladder, room if number > 1 else inf)
                if sum(sizes) <= room or number <= 1:
                    return Text(drawing.whole(ladder, title, rows), drawing.kind)
                fit = sum(size <= room for size in accumulate(reversed(sizes)))
                number = max(1, min(fit, number * 9 // 10))

        return answer

    async def _rows(self, drawing: Drawing, ladder: Ladder, room: float) -> tuple[list[Any], list[int]]:
        """Those of a drawing, and how many bytes each has; where there is no room for all, the first ones only."""
        rows: list[Any] = []
        sizes: list[int] = []
        left = room
        async for row in in_turns(drawing.rows(ladder), self._server.reactor, DRAWN):
            sizes.append(len((row if isinstance(row, str) else row[0]).encode()) + BETWEEN)
            left -= sizes[-1]
            if left >= 0:
                rows.append(row)
        return rows, sizes

    async def _ladder(self, query: Query) -> tuple[Ladder, int]:
        """Of a session and its instance, as readers may see it; and how many messages were before. The session's own
        party and the first others have a line; of the rest it is told how many there are."""
        found: deque[Said] = deque(maxlen=ROWS_MAX)
        ids: dict[str, str] = {}
        seats: set[str] = set()
        others: Counter[str] = Counter()
        number = 0
        async for said in self.of(query):
            if said.message["DialogueID"] == query["dialogue"] or len(seats) < PARTIES_MAX:
                seats.add(said.channel)
            if said.channel in seats:
                found.append(said._replace(message=rung(said.message, ids)))
                number += 1
            else:
                others[said.channel] += 1
        ladder = Ladder()
        async for said in in_turns(found, self._server.reactor, DRAWN):
            ladder.add(said.time, said.source, said.target, said.message)
        if others:
            text = f"and {len(others)} others, with {sum(others.values())} messages"
            ladder.note(found[-1].time if found else 0.0, None, text)
        return ladder, number - len(found)

    async def messages(self, query: Query) -> Answer:
        """Of a session and its instance."""
        rows = Rows(PAGE_MAX, self._node.settings.api_answer_max)
        async for said in self.of(query):
            rows.add(said.row(said.message), said.size)
        return {"messages": rows.told(), "more": rows.cut}

    async def last(self, query: Query) -> list[Fragment]:
        """The last ones of a session and its instance, without bodies, as who asks may see them."""
        rows: deque[Fragment] = deque(maxlen=LAST)
        async for said in self.of(query):
            rows.append(said.row(shown(said.message, query.role)))
        return list(rows)

    async def all_messages(self, query: Query) -> Answer:
        """Those that somebody has said or heard."""
        limit, after = number(query, "limit", 100, PAGE_MAX), number(query, "after", 0, 2**31)
        party = query.get("party")
        rows = Rows(limit, self._node.settings.api_answer_max)
        goes_on = after
        async for said in self.read(after):
            if party is None or is_about(party, said.channel, said.message):
                if "after" in query and not rows.has_room(said.size):
                    break
                rows.add(said.row(said.message), said.size)
            goes_on = said.number + 1
        return {"messages": rows.told(), "next": goes_on}

    async def of(self, query: Query) -> AsyncIterator[Said]:
        """The messages of a dialogue and of the other legs of its instance. Raises Problem where there are none."""
        legs = await self._legs(query["dialogue"], query.get("channel"))
        is_silent = True
        async for said in self.read(0, needles({dialogue for _, dialogue in legs})):
            if (said.channel, said.message["DialogueID"]) in legs:
                is_silent = False
                yield said
        if is_silent:
            raise Problem(404, BAD_PATH, "no message of such a session is on the tape")

    async def read(self, after: int, needles: Collection[bytes] = ()) -> AsyncIterator[Said]:
        """The messages from the number `after` on that are there now, and may have one of these in them. Calls go on
        meanwhile."""
        tape = self._node.tape
        if tape is None:
            raise Problem(409, NOT_NOW, "there is no tape: trace_bytes is 0")
        end = tape.number
        while after < end:
            done = 0
            for entry in tape.entries(after):
                after = entry.number
                if after >= end:
                    return
                if done >= AT_ONCE:
                    break
                size = len(entry.data)
                done += 1 + size * len(needles) // SEARCHED
                if may_have(entry.data, needles):
                    done += size // PARSED
                    ways = (SERVER, entry.channel) if entry.sent else (entry.channel, SERVER)
                    yield Said(entry.number, entry.time, *ways, entry.channel, orjson.loads(entry.data), size)
            else:
                return
            await pause(self._server.reactor)

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
            async for said in self.read(0, needles({dialogue})):
                if said.message["DialogueID"] != dialogue:
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


def needles(dialogues: Collection[str]) -> Collection[bytes]:
    """What messages of these dialogues have in them; nothing where reading them costs less than looking for it."""
    return [orjson.dumps(dialogue) for dialogue in dialogues] if len(dialogues) <= NEEDLES else ()


def may_have(data: bytes, needles: Collection[bytes]) -> bool:
    """Whether a message may have one of these in it: its text has one as it is, or something that is escaped."""
    return not needles or b"\\" in data or any(needle in data for needle in needles)


def rung(message: Headers, ids: dict[str, str]) -> dict[str, Any]:
    """What a ladder reads of a message, as readers may see it. `ids` are DialogueIDs, each once."""
    shown = for_readers({name: message[name] for name in RUNG if name in message})
    cut = {name: value[:WORDS_MAX] if isinstance(value, str) else value for name, value in shown.items()}
    return {**cut, "DialogueID": ids.setdefault(shown["DialogueID"], shown["DialogueID"])}


def shown(message: Headers, role: str) -> Headers:
    """A message without its body, as `role` may see it."""
    if role == READ:
        return for_readers(message)
    return {name: value for name, value in message.items() if name != "Body"}


def several(channels: Iterable[str]) -> Problem:
    """A DialogueID means something on its channel only."""
    names = sorted(channels)
    more = ", ..." if len(names) > NAMES_MAX else ""
    return Problem(409, BAD_VALUE, f"several channels have it; say which: channel={', '.join(names[:NAMES_MAX])}{more}")


SVG_LADDER: Final = Drawing(svg_rows, as_svg, SVG)
TEXT_LADDER: Final = Drawing(
    text_lines, lambda ladder, title, rows: as_text(ladder, rows) + "\n", f"{PLAIN}; charset=utf-8"
)
MERMAID: Final = Drawing(
    mermaid_lines, lambda ladder, title, rows: as_mermaid(ladder, rows) + "\n", f"{PLAIN}; charset=utf-8"
)


def is_about(party: str, channel: str, message: Headers) -> bool:
    """Whether `party`, a user or a number, with its host or without, has sent, received or is named in a message."""
    names = (channel, message.get("From"), message.get("To"), message.get("Request-URI"))
    return any(isinstance(name, str) and is_party(party, name) for name in names)
