"""A ladder as a Mermaid sequence diagram, for documents and tickets that draw one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gortc.client.ladder import Ladder, Note

PAUSE = 1.0
"""So many seconds without a row are told, for the diagram has no time column."""
_PLAIN = frozenset(" -_.,@/()'+=!?*:")


def as_mermaid(ladder: Ladder, drawn: Iterable[str] | None = None) -> str:
    """The diagram: requests have a solid line, responses a dashed one. `drawn` are its lines, where they are there."""
    return "\n    ".join(mermaid_lines(ladder) if drawn is None else drawn)


def mermaid_lines(ladder: Ladder) -> Iterator[str]:
    """The lines of the diagram, one by one."""
    yield "sequenceDiagram"
    names = ladder.names() or {"": "nobody"}
    ids = {party: f"p{place}" for place, party in enumerate(names, 1)}
    yield from (f"participant {ids[party]} as {escape(name)}" for party, name in names.items())
    everybody = f"p1,p{len(ids)}" if len(ids) > 1 else "p1"
    last = ladder.begin
    for row in ladder.rows:
        if row.time - last >= PAUSE:
            yield f"Note over {everybody}: {row.time - last:.1f} s later"
        last = row.time
        if isinstance(row, Note):
            yield f"Note over {everybody if row.party is None else ids[row.party]}: {escape(row.text)}"
        else:
            line = "->>" if row.code is None else "-->>"
            yield f"{ids[row.source]}{line}{ids[row.target]}: {escape(row.label)}"


def escape(text: str) -> str:
    """`text` as Mermaid text: what might mean something to Mermaid or to HTML by its number."""
    return "".join(letter if letter in _PLAIN or letter.isalnum() else f"#{ord(letter)};" for letter in text) or " "
