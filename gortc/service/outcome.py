"""What a service awaits of a leg."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Outcome(Deferred[T]):
    """A Deferred that leaves no cycle where it is awaited and has failed already.

    A plain one raises from a frame that knows the Failure, the Failure knows the error, the error its traceback, and
    that all frames: what a call holds, its caller's messages too, would stay until the collector comes.
    """

    def __iter__(self) -> Generator[Deferred[T], None, T]:
        while not self.called or self.paused:
            yield self
        result: Any = self.result
        if isinstance(result, Failure):
            del result
            raise self._taken()
        return result  # type: ignore[no-any-return]

    __await__ = __iter__

    def _taken(self) -> BaseException:
        """The error; whoever awaits it has it, and the Deferred no longer, as where it fails later."""
        failure: Any = self.result
        self.addErrback(_forget)
        error: BaseException = failure.value
        return error


def failed(error: Exception) -> Outcome[Any]:
    """One that has failed with `error`."""
    outcome: Outcome[Any] = Outcome()
    outcome.errback(error)
    return outcome


def _forget(_: Failure) -> None:
    """It has been taken."""
