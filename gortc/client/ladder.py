"""A ladder: what was said, one column a party, one line a message, with the time since the first."""

from __future__ import annotations

from gortc.jsip.message import Headers

WIDTH = 18
"""Characters between two columns."""


class Ladder:
    """Messages between parties, in the order in which they were added."""

    def __init__(self, *parties: str) -> None:
        self.parties = list(parties)
        self._rows: list[tuple[float, str, str, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, time: float, source: str, target: str, message: Headers) -> None:
        """`source` sends `message` to `target` at `time`, in seconds."""
        for party in (source, target):
            if party not in self.parties:
                self.parties.append(party)
        self._rows.append((time, source, target, label(message)))

    def draw(self) -> str:
        """The picture, as text."""
        if not self._rows:
            return "(nothing was said)"
        begin = self._rows[0][0]
        at = {party: number * WIDTH + WIDTH // 2 for number, party in enumerate(self.parties)}
        names = "".join(party.partition("@")[0][: WIDTH - 2].center(WIDTH) for party in self.parties)
        lines = [f"{'':9}{names}".rstrip()]
        for time, source, target, text in self._rows:
            line = [" "] * (WIDTH * len(self.parties))
            for column in at.values():
                line[column] = "|"
            left, right = sorted((at[source], at[target]))
            room = right - left - 1
            shaft = f" {text} "[: room - 2].center(room - 1, "-") if room > 2 else ""
            line[left + 1 : right] = shaft + ">" if at[source] < at[target] else "<" + shaft
            lines.append(f"{time - begin:8.3f} {''.join(line)}".rstrip())
        return "\n".join(lines)


def label(message: Headers) -> str:
    """What a ladder calls a message: its method, or its code and what it answers."""
    if message.get("Type") == "RESPONSE":
        return f"{message.get('Code')} {message.get('Desc', '')}".strip()
    return str(message.get("Type"))
