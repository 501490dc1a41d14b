"""A line is one line, printable, and not long, whoever has chosen what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.logger import LogEvent, LogLevel
from twisted.python.failure import Failure

from gortc.oam.lines import Sizes, Whole, as_json, as_text

FAKE = "2026-01-05T09:30:00.000Z info  [gortc.api] root at 127.0.0.1: POST /: 200"
FORGED = f"x\r\n{FAKE}\x1b[2J\u202e\u200b\x9b2J\u2028y\ud800"
HEAD = "1970-01-01T00:00:00.250Z warn  [gortc.stack] "
Form = Callable[..., str | None]


class Hostile:
    """Has a text of its own making, and others in it."""

    def __init__(self, text: str = FORGED) -> None:
        self.text = text
        self.texts = {"a": text}

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def method(self) -> str:
        """A text."""
        return self.text


class Silent:
    """Has none."""

    def __str__(self) -> str:
        raise ValueError(FORGED)

    __repr__ = __str__


def event(log_format: Any, **fields: Any) -> LogEvent:
    base = {"log_time": 0.25, "log_level": LogLevel.warn, "log_namespace": "gortc.stack", "log_format": log_format}
    return {**base, **fields}


def failed(*words: object) -> Failure:
    """A failure with a cause, both with words that a peer has chosen."""
    try:
        try:
            raise KeyError(Hostile())
        except KeyError as error:
            raise ValueError(*words) from error
    except ValueError:
        return Failure()


FORMATS = [
    "{text}", "{text!r}", "{text!s}", "{text:>3}", "{hostile}", "{hostile!r}", "{hostile.text}", "{hostile.texts[a]}",
    "{hostile.method()}", "{call()}", "{nested}", "{data}", FORGED, "{" + FORGED, "{missing}" + FORGED,
    FORGED.encode("utf-8", "replace"),    "{silent}", "{number:d}", 5, "{text.nothing}",
]  # fmt: skip


@pytest.mark.parametrize("form", [as_text, as_json])
@pytest.mark.parametrize("log_format", FORMATS, ids=ascii)
def test_nobody_forges_a_line(form: Form, log_format: Any) -> None:
    fields = {
        "text": FORGED,
        "hostile": Hostile(),
        "call": lambda: FORGED,
        "nested": {FORGED: [FORGED, {"a": (FORGED,)}]},
    }
    shown = form(event(log_format, **fields, data=FORGED.encode("utf-8", "replace"), silent=Silent(), number=10**400))
    assert shown is not None
    assert shown[-1] == "\n"
    assert shown[:-1].isprintable()
    if form is as_json:
        for text in texts(json.loads(shown)):
            assert text.isprintable()
    else:
        assert shown.startswith(HEAD)


def texts(value: Any) -> list[str]:
    """All of them."""
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("form", [as_text, as_json])
def test_an_exception_says_nothing_in_our_name(form: Form) -> None:
    """Its words stay on its own line."""
    late: Deferred[None] = fail(failed(FORGED))
    seen: list[Failure] = []
    late.addErrback(seen.append)
    for failure in (failed(FORGED), failed(Hostile()), failed(FORGED, Silent()), *seen):
        shown = form(event("it failed", log_failure=failure)) or ""
        text = json.loads(shown)["traceback"] if form is as_json else shown.partition("\n")[2]
        lines = text.splitlines()
        assert lines == text[:-1].split("\n")
        assert all(line.isprintable() for line in lines)
        assert not [line for line in lines if line.startswith("2026-")]
        assert text.count("Traceback (most recent call last):") == 2
        assert "builtins.ValueError: " in lines[-1]
        assert any(line.startswith('  File "') and line.endswith("in failed") for line in lines)
        assert [line for line in lines if line.startswith("builtins.KeyError: ")]


@pytest.mark.parametrize("form", [as_text, as_json])
def test_a_traceback_is_not_long(form: Form) -> None:
    def deep(left: int) -> None:
        if not left:
            raise ValueError("the end " + "x" * 100_000)
        deep(left - 1)

    try:
        deep(500)
    except ValueError:
        shown = form(event("it failed", log_failure=Failure())) or ""
    assert len(shown.encode()) <= 8192
    assert "478 more calls" in shown
    assert "builtins.ValueError: the end xxx" in shown


@pytest.mark.parametrize("form", [as_text, as_json])
@pytest.mark.parametrize("letter", ["x", "\n", "\u65e5", "\U0001f600", "\U000e0001", '"', "\\"])
def test_a_line_is_not_long(form: Form, letter: str) -> None:
    long = letter * 60_000
    fields = {f"field{number}": long for number in range(30)}
    sizes = Sizes(300, 2000)
    for log_format in ("{field1}", "".join(f"{{{name}}}" for name in fields), long):
        shown = form(event(log_format, **fields, more=[long], some={long: long}), sizes) or ""
        assert len(shown.encode()) <= 2000
        assert shown[:-1].isprintable()
        if form is as_json:
            assert json.loads(shown)["level"] == "warn"
    record = json.loads(as_json(event("{a}", a=long), Sizes(300, 4000)) or "")
    assert len(record["a"]) <= 300
    assert record["a"].endswith("...")


def test_fields_of_json_are_as_they_are() -> None:
    fields = {"n": None, "t": True, "i": 7, "f": 0.5, "s": "a b", "l": [1, ["a"]], "d": {"a": {"b": 1}}}
    record = json.loads(as_json(event("", **fields)) or "")
    assert {name: record[name] for name in fields} == fields


@pytest.mark.parametrize("form", [as_text, as_json])
def test_a_traced_message_is_whole(form: Form) -> None:
    """As JSON, whatever its length, on one line."""
    message = {"Type": "INFO", "Body": "\n\x1b\u202e\U000e0001" * 20_000, "n": {"a": [1.5, None]}}
    shown = form(event("{direction} {headers}", direction="<", headers=Whole(message), log_whole=True)) or ""
    assert shown[:-1].isprintable()
    found = json.loads(shown)["headers"] if form is as_json else json.loads(shown[shown.index("{") :])
    assert found == message
