"""A ladder: what was said, one column a party, one line a message, with the time since the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from gortc.jsip.message import Headers
from gortc.jsip.methods import ACK, CANCEL, INVITE
from gortc.printable import line as one_line

SERVER = "gortc"
"""The server's column."""
WIDTH = 18
"""Characters between two columns, at least."""
TEXT_MAX = 60
"""What is longer is cut: peers name themselves and their messages as they like."""


class Rung(NamedTuple):
    """A message. `code` is a response's, None of a request."""

    time: float
    source: str
    target: str
    label: str
    code: int | None
    dialogue_id: str
    cseq: str


class Note(NamedTuple):
    """A remark beside a party's line, or across all of them where `party` is None."""

    time: float
    party: str | None
    text: str


class Ladder:
    """What was said between parties, and remarks, in the order in which they were added: `rows`."""

    def __init__(self, *parties: str) -> None:
        self.parties = list(parties)
        self._seated = set(parties)
        self.rows: list[Rung | Note] = []
        self._asked: dict[tuple[str, ...], str] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, time: float, source: str, target: str, message: Headers) -> None:
        """`source` sends `message` to `target` at `time`, in seconds."""
        self._seat(source, target)
        dialogue_id, cseq = str(message.get("DialogueID", "")), str(message.get("CSeq", ""))
        kind = str(message.get("Type"))
        if kind == "RESPONSE":
            code = message["Code"] if isinstance(message.get("Code"), int) else 0
            method = self._answered((target, source, dialogue_id, cseq), code)
        else:
            code, method = None, None
            if kind == CANCEL:
                self._asked[source, target, dialogue_id, cseq, CANCEL] = kind
            elif kind != ACK:
                self._asked[source, target, dialogue_id, cseq] = kind
        self.rows.append(Rung(time, source, target, label(message, method), code, dialogue_id, cseq))

    def note(self, time: float, party: str | None, text: str) -> None:
        """Something happens to `party`, or to all, at `time`, in seconds."""
        if party is not None:
            self._seat(party)
        self.rows.append(Note(time, party, printable(text)))

    def last(self, number: int, before: int = 0) -> Ladder:
        """Its last rows, and a remark on how many there were before them; `before` were before all of it."""
        left = before + len(self.rows) - number
        if not left:
            return self
        made = Ladder(*self.parties)
        rows = self.rows[-number:]
        made.note(rows[0].time, None, f"{left} before these are left out")
        made.rows += rows
        return made

    def draw(self) -> str:
        """The picture, as text."""
        return as_text(self)

    @property
    def begin(self) -> float:
        """The time of the first row, 0 where there is none."""
        return self.rows[0].time if self.rows else 0.0

    def names(self) -> dict[str, str]:
        """What each party is called: what is before its `@`, its whole name where two would be called the same."""
        short = {party: party.partition("@")[0] or party for party in self.parties}
        times = Counter(short.values())
        return {party: printable(name if times[name] == 1 else party) for party, name in short.items()}

    def columns(self, least: int, room: Callable[[str], int]) -> dict[str, int]:
        """Where each party's line is: at least `least` from the last one, and so far that names and labels fit.

        `room(text)` is what a text takes between two lines.
        """
        names = list(self.names().values())
        number = {party: place for place, party in enumerate(self.parties)}
        spans = [
            (place - 1, place, max(least, (room(names[place - 1]) + room(names[place]) + 1) // 2))
            for place in range(1, len(names))
        ]
        for row in self.rows:
            if isinstance(row, Rung):
                left, right = sorted((number[row.source], number[row.target]))
                spans.append((left, right, room(row.label)))
        at = [max([least, *map(room, names[:1])]) // 2] * len(names)
        for left, right, width in sorted(spans, key=itemgetter(1)):  # so that what is left of a line is settled
            if left < right:
                at[right] = max(at[right], at[left] + width)
        return dict(zip(self.parties, at, strict=True))

    def _seat(self, *parties: str) -> None:
        for party in parties:
            if party not in self._seated:
                self._seated.add(party)
                self.parties.append(party)

    def _answered(self, request: tuple[str, str, str, str], code: int) -> str | None:
        """The method of the request that is answered. A CANCEL may have its INVITE's CSeq (jsip.md section 3)."""
        cancel = self._asked.pop((*request, CANCEL), None) if code in (200, 481) or request not in self._asked else None
        return cancel or self._asked.get(request)


def label(message: Headers, method: str | None = None) -> str:
    """What a ladder calls a message: its method, or its code, phrase and, but for an INVITE, the `method` answered."""
    if message.get("Type") != "RESPONSE":
        return printable(str(message.get("Type")))
    answered = f" ({method})" if method not in (None, INVITE) else ""
    return printable(f"{message.get('Code')} {message.get('Desc', '')}".strip() + answered)


def printable(text: str, most: int = TEXT_MAX) -> str:
    """`text` on one line, as it can be read, and cut to `most` characters."""
    return one_line(text, most)


def as_text(ladder: Ladder, drawn: Iterable[str] | None = None) -> str:
    """The picture for a terminal, in characters of the same width. `drawn` are its lines, where they are there."""
    return "\n".join(text_lines(ladder) if drawn is None else drawn)


def text_lines(ladder: Ladder) -> Iterator[str]:
    """The lines of the picture, one by one."""
    if not ladder.rows:
        yield "(nothing was said)"
        return
    at = ladder.columns(WIDTH, lambda text: len(text) + 5)  # a space and an end on either side, and a dash
    head: list[str] = []
    for party, name in ladder.names().items():
        _lay(head, at[party] - (len(name) + 1) // 2, name)
    yield f"{'':9}{''.join(head)}"
    for row in ladder.rows:
        line: list[str] = []
        for column in at.values():
            _lay(line, column, "|")
        if isinstance(row, Note):
            _lay(line, *_remark(row, at))
        else:
            _lay(line, *_arrow(row, at))
        yield f"{row.time - ladder.begin:8.3f} {''.join(line)}".rstrip()


def _lay(line: list[str], start: int, text: str) -> None:
    line.extend(" " * (start - len(line)))
    line[start : start + len(text)] = text


def _arrow(rung: Rung, at: dict[str, int]) -> tuple[int, str]:
    left, right = sorted((at[rung.source], at[rung.target]))
    if left == right:
        return left + 1, f"<- {rung.label} -"
    shaft = f" {rung.label} ".center(right - left - 2, "-")
    return left + 1, f"{shaft}>" if at[rung.source] < at[rung.target] else f"<{shaft}"


def _remark(note: Note, at: dict[str, int]) -> tuple[int, str]:
    if note.party is not None:
        text = f"[{note.text}]"
        return max(0, at[note.party] - len(text) // 2), text
    left, right = min(at.values(), default=0), max(at.values(), default=0)
    return left, f" {note.text} ".center(right - left + 1, ".")
