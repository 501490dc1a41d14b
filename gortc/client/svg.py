"""What the drawings share: a document, its colours on light and on dark paper, and text.

A class names a colour; shapes use it as `currentColor`, so that light and dark differ in these lines only.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from gortc.client.ladder import printable

LETTER = 7
BOLD = 8
"""What a letter takes on average, in pixels, at 13 pixels' height."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
COMMON = {
    "paper": ("#ffffff", "#14181d"),
    "ink": ("#1f2933", "#e4e7eb"),
    "muted": ("#6b7785", "#8d99a6"),
    "rule": ("#d5dbe1", "#343d47"),
}
"""Class -> colour on light and on dark paper."""
STYLE = f"""
    text {{ font: 13px {FONT}; fill: currentColor; font-variant-numeric: tabular-nums }}
    path {{ fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linecap: round; stroke-linejoin: round }}
    rect {{ fill: currentColor }}
"""


def document(
    width: int, height: int, title: str, parts: Iterable[str], colours: dict[str, tuple[str, str]], style: str = ""
) -> str:
    """The whole drawing, in pixels. `colours` are classes beside the `COMMON` ones, `style` further rules of CSS."""
    classes = COMMON | colours
    light, dark = (
        "".join(f"    .{name} {{ color: {pair[side]} }}\n" for name, pair in classes.items()) for side in (0, 1)
    )
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' role="img">',
        f"  <title>{escape(printable(title, 200))}</title>",
        f"  <style>{STYLE}{style}{light}    @media (prefers-color-scheme: dark) {{\n{dark}    }}\n  </style>",
        f'  <rect class="paper" width="{width}" height="{height}"/>',
        *(f"  {part}" for part in parts),
        "</svg>\n",
    ])  # fmt: skip


def text(x: float, y: float, words: str, colour: str = "ink", anchor: str = "middle", more: str = "") -> str:
    """One line of text at `x`, its `anchor`: start, middle or end. `more` are further attributes."""
    anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{colour}" x="{x:g}" y="{y:g}"{anchored}{more}>{escape(printable(words, 200))}</text>'


def path(colour: str, steps: str, more: str = "") -> str:
    """A line; `steps` are SVG path data."""
    return f'<path class="{colour}" d={quoteattr(steps)}{more}/>'


def rect(colour: str, x: float, y: float, width: float, height: float, more: str = "") -> str:
    """A filled box."""
    return f'<rect class="{colour}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{more}/>'


def hover(words: str) -> str:
    """What a viewer shows of a group's drawing where the pointer is on it; may have several lines."""
    return f"<title>{escape(chr(10).join(printable(line, 200) for line in words.splitlines()))}</title>"
