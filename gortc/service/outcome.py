"""What a service awaits of a leg."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Outcome(Deferred[T]):
    """A Deferred that hands its failure to whoever runs the coroutine that awaits it, also where it has failed already.

    A plain one raises then, from a frame that knows the Failure, the Failure knows the error, the error its traceback,
    and that all frames: what a call holds, its caller's messages too, would stay until the collector comes.
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
