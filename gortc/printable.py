"""Text that peers have chosen, where people read it: the log, a terminal."""

from __future__ import annotations

import json
import re
from typing import Final

REST: Final = "..."
"""What stands for the rest of what was cut."""
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What Python calls printable and nobody sees: Default_Ignorable_Code_Point (Unicode 5.21), and Braille's blank."""


def printable(text: str) -> str:
    """`text` with what can't be seen as JSON escapes it (RFC 8259 section 7): ends of lines, control characters, what
    turns the direction of writing or has no width. So it is one line, and JSON stays the same JSON."""
    if text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None):
        return text
    return "".join(
        letter if letter.isprintable() and _UNSEEN.match(letter) is None else json.dumps(letter)[1:-1]
        for letter in text
    )


def line(text: str, most: int) -> str:
    """`text` as one printable line of at most `most` characters."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - len(REST)] + REST


def printable_lines(text: str) -> str:
    """`text`, whose ends of lines are its own, with every line printable."""
    return "\n".join(map(printable, text.split("\n")))
