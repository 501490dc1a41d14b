"""Log observers: one line an event, as text or as JSON, and a limit on lines about dropped messages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Final

import orjson
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    formatEvent,
)

from gortc.jsip.message import Message
from gortc.jsip.timers import Clock
from gortc.oam.doors import hide
from gortc.oam.files import Lines

_NAMES = ("Type", "Code", "DialogueID", "CSeq")
_LEGACY = frozenset(("format", "isError", "message", "system", "time"))


class Level:
    """The least level that is logged; it can change."""

    def __init__(self, name: str) -> None:
        self.predicate = LogLevelFilterPredicate(LogLevel.levelWithName(name))

    def set(self, name: str) -> None:
        """From now on."""
        self.predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))


def observer(level: Level | str, form: str, file: str) -> ILogObserver:
    """Write events of at least `level` to `file` (- is standard output) in the format `form`."""
    predicate = (Level(level) if isinstance(level, str) else level).predicate
    out: Any = sys.stdout if file == "-" else Lines(file)
    write = FileLogObserver(out, as_json if form == "json" else as_text)
    return FilteringLogObserver(write, [predicate])


def as_text(event: LogEvent) -> str | None:
    """A line: time, level, source, what happened; a traceback follows on lines of its own."""
    text = eventAsText(event, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    return f"{_time(event)} {event['log_level'].name:5} [{event.get('log_namespace', '-')}] {text}\n"


def as_json(event: LogEvent) -> str | None:
    """A line of JSON: the same, with the event's own fields as they are."""
    record: dict[str, Any] = {
        "time": _time(event),
        "level": event["log_level"].name,
        "source": event.get("log_namespace"),
        "event": formatEvent(event),
    }
    if "log_failure" in event:
        record["traceback"] = event["log_failure"].getTraceback()
    for name, value in event.items():
        if not name.startswith("log_") and name not in record and name not in _LEGACY:
            record[name] = value
    return orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n"


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event["log_time"], timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


LOGGED_MAX: Final = 200
"""So many characters of what a client of the management API says are logged, of each thing that it says."""


def logged(text: str) -> str:
    """What a client has chosen, for a line of a log: cut, and what can't be printed is escaped."""
    short = text if len(text) <= LOGGED_MAX else f"{text[: LOGGED_MAX - 3]}..."
    return short if short.isprintable() else short.encode("unicode_escape").decode("ascii")


class Ration:
    """So many lines a second, at most, and how many more there were."""

    def __init__(self, clock: Clock, per_second: Callable[[], int]) -> None:
        self._clock = clock
        self._per_second = per_second
        self._second = 0
        self._lines = 0
        self._silent = 0

    def take(self) -> int | None:
        """Whether there may be one now: None, or how many were left out before it."""
        second = int(self._clock.seconds())
        silent = 0
        if second != self._second:
            silent = self._silent
            self._second, self._lines, self._silent = second, 0, 0
        self._lines += 1
        if self._lines <= self._per_second():
            return silent
        self._silent += 1
        return None


class DropLog:
    """The lines about dropped messages: at most so many a second, the rest told as a number."""

    def __init__(self, clock: Clock, per_second: int) -> None:
        self.per_second = per_second
        """So many lines a second."""
        self._log = Logger(namespace="gortc.stack")
        self._ration = Ration(clock, lambda: self.per_second)

    def line(self, reason: str, channel: str, detail: object) -> None:
        """Log that something of `channel` was dropped or refused for `reason`; of a message, what names it."""
        left_out = self._ration.take()
        if left_out is None:
            return
        if left_out:
            self._log.warn("{count} more were dropped or refused", count=left_out)
        names = {name: detail.headers.get(name) for name in _NAMES} if isinstance(detail, Message) else {}
        text = "{reason}: {detail}, channel {channel}"
        self._log.warn(text, reason=reason, channel=channel, detail=hide(str(detail))[:200], **names)

    def failed(self) -> None:
        """Log the exception being handled, a defect of ours, with its traceback."""
        self._log.failure("the stack failed; the message is lost")
