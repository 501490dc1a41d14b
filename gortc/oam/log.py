"""The log: what goes well is silent, and what is said is bounded. docs/operations.md, "The log".

Everything that is logged comes through one observer, whoever logs it: ourselves, services, Twisted. So there, and
nowhere else, lines are counted, and what is in them is made fit to be read (`gortc.oam.lines`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import ceil
from time import monotonic, time
from typing import Any, Final

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, LogLevelFilterPredicate, PredicateResult
from zope.interface import implementer

from gortc.admission.limits import Rate
from gortc.jsip.message import Message
from gortc.jsip.timers import Clock
from gortc.oam.budget import Buckets, Budget
from gortc.oam.doors import hide
from gortc.oam.files import Lines
from gortc.oam.lines import WHOLE, Sizes, as_json, as_text
from gortc.settings import DROP_LOG_OF_ONE, Settings

BURST: Final = 60
"""What may be written at once: lines, or bytes, of so many seconds."""
__all__ = ["DropLog", "Level", "Observer", "as_json", "as_text", "observer"]

OURS: Final = ("gortc.", "slp.", "api.", "auth.")
"""Whose lines are meant for operators: the server's, and the plugins'. What libraries say is mostly of a connection."""
SHARES: Final = 32
"""So many kinds can be loud without taking from each other what each has for itself, of half of the bytes."""
_NAMES = ("Type", "Code", "DialogueID", "CSeq")

_log = Logger(namespace="gortc.log")


class Level:
    """The least level that is logged; it can change."""

    def __init__(self, name: str) -> None:
        self.predicate = LogLevelFilterPredicate(LogLevel.levelWithName(name))

    def set(self, name: str) -> None:
        """From now on."""
        self.predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))


def observer(level: Level | str, form: str, file: str, settings: Settings | None = None) -> Observer:
    """Writes events of at least `level` to `file` (- is standard output) in the format `form`."""
    out: Any = sys.stdout if file == "-" else Lines(file)
    return Observer(Level(level) if isinstance(level, str) else level, form, out, settings or Settings())


@implementer(ILogObserver)
class Observer:
    """Writes what is logged to `out`, as much of it as the `settings` let through."""

    def __init__(
        self, level: Level, form: str, out: Any, settings: Settings, clock: Callable[[], float] = monotonic
    ) -> None:
        self._level = level
        self._form = as_json if form == "json" else as_text
        self._out = out
        self._now = clock
        self._bytes: Buckets[None] = Buckets()
        self._shares: Buckets[str] = Buckets()
        self._unwritten = 0
        rate = Rate(1, 1)
        self._lines = Budget(rate, rate, self._told)
        self._others = Budget(rate, rate, self._told)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._sizes = Sizes(settings.log_value_max, settings.log_line_max)
        self._all = everything = _rate(settings.log_bytes_per_second, BURST, 2 * SHARES * settings.log_line_max)
        self._common = Rate(everything.per_second, everything.burst // 2)
        self._share = Rate(everything.per_second / SHARES, everything.burst // 2 // SHARES)
        self._lines.rate = _rate(settings.log_per_second, BURST)
        self._others.rate, self._others.each = _rate(settings.drop_log_per_second), settings.drop_log_of_one

    def __call__(self, event: LogEvent) -> None:
        """Write one, or count it."""
        if self._level.predicate(event) == PredicateResult.no:
            return
        now = self._now()
        kind = _kind(event)
        if not (event.get("log_counted") or self._admits(now, kind, event)):
            return
        text = self._form(event, self._sizes)
        if text and (WHOLE in event or self._has_room(now, kind, len(text.encode()))):
            self._write(text)

    def tell(self) -> None:
        """Time goes by: say what was left out."""
        now = self._now()
        self._lines.tell(now)
        self._others.tell(now)
        self._shares.sweep(now)
        if self._unwritten:
            self._write("")

    def _write(self, text: str) -> None:
        """Write some lines. Where there is no room, it is told once there is: how many times there was none."""
        try:
            if self._unwritten:
                self._out.write(self._form(self._no_room(), self._sizes))
                self._unwritten = 0
            self._out.write(text)
            self._out.flush()
        except OSError:
            self._unwritten += bool(text)

    def _no_room(self) -> LogEvent:
        text = "{count} events were not written, or not whole: there was no room"
        base = {"log_time": time(), "log_level": LogLevel.error, "log_namespace": _log.namespace}
        return {**base, "log_format": text, "count": self._unwritten}

    def _admits(self, now: float, kind: str, event: LogEvent) -> bool:
        if WHOLE in event:
            return True
        if "log_failure" not in event and str(event.get("log_namespace")).startswith(OURS):
            return self._lines.admits(now, kind)
        return self._others.admits(now, kind, str(event.get("channel") or event.get("address") or ""))

    def _has_room(self, now: float, kind: str, size: int) -> bool:
        """Half of the bytes are anybody's, half are kept for kinds that have written no more than their share."""
        has_share = self._shares.has(kind, now, self._share, size)
        if not self._bytes.has(None, now, self._all if has_share else self._common, size):
            self._lines.leave_out(now, kind)
            return False
        self._bytes.take(None, now, self._all, size)
        if has_share:
            self._shares.take(kind, now, self._share, size)
        return True

    def _told(self, kind: str, number: int) -> None:
        _log.warn("{count} more lines were left out: {reason}", count=number, reason=kind, log_counted=True)


def _rate(per_second: float, seconds: int = 1, least: int = 1) -> Rate:
    """What comes in so many seconds may come at once."""
    return Rate(per_second, max(ceil(per_second * seconds), least))


def _kind(event: LogEvent) -> str:
    """What is of one kind: what we say in one place; all that a plugin says, whose words may be anybody's."""
    reason = event.get("reason") if event.get("log_counted") else None
    namespace = str(event.get("log_namespace", "-"))
    if reason is not None:
        return str(reason)
    what = " failed" if "log_failure" in event else ""
    return f"{namespace}{what}: {event.get('log_format')}" if namespace.startswith("gortc.") else namespace + what


class DropLog:
    """The lines about dropped messages. `source_of` says whose channel one is, where a name is anybody's to choose."""

    def __init__(self, clock: Clock, per_second: float, of_one: Rate = DROP_LOG_OF_ONE) -> None:
        self._now = clock.seconds
        self._log = Logger(namespace="gortc.stack")
        self._budget = Budget(_rate(per_second), of_one, self._told)
        self.source_of: Callable[[str], str] = str

    def configure(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._budget.rate, self._budget.each = _rate(settings.drop_log_per_second), settings.drop_log_of_one

    def line(self, reason: str, channel: str, detail: object) -> None:
        """Log that something of `channel` was dropped or refused for `reason`; of a message, what names it."""
        if self._budget.admits(self._now(), reason, self.source_of(channel)):
            names = {name: detail.headers.get(name) for name in _NAMES} if isinstance(detail, Message) else {}
            text = "{reason}: {detail}, channel {channel}"
            self._log.warn(text, reason=reason, channel=channel, detail=hide(str(detail)), log_counted=True, **names)

    def failed(self) -> None:
        """Log the exception being handled, a defect of ours, with its traceback."""
        self._log.failure("the stack failed; the message is lost")

    def tell(self) -> None:
        """Time goes by: say what was left out."""
        self._budget.tell(self._now())

    def _told(self, kind: str, number: int) -> None:
        text = "{count} more were dropped or refused: {reason}"
        self._log.warn(text, count=number, reason=kind, log_counted=True)
