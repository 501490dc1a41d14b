"""The set-up times of a load run as SVG: every call a dot, percentiles of each second, failures, the rate of starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil, floor, log10
from typing import NamedTuple

from gortc.client import svg
from gortc.client.figures import per_second, percentile
from gortc.client.ladder import printable

OK = "ok"
PERCENTILES = (50, 95, 99)
EXACT_MAX = 2000
"""More set-up times than these share dots, so that the file stays small however long the run."""
CELL = 4
"""Those within so many pixels share one."""
SPANS_MAX = 300
"""A line has no more points: in longer runs they stand for more than a second each."""
LEAST = 1e-5
"""Seconds; less is drawn as this."""

# Pixels.
WIDTH, HEIGHT = 960, 566
LEFT, RIGHT = 70, WIDTH - 48
TOP, BOTTOM = 104, 396
LANE = 410
"""Where failures are marked."""
LANE_HEIGHT = 12
RATE_TOP, RATE_BOTTOM = 446, 512

COLOURS = {
    "dot": ("#8fb4ee", "#3d639c"),
    "p50": ("#3574e2", "#6fa3f7"),
    "p95": ("#1c479c", "#a9cbff"),
    "p99": ("#0d2250", "#e6f0ff"),
    "rate": ("#5a6b7d", "#9fb0c2"),
    "failed-1": ("#d92b2b", "#ff7070"),
    "failed-2": ("#ee8a00", "#ffb454"),
    "failed-3": ("#b8328f", "#f28cd2"),
    "failed-4": ("#80562c", "#cda67c"),
    "failed-5": ("#7b8794", "#aab4be"),
}
STYLE = """
    .title { font-size: 17px; font-weight: 600 }
    .small { font-size: 12px }
    .thin { stroke-width: 1; shape-rendering: crispEdges }
    .dots { stroke-width: 4.5 }
    .few { opacity: .45 } .some { opacity: .7 }
"""
OTHERS = "others"
_KINDS = 5

Call = tuple[float, "float | None", str]
"""When it started (s since the run's start), its set-up time (s) where it has one, and "ok" or how it failed."""


class Axis(NamedTuple):
    """From values to pixels, with the values that are marked."""

    place: Callable[[float], float]
    ticks: list[float]


def latency_plot(calls: Sequence[Call], title: str = "Set-up times") -> str:
    """The drawing of these calls: the set-up time over the start, on a logarithmic scale."""
    ordered = sorted(calls, key=lambda call: call[0])
    end = max([1.0, *(start for start, _, _ in ordered)])
    setups = [max(setup, LEAST) for _, setup, _ in ordered if setup is not None]
    across = linear(0.0, end, LEFT, RIGHT, 8)
    up = logarithmic(min(setups, default=0.001), max(setups, default=0.1), BOTTOM, TOP)
    kinds = _colours(outcome for _, _, outcome in ordered)
    parts = [
        svg.text(LEFT, 34, printable(title, 110), "ink title", "start"),
        svg.text(LEFT, 56, summary(ordered), "muted small", "start"),
        *_legend(Counter(kinds[outcome] for _, _, outcome in ordered), kinds),
        *_frame(across, up),
        *_dots(ordered, kinds, across, up),
        *_failures(ordered, kinds, across),
        *_percentiles(ordered, end, across, up),
        *_rate(ordered, end, across),
    ]
    return svg.document(WIDTH, HEIGHT, title, parts, COLOURS, STYLE)


def summary(ordered: Sequence[Call]) -> str:
    """The run in one line; `ordered` are its calls by their start."""
    if not ordered:
        return "no call was played"
    failed = sum(outcome != OK for _, _, outcome in ordered)
    rate = per_second([start for start, _, _ in ordered])
    words = [
        f"{len(ordered):,} calls in {ordered[-1][0]:.1f} s" + (f", {rate:,.1f} a second" if rate else ""),
        f"{len(ordered) - failed:,} ok, {failed:,} failed",
    ]
    setups = sorted(setup * 1000 for _, setup, _ in ordered if setup is not None)
    if setups:
        marks = ", ".join(f"p{q} {_short(percentile(setups, q))}" for q in PERCENTILES)
        words.append(f"set-up {marks}, longest {_short(setups[-1])} ms")
    return " \u00b7 ".join(words)


def _short(value: float) -> str:
    return f"{value:,.{0 if value >= 100 else 1 if value >= 1 else 3}f}"


# axes


def linear(low: float, high: float, begin: float, end: float, count: int) -> Axis:
    """An axis with about `count` round values from `low` to `high`, from pixel `begin` to `end`."""
    step = _round((high - low) / count, ceil)
    ticks = [low + step * place for place in range(floor((high - low) / step + 1e-9) + 1)]
    return Axis(lambda value: begin + (value - low) / (high - low) * (end - begin), ticks)


def logarithmic(low: float, high: float, begin: float, end: float) -> Axis:
    """An axis in decades that goes from a round value (1, 2 or 5 of a decade) to another one."""
    low, high = _round(low, floor), _round(high, ceil)
    if high <= low:
        low, high = _round(low * 0.9, floor), _round(high * 1.1, ceil)
    ticks = [low]
    while ticks[-1] < high * 0.999:
        ticks.append(_round(ticks[-1] * 1.1, ceil))
    return Axis(lambda value: begin + log10(value / low) / log10(high / low) * (end - begin), ticks)


def _round(value: float, way: Callable[[float], int]) -> float:
    """The next 1, 2 or 5 of a decade, up (`ceil`) or down (`floor`)."""
    decade = 10.0 ** floor(log10(value))
    digit = value / decade
    ladder = (1, 2, 5, 10)
    if way is ceil:
        return decade * next(mark for mark in ladder if mark >= digit * 0.999999)
    return decade * next(mark for mark in reversed(ladder) if mark <= digit * 1.000001)


def _frame(across: Axis, up: Axis) -> Iterator[str]:
    yield from _scale(up, "set-up time (ms)", (TOP + BOTTOM) // 2, 1000)
    for tick in across.ticks:
        x = round(across.place(tick)) + 0.5
        yield svg.path("rule thin", f"M{x} {RATE_BOTTOM}v5")
        yield svg.text(x, RATE_BOTTOM + 20, f"{tick:,.10g}", "muted small")
    yield svg.text((LEFT + RIGHT) / 2, HEIGHT - 14, "time since start (s)", "ink small")


def _scale(up: Axis, title: str, middle: int, unit: float = 1) -> Iterator[str]:
    """The lines of an upright axis, in `unit`s, and its title at the height of its middle."""
    for tick in up.ticks:
        y = round(up.place(tick)) + 0.5
        yield svg.path("rule thin", f"M{LEFT} {y}H{RIGHT}")
        yield svg.text(LEFT - 10, y + 4, f"{tick * unit:,.10g}", "muted small", "end")
    yield svg.text(18, middle, title, "ink small", more=f' transform="rotate(-90 18 {middle})"')


# calls


def _colours(outcomes: Iterable[str]) -> dict[str, str]:
    """The class of each outcome: the failures that are most frequent have a colour of their own."""
    counts = Counter(outcome for outcome in outcomes if outcome != OK)
    by_count = sorted(counts, key=lambda outcome: (-counts[outcome], outcome))
    return {OK: "dot"} | {kind: f"failed-{min(place, _KINDS)}" for place, kind in enumerate(by_count, 1)}


def _legend(counts: Counter[str], kinds: dict[str, str]) -> Iterator[str]:
    x = LEFT
    for colour in sorted(counts):
        named = [kind for kind, its in kinds.items() if its == colour]
        words = f"{printable(named[0], 24) if len(named) == 1 else OTHERS} {counts[colour]:,}"
        yield svg.path(f"{colour} dots", f"M{x + 4} {78}h0", ' style="stroke-width: 9"')
        yield svg.text(x + 14, 82, words, "ink small", "start")
        x += 14 + svg.LETTER * len(words) + 18


def _dots(ordered: Sequence[Call], kinds: dict[str, str], across: Axis, up: Axis) -> Iterator[str]:
    """A dot for each set-up time, failures last so that none is hidden; of many, one for those at the same place."""
    spots: dict[str, Counter[tuple[float, float]]] = {}
    there = [(start, max(setup, LEAST), outcome) for start, setup, outcome in ordered if setup is not None]
    cell = CELL if len(there) > EXACT_MAX else 0.1
    for start, setup, outcome in there:
        spot = round(across.place(start) / cell) * cell, round(up.place(setup) / cell) * cell
        spots.setdefault(kinds[outcome], Counter())[spot] += 1
    for colour in sorted(spots):
        shades: dict[str, list[str]] = {}
        for (x, y), count in spots[colour].items():
            shade = "many" if cell < 1 or count > 9 or colour != "dot" else "some" if count > 2 else "few"
            shades.setdefault(shade, []).append(f"M{x:.4g} {y:.4g}h0")
        for shade, steps in sorted(shades.items()):
            yield svg.path(f"{colour} dots {shade}", "".join(steps))


def _failures(ordered: Sequence[Call], kinds: dict[str, str], across: Axis) -> Iterator[str]:
    """A stroke for each failed call below the plot, whether it has a set-up time or not."""
    yield svg.text(LEFT - 10, LANE + 10, "failed", "muted small", "end")
    yield svg.rect("rule", LEFT, LANE, RIGHT - LEFT, LANE_HEIGHT, ' opacity=".35"')
    for colour in sorted(set(kinds.values()) - {"dot"}):
        xs = sorted({round(across.place(start)) for start, _, outcome in ordered if kinds[outcome] == colour})
        yield svg.path(colour, "".join(f"M{x} {LANE + 1}v{LANE_HEIGHT - 2}" for x in xs), ' style="stroke-width: 2"')


# lines


def seconds(end: float) -> int:
    """How long the spans are that the points of a line stand for: a second each, in long runs more."""
    return max(1, ceil(end / SPANS_MAX))


def spans(ordered: Sequence[Call], end: float) -> list[tuple[float, float, list[Call]]]:
    """The calls that start in each span: its begin, its end, they."""
    width = seconds(end)
    found: list[tuple[float, float, list[Call]]] = [
        (begin, min(begin + width, end), []) for begin in range(0, ceil(end), width)
    ]
    for call in ordered:
        found[min(int(call[0] // width), len(found) - 1)][2].append(call)
    return found


def _percentiles(ordered: Sequence[Call], end: float, across: Axis, up: Axis) -> Iterator[str]:
    """Of the calls that started in a span, at its middle; a span without any leaves a gap."""
    found = [
        (begin, till, sorted(max(setup, LEAST) for _, setup, _ in calls if setup is not None))
        for begin, till, calls in spans(ordered, end)
    ]
    label = float(TOP - 20)
    for q in reversed(PERCENTILES):
        steps, y = [], None
        for place, (begin, till, setups) in enumerate(found):
            if not setups:
                continue
            y = up.place(percentile(setups, q))
            if place == 0 or not found[place - 1][2]:
                steps.append(f"M{across.place(begin):.1f} {y:.1f}")
            steps.append(f"L{across.place((begin + till) / 2):.1f} {y:.1f}")
            if place + 1 == len(found) or not found[place + 1][2]:
                steps.append(f"H{across.place(till):.1f}")
        if y is not None:
            label = max(y, label + 14)  # so that no two of them meet
            yield svg.path(f"p{q}", "".join(steps), ' style="stroke-width: 1.75"')
            yield svg.text(RIGHT + 8, round(label) + 4, f"p{q}", f"p{q} small", "start")
    width = seconds(end)
    words = f"percentiles of each {'second' if width == 1 else f'{width} s'}"
    yield svg.text(RIGHT, HEIGHT - 14, words, "muted small", "end")


def _rate(ordered: Sequence[Call], end: float, across: Axis) -> Iterator[str]:
    """Calls started a second, below."""
    rates = [(begin, till, len(calls) / (till - begin)) for begin, till, calls in spans(ordered, end)]
    if len(rates) > 1 and rates[-1][1] - rates[-1][0] < 0.5 * (rates[0][1] - rates[0][0]):
        rates.pop()  # too short a time for a rate
    up = linear(0.0, max(1.0, *(rate for _, _, rate in rates)) * 1.1, RATE_BOTTOM, RATE_TOP, 2)
    yield from _scale(up, "calls/s", (RATE_TOP + RATE_BOTTOM) // 2)
    steps = "".join(
        f"{'L' if place else 'M'}{across.place(begin):.1f} {up.place(rate):.1f}H{across.place(till):.1f}"
        for place, (begin, till, rate) in enumerate(rates)
    )
    yield svg.path("rate", steps)
