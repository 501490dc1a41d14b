"""A terminal, or a pipe in its place: lines in, lines out, and a prompt where somebody sits before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

CLEAR = "\r\x1b[K"
"""To the begin of the line, which is wiped (ECMA-48, EL): the prompt makes room."""


@implementer(IHalfCloseableProtocol)
class Terminal(LineReceiver):
    """`obey(line)` gets each line that is typed, `left()` is called when no more can come.

    `prompt`, where there is one, says what stands before what is typed. `closed` fires when all was written.
    """

    delimiter = b"\n"
    transport: Any

    def __init__(
        self, obey: Callable[[str], object], left: Callable[[], object], prompt: Callable[[], str] | None = None
    ) -> None:
        self.closed: Deferred[None] = Deferred()
        self._obey = obey
        self._left = left
        self._prompt = prompt

    def say(self, line: str) -> None:
        """Write a line. What peers have sent may be in it, so control characters are not passed on."""
        shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
        self._write(f"{CLEAR}{shown}\n{self._prompt()}" if self._prompt else f"{shown}\n")

    def close(self) -> None:
        """Write what is left, and no more."""
        if self._prompt:
            self._write(CLEAR)
        self.transport.loseConnection()

    def _write(self, text: str) -> None:
        self.transport.write(text.encode(errors="replace"))

    # Twisted's

    def connectionMade(self) -> None:  # noqa: N802
        if self._prompt:
            self._write(self._prompt())

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        self._obey(line.decode(errors="replace"))
        if self._prompt:
            self._write(CLEAR + self._prompt())

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        self.clearLineBuffer()
        self.say("the line is too long")

    def readConnectionLost(self) -> None:  # noqa: N802
        """The end of the input; its last line may have no end."""
        rest = self.clearLineBuffer()
        if rest:
            self.lineReceived(rest)
        self._left()

    def writeConnectionLost(self) -> None:  # noqa: N802
        """Nobody reads any more."""
        self.connectionLost()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        """Nothing can be written any more."""
        self._left()
        if not self.closed.called:
            self.closed.callback(None)
