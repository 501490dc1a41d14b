"""An event as a line of text, or of JSON. Whoever has chosen what is in it: it is one line, printable, and not long."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, Final, NamedTuple

import orjson
from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure

from gortc.printable import line, printable

VALUE_MAX: Final = 500
LINE_MAX: Final = 8192
FRAMES_MAX: Final = 24
"""A traceback is cut to so many calls: the outermost, and those where it has failed."""
CHAIN_MAX: Final = 4
"""So many exceptions that have led to each other are shown."""
WHOLE: Final = "log_whole"
"""What marks an event that `trace` wants logged: it is neither counted nor cut."""
DEPTH_MAX: Final = 8
_LEGACY = frozenset(("format", "isError", "message", "system", "time"))
_INTEGER_MAX: Final = 2**53
"""A larger one is not the same to all who read JSON (RFC 8259 section 6)."""


class Sizes(NamedTuple):
    """How long a value may be, in characters, and an event, in bytes: the settings `log_value_max`, `log_line_max`."""

    value: int = VALUE_MAX
    event: int = LINE_MAX


SIZES: Final = Sizes()


class Whole:
    """A value that is not cut: a message, which `trace` logs as the JSON that it is."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __str__(self) -> str:
        return printable(_json(self.value))


class Value:
    """Any other one, as it stands in a line; `formatEvent` asks for it, for its attributes, for what it returns."""

    def __init__(self, value: Any, most: int) -> None:
        self._value = value
        self._most = most

    def __format__(self, how: str) -> str:
        return line(format(self._value, how), self._most)

    def __str__(self) -> str:
        return line(str(self._value), self._most)

    def __repr__(self) -> str:
        return line(repr(self._value), self._most)

    def __getattr__(self, name: str) -> Value:
        return Value(getattr(self._value, name), self._most)

    def __getitem__(self, key: Any) -> Value:
        return Value(self._value[key], self._most)

    def __call__(self) -> Value:
        return Value(self._value(), self._most)


def as_text(event: LogEvent, sizes: Sizes = SIZES) -> str | None:
    """A line: time, level, source, what happened; a traceback follows on lines of its own."""
    whole = WHOLE in event
    text = _told(event, sizes, True)
    if "log_failure" in event:
        text = "\n".join((text, *_traceback(event["log_failure"], sizes.value)))
    if not text:
        return None
    head = f"{_time(event)} {event['log_level'].name:5} [{line(str(event.get('log_namespace', '-')), sizes.value)}] "
    return f"{head}{text if whole else _short(text, sizes.event - len(head) - 1)}\n"


def as_json(event: LogEvent, sizes: Sizes = SIZES) -> str | None:
    """A line of JSON: the same, with the event's own fields as they are, but for their length."""
    whole = WHOLE in event
    record: dict[str, Any] = {
        "time": _time(event),
        "level": event["log_level"].name,
        "source": _field(event.get("log_namespace"), sizes),
        "event": _told(event, sizes, False),
    }
    if "log_failure" in event:
        record["traceback"] = "\n".join((*_traceback(event["log_failure"], sizes.value), ""))
    least = dict(record)
    for name, value in event.items():
        if not name.startswith("log_") and name not in record and name not in _LEGACY:
            record[name] = value.value if isinstance(value, Whole) else _field(value, sizes)
    shown = printable(_json(record))
    if not whole and len(shown.encode()) >= sizes.event:
        shown = _shortest(least, sizes.event - 1)
    return f"{shown}\n"


def _told(event: LogEvent, sizes: Sizes, spell: bool) -> str:
    """What has happened; `spell` says whether what is whole is in the text, too."""
    values = {
        name: (value if spell else "") if isinstance(value, Whole) else Value(value, sizes.value)
        for name, value in event.items()
        if name not in ("log_format", "log_flattened")
    }
    text = formatEvent({**values, "log_format": event.get("log_format")}).strip()
    return printable(text) if WHOLE in event else line(text, sizes.event)


def _field(value: Any, sizes: Sizes, depth: int = 0) -> Any:
    """A value for JSON: what has a structure keeps it where it is not large, a text is cut."""
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < _INTEGER_MAX):
        return value
    most = sizes.value
    if isinstance(value, (dict, list, tuple)) and depth < DEPTH_MAX and len(_text(value)) <= sizes.event // 2:
        if isinstance(value, dict):
            return {line(_text(key), most): _field(inner, sizes, depth + 1) for key, inner in value.items()}
        return [_field(inner, sizes, depth + 1) for inner in value]
    return line(_text(value), most)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"({type(value).__name__} has no text: {type(error).__name__})"


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()


def _short(text: str, most: int) -> str:
    """`text` in at most `most` bytes: what is left out is in the middle, for an exception's own words are its last."""
    data = text.encode()
    if len(data) <= most:
        return text
    mark = " ... "
    head, tail = data[: (most - len(mark)) // 3], data[len(data) - (most - len(mark)) * 2 // 3 :]
    return head.decode(errors="ignore") + mark + tail.decode(errors="ignore")


def _shortest(record: dict[str, Any], most: int) -> str:
    """A record in at most `most` bytes, about: its texts are cut until it fits."""
    room = most // 2
    while True:
        shown = printable(_json({name: _short(value or "", room) for name, value in record.items()}))
        if len(shown.encode()) <= most or not room:
            return shown
        room //= 2


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event["log_time"], timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# tracebacks


def _traceback(failure: Failure, most: int) -> Iterator[str]:
    """Its lines. Our own words have lines of their own there, an exception's are one."""
    assert failure.value is not None
    chain: list[tuple[BaseException, Any]] = [(failure.value, failure.getTracebackObject())]
    while len(chain) < CHAIN_MAX:
        error = chain[-1][0]
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or any(cause is one for one, _ in chain):
            break
        chain.append((cause, cause.__traceback__))
    for error, frames in reversed(chain):
        yield "Traceback (most recent call last):"
        yield from _frames(frames, most)
        kind = type(error)
        yield f"{line(f'{kind.__module__}.{kind.__qualname__}: {_text(error)}', most)}"


def _frames(frames: Any, most: int) -> Iterator[str]:
    calls = list(traceback.walk_tb(frames))
    outermost = FRAMES_MAX // 3
    left_out = len(calls) - FRAMES_MAX
    if left_out > 0:
        calls[outermost : outermost + left_out] = []
    summary = traceback.StackSummary.extract(iter(calls))
    for number, call in enumerate(summary):
        if left_out > 0 and number == outermost:
            yield f"  ... {left_out} more calls ..."
        yield line(f'  File "{call.filename}", line {call.lineno}, in {call.name}', most)
        if call.line:
            yield line(f"    {call.line}", most)
