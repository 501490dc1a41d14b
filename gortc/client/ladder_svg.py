"""A ladder as SVG: one file without script or dependency, for browsers and documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gortc.client import svg
from gortc.client.ladder import Ladder, Note, Rung

LEFT = 84
"""The time column, in pixels."""
TOP = 64
"""To the first row."""
ROW = 34
COLUMN = 150
"""Pixels between two lines, at least."""
MARGIN = 20
HEAD = 28
"""A name's box."""
LONG = 15
"""A ladder with more rows has the names below as well."""

COLOURS = {
    "box": ("#f1f4f8", "#222a33"),
    "request": ("#1d4fd8", "#82aaff"),
    "progress": ("#a86400", "#e5b454"),
    "success": ("#17803d", "#63cf8f"),
    "failure": ("#c8253a", "#ff8080"),
    "note": ("#fdf3d0", "#3d3520"),
}
STYLE = """
    .name { font-weight: 600 }
    .rung:hover path { stroke-width: 3 }
"""
_CLASSES = {1: "progress", 2: "success"}


Drawn = tuple[str, int]
"""A part of the drawing, and how far it reaches to the right."""


def as_svg(ladder: Ladder, title: str = "A ladder", drawn: Iterable[Drawn] | None = None) -> str:
    """The drawing. The pointer on an arrow shows its DialogueID and CSeq. `drawn` are its rows, where they are
    there."""
    at = _columns(ladder)
    names = ladder.names()
    end = TOP + ROW * max(len(ladder), 1)
    right = max([LEFT, *(at[party] + _half(name) for party, name in names.items())])
    parts = [svg.path("rule", f"M{x} {MARGIN + HEAD}V{end}", ' stroke-dasharray="2 4"') for x in at.values()]
    for top in (MARGIN, end) if len(ladder) > LONG else (MARGIN,):
        for party, name in names.items():
            parts.append(_name(party, name, at[party], top))
    if not ladder.rows:
        parts.append(svg.text(LEFT, TOP, "nothing was said", "muted", "start"))
    for part, reach in svg_rows(ladder) if drawn is None else drawn:
        parts.append(part)
        right = max(right, reach)
    height = end + (HEAD if len(ladder) > LONG else 0) + MARGIN
    return svg.document(int(right) + MARGIN, height, title, parts, COLOURS, STYLE)


def svg_rows(ladder: Ladder) -> Iterator[Drawn]:
    """The rows of the drawing, one by one."""
    at = _columns(ladder)
    for place, row in enumerate(ladder.rows):
        y = TOP + ROW * place + ROW // 2
        time = svg.text(LEFT - 24, y + 4, f"{row.time - ladder.begin:.3f}", "muted", "end")
        part, reach = _arrow(row, at, y) if isinstance(row, Rung) else _note(row, at, y)
        yield f"{time}\n  {part}", reach


def _columns(ladder: Ladder) -> dict[str, int]:
    return {party: LEFT + x for party, x in ladder.columns(COLUMN, lambda text: 2 * _half(text) + 8).items()}


def _half(name: str) -> int:
    """Half of a name's box."""
    return max(svg.BOLD * len(name) // 2 + 14, 40)


def _name(party: str, name: str, x: int, top: int) -> str:
    half = _half(name)
    box = svg.rect("box", x - half, top, 2 * half, HEAD, ' rx="6"')
    return f"<g>{svg.hover(party)}{box}{svg.text(x, top + 19, name, 'ink name')}</g>"


def _arrow(rung: Rung, at: dict[str, int], y: int) -> Drawn:
    """A message."""
    colour = "request" if rung.code is None else _CLASSES.get(rung.code // 100, "failure")
    begin, end = at[rung.source], at[rung.target]
    if begin == end:
        line = f"M{end} {y - 6}h24v12H{end + 2}m7 -4l-7 4l7 4"
        words = svg.text(end + 34, y + 4, rung.label, anchor="start")
        reach = end + 34 + svg.LETTER * len(rung.label)
    else:
        back = -1 if begin < end else 1
        tip = end + back
        line = f"M{begin} {y}H{tip}m{7 * back} -4L{tip} {y}l{7 * back} 4"
        words = svg.text((begin + end) / 2, y - 6, rung.label)
        reach = max(begin, end)
    named = svg.hover(f"{rung.label}\n{rung.source} to {rung.target}\nDialogueID {rung.dialogue_id}, CSeq {rung.cseq}")
    return f'<g class="rung">{named}{svg.path(colour, line)}{words}</g>', reach


def _note(note: Note, at: dict[str, int], y: int) -> Drawn:
    """A remark."""
    half = svg.LETTER * len(note.text) // 2 + 12
    lines = [at[note.party]] if note.party is not None else [*at.values()] or [LEFT]
    x = max((min(lines) + max(lines)) // 2, LEFT + half - 12)
    begin, width = (
        (x - half, 2 * half) if note.party is not None else (lines[0] - 12, max(0, lines[-1] - lines[0]) + 24)
    )
    begin, width = min(begin, x - half), max(width, 2 * half)
    box = svg.rect("note", begin, y - 11, width, 22, ' rx="4"')
    return f"<g>{box}{svg.text(x, y + 4, note.text)}</g>", begin + width
