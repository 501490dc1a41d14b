"""The plot of a load run: what is drawn, where, and that it stays small."""

from __future__ import annotations

import re
from math import log10
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from gortc.client import plot
from gortc.client.plot import Call, latency_plot, linear, logarithmic, spans, summary

SVG = "{http://www.w3.org/2000/svg}"


def drawn(calls: list[Call], title: str = "a run") -> Element:
    return ElementTree.fromstring(latency_plot(calls, title))


def texts(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def marks(root: Element, words: str, step: str = "h0") -> list[tuple[float, float]]:
    """Where the dots (or other marks) are whose class begins with `words`, the legend's apart."""
    found = []
    for path in root.iter(f"{SVG}path"):
        if path.get("class", "").startswith(words):
            found += re.findall(rf"M([\d.]+) ([\d.]+){step}", path.get("d", ""))
    return [(float(x), float(y)) for x, y in found if float(y) != 78]


def line(root: Element, name: str) -> list[tuple[float, float]]:
    """The points of a line, those of its level ends apart."""
    steps = next(path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == name)
    return [(float(x), float(y)) for x, y in re.findall(r"L([\d.]+) ([\d.]+)", steps)]


def height(value: float, low: float, high: float) -> float:
    return plot.BOTTOM + log10(value / low) / log10(high / low) * (plot.TOP - plot.BOTTOM)


# calls


def test_each_call_is_a_dot_at_its_start_and_set_up_time() -> None:
    root = drawn([(0.0, 0.001, "ok"), (5.0, 0.01, "ok"), (10.0, 0.1, "ok")])
    middle = (plot.LEFT + plot.RIGHT) / 2
    assert marks(root, "dot ") == [
        (plot.LEFT, plot.BOTTOM),
        (middle, (plot.TOP + plot.BOTTOM) / 2),
        (plot.RIGHT, plot.TOP),
    ]


def test_failures_are_marked_by_colour_below_and_where_they_have_a_time_above() -> None:
    calls: list[Call] = [(0.0, 0.001, "ok"), (2.0, 0.01, "486"), (4.0, None, "timeout"), (8.0, None, "timeout")]
    root = drawn([*calls, (10.0, 0.1, "ok")])
    timeouts, busy = "failed-1", "failed-2"  # by their number
    tenth = (plot.RIGHT - plot.LEFT) / 10
    lane = plot.LANE + 1
    assert marks(root, timeouts, "v") == [(round(plot.LEFT + 4 * tenth), lane), (round(plot.LEFT + 8 * tenth), lane)]
    assert marks(root, busy, "v") == [(round(plot.LEFT + 2 * tenth), lane)]
    assert marks(root, timeouts) == []
    assert marks(root, busy)[0] == pytest.approx((plot.LEFT + 2 * tenth, (plot.TOP + plot.BOTTOM) / 2), abs=0.1)
    assert len(marks(root, busy)) == 1
    assert len(marks(root, "dot ")) == 2
    assert {"ok 2", "timeout 2", "486 1"} <= set(texts(root))


def test_failures_of_many_kinds_share_the_last_colour() -> None:
    calls: list[Call] = [(kind / 10, None, f"{500 + kind}") for kind in range(9) for _ in range(9 - kind)]
    root = drawn(calls)
    assert {"500 9", "501 8", "502 7", "503 6", "others 15"} <= set(texts(root))
    assert len(marks(root, "failed-5", "v")) == 5


def test_many_calls_share_dots_but_no_failure_is_lost() -> None:
    """A file of 50,000 calls is hardly larger than one of 20,000; who stands alone is seen."""
    many: list[Call] = [(number / 500, 0.002 + number % 97 / 1e5, "ok") for number in range(50_000)]
    odd: list[Call] = [(33.0, 1.5, "ok"), (34.0, 0.0021, "603")]
    sizes = [len(latency_plot(many[:count] + odd)) for count in (20_000, 50_000)]
    assert sizes[1] < min(1.3 * sizes[0], 120_000)
    root = drawn(many + odd)
    assert 200 < len(marks(root, "dot ")) < 10_000
    assert len(marks(root, "failed-1")) == len(marks(root, "failed-1", "v")) == 1
    assert min(y for _, y in marks(root, "dot ")) < plot.TOP + 30
    assert {path.get("class", "") for path in root.iter(f"{SVG}path")} >= {"dot dots few", "dot dots many"}


def test_up_to_the_limit_each_has_a_dot() -> None:
    calls: list[Call] = [(number / 100, 0.001 * 1.001**number, "ok") for number in range(plot.EXACT_MAX)]
    assert len(marks(drawn(calls), "dot ")) == plot.EXACT_MAX


# lines


def test_percentiles_of_each_second() -> None:
    first: list[Call] = [(rank / 100, rank / 1000, "ok") for rank in range(100)]  # 0..99 ms, the first 0.01 ms
    second: list[Call] = [(1.0, 0.05, "ok"), (1.5, None, "timeout"), (2.0, 0.05, "ok")]
    root = drawn(first + second)
    quarter = (plot.RIGHT - plot.LEFT) / 4
    for q, value in ((50, 0.049), (95, 0.094), (99, 0.098)):
        points = line(root, f"p{q}")
        assert [x for x, _ in points] == pytest.approx([plot.LEFT + quarter, plot.RIGHT - quarter], abs=0.1)
        assert [y for _, y in points] == pytest.approx([height(value, 1e-5, 0.1), height(0.05, 1e-5, 0.1)], abs=0.1)
    assert "percentiles of each second" in texts(root)


def test_a_second_without_set_up_times_leaves_a_gap() -> None:
    root = drawn([(0.5, 0.01, "ok"), (1.5, None, "timeout"), (2.5, 0.01, "ok"), (3.0, None, "timeout")])
    steps = next(path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "p50")
    assert re.sub(r"[\d. ]+", "", steps) == "MLHMLH"


def test_names_of_lines_that_meet_stand_apart() -> None:
    root = drawn([(0.0, 0.01, "ok"), (1.0, 0.01, "ok")])
    heights = [
        float(text.get("y", "")) for text in root.iter(f"{SVG}text") if (text.text or "") in ("p50", "p95", "p99")
    ]
    assert heights == [heights[0], heights[0] + 14, heights[0] + 28]


@pytest.mark.parametrize(("end", "count", "width"), [(1.0, 1, 1), (2.4, 3, 1), (300.0, 300, 1), (901.5, 226, 4)])
def test_spans(end: float, count: int, width: int) -> None:
    calls: list[Call] = [(0.0, 0.1, "ok"), (0.999, 0.1, "ok"), (end, 0.1, "ok")]
    found = spans(calls, end)
    assert len(found) == count
    assert found[0][:2] == (0, min(width, end))
    assert found[-1][1] == end
    assert sum(len(inside) for _, _, inside in found) == 3
    assert found[0][2][:2] == calls[:2]
    assert found[-1][2][-1] == calls[-1]


def test_the_rate_of_each_second() -> None:
    calls: list[Call] = [(number / 10, 0.01, "ok") for number in range(10)]
    calls += [(1 + number / 20, 0.01, "ok") for number in range(20)]
    root = drawn([*calls, (2.1, 0.01, "ok")])  # the last tenth of a second is too short for a rate
    steps = next(path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == "rate")
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", steps)]
    tall = plot.RATE_BOTTOM - plot.RATE_TOP
    assert heights == pytest.approx([plot.RATE_BOTTOM - tall * rate / 22 for rate in (10, 20)], abs=0.1)
    assert "20" in texts(root)


# axes


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0012, 0.04, [0.001, 0.002, 0.005, 0.01, 0.02, 0.05]),
        (0.001, 0.1, [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1]),
        (0.003, 0.004, [0.002, 0.005]),
        (0.01, 0.01, [0.005, 0.01, 0.02]),
        (7.0, 7.0, [5, 10]),
    ],
)
def test_a_logarithmic_axis(low: float, high: float, ticks: list[float]) -> None:
    axis = logarithmic(low, high, 100, 0)
    assert axis.ticks == pytest.approx(ticks)
    assert axis.place(axis.ticks[0]) == pytest.approx(100)
    assert axis.place(axis.ticks[-1]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("high", "count", "ticks"),
    [(1.0, 8, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (9.99, 8, [0, 2, 4, 6, 8]), (100, 8, [0, 20, 40, 60, 80, 100])],
)
def test_a_linear_axis(high: float, count: int, ticks: list[float]) -> None:
    axis = linear(0, high, 0, 50, count)
    assert axis.ticks == pytest.approx(ticks)
    assert (axis.place(0), axis.place(high)) == (0, 50)


def test_titles_of_the_axes() -> None:
    root = drawn([(0.0, 0.0012, "ok"), (3.0, 2.0, "ok")])
    assert {"set-up time (ms)", "time since start (s)", "calls/s", "1", "10", "100", "1,000", "2,000"} <= set(
        texts(root)
    )


# words


def test_summary() -> None:
    calls: list[Call] = [(number / 100, (number + 1) / 1000, "ok") for number in range(1000)]
    calls += [(10.0, None, "timeout")]
    assert summary(calls) == (
        "1,001 calls in 10.0 s, 100.0 a second \u00b7 1,000 ok, 1 failed \u00b7 "
        "set-up p50 500, p95 950, p99 990, longest 1,000 ms"
    )
    assert summary([(0.0, 0.0005, "ok")]) == (
        "1 calls in 0.0 s \u00b7 1 ok, 0 failed \u00b7 set-up p50 0.500, p95 0.500, p99 0.500, longest 0.500 ms"
    )
    assert summary([(0.0, None, "closed"), (2.0, None, "closed")]) == (
        "2 calls in 2.0 s, 0.5 a second \u00b7 0 ok, 2 failed"
    )


def test_nothing_to_draw() -> None:
    root = drawn([])
    assert "no call was played" in texts(root)
    assert marks(root, "dot ") == []


def test_failures_only() -> None:
    root = drawn([(0.0, None, "closed")])
    assert len(marks(root, "failed-1", "v")) == 1
    assert not {"p50", "p95", "p99"} & set(texts(root))


def test_hostile_words() -> None:
    words = '</text><b a="&\'">\x00'
    root = drawn([(0.0, None, words)], words)
    shown = words.replace("\x00", r"\u0000")
    assert shown in texts(root)
    assert f"{shown} 1" in texts(root)
    assert root.findtext(f"{SVG}title") == shown
    assert {element.tag.removeprefix(SVG) for element in root.iter()} == {
        "svg",
        "title",
        "style",
        "rect",
        "path",
        "text",
    }


def test_every_colour_is_there_on_light_and_on_dark_paper() -> None:
    root = drawn([(0.0, 0.01, "ok"), *((1.0, 0.01, f"{code}") for code in range(480, 490))])
    light, _, dark = root.findtext(f"{SVG}style", "").partition("@media (prefers-color-scheme: dark)")
    shapes = [element for element in root.iter() if element.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}text")]
    colours = {element.get("class", "").split()[0] for element in shapes}
    assert colours >= {"dot", "rate", "p50", "p95", "p99", "failed-1", "failed-5"}
    assert all(f".{colour} {{ color: #" in side for colour in colours for side in (light, dark))
