"""What a service awaits of a leg, and how that fails.

This module is not compiled: `Run` keeps weak references to failures, and a class that mypyc makes of an exception's
leaves them dangling.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gortc.jsip.status import phrase

if TYPE_CHECKING:
    from gortc.jsip.message import Response

T = TypeVar("T")


class LegFailed(Exception):
    """A leg did not do what was asked of it: busy, refused, offline, too slow, gone.

    `code` is the response code that says so, `response` the response itself where there was one.
    """

    def __init__(self, code: int, reason: str | None = None, response: Response | None = None) -> None:
        self.reason = reason or phrase(code)
        super().__init__(f"{code} {self.reason}")
        self.code = code
        self.response = response


class Outcome(Deferred[T]):
    """A Deferred that hands its failure to whoever runs the coroutine that awaits it, also where it has failed already.

    A plain one raises then, from a frame that knows the Failure, the Failure knows the error, the error its traceback,
    and that all frames: what a call holds, its caller's messages too, would stay until the collector comes.

    All that a call awaits is of this class, also what can't fail: where Python sees one class only it is faster.
    """

    def __iter__(self) -> Generator[Deferred[T], None, T]:
        while not self.called or self.paused or isinstance(self.result, Failure):
            yield self
        return self.result  # type: ignore[return-value]

    __await__ = __iter__

    def take(self) -> Any:
        """What it has failed with already; whoever takes it has it, and the Deferred no longer, as where it fails
        later."""
        failure = self.result
        self.addErrback(_forget)
        return failure


def failed(error: Exception) -> Outcome[Any]:
    """One that has failed with `error`."""
    outcome: Outcome[Any] = Outcome()
    outcome.errback(error)
    return outcome


def _forget(_: Failure) -> None:
    """It has been taken."""
