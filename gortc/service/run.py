"""Running a coroutine: what `Deferred.fromCoroutine` does, at half its price, since every call pays it.

A coroutine that awaits a Deferred gives it to us; when it fires, the coroutine goes on. Each has a context of its own
(`contextvars`), as with Twisted.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Final
from weakref import WeakSet

from twisted.internet.defer import CancelledError, Deferred, FirstError
from twisted.python.failure import Failure

from gortc.service.outcome import Outcome

if TYPE_CHECKING:
    from gortc.service.task import Task


END: Final = object()


class Run:
    """One coroutine of a task on its way. `finished` is called with None or the Failure that it ended with.

    Before that the task hears of its end: with a failure that is neither a cancellation nor one of `expected`.
    """

    __slots__ = ("_awaited", "_context", "_coroutine", "_expected", "_finished", "_heard", "_steps", "_task")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        task: Task,
        finished: Callable[[Failure | None], None],
        expected: type[Exception],
    ) -> None:
        self._awaited: Deferred[Any] | None = None
        self._context = copy_context()
        self._coroutine = coroutine
        self._steps = coroutine.__await__()
        self._expected = expected
        self._finished = finished
        self._heard: WeakSet[BaseException] | None = None
        self._task = task

    @property
    def coroutine(self) -> Coroutine[Any, Any, Any]:
        """The coroutine, for who looks where it stands."""
        return self._coroutine

    def begin(self) -> None:
        """Take the first step; let the task wait for what is left."""
        self.step()
        if self._awaited is not None:
            self._task.hold(self)

    def step(self, outcome: Any = None) -> None:
        """Go on with what the awaited Deferred has fired with: until it awaits another, or ends."""
        failure = None
        try:
            while True:
                if outcome is not None and isinstance(outcome, Failure):
                    self._tell(outcome.value)
                    awaited = self._context.run(outcome.throwExceptionIntoGenerator, self._coroutine)
                else:  # the value is taken from the Deferred itself; `next` tells the end without a StopIteration
                    awaited = self._context.run(next, self._steps, END)
                if awaited is END:
                    break
                if not isinstance(awaited, Deferred):
                    self._coroutine.close()
                    raise TypeError(f"a service awaits Deferreds, not {awaited!r}")
                if not awaited.called or awaited.paused or not isinstance(awaited, Outcome):
                    self._awaited = awaited
                    awaited.addBoth(self.step)
                    return
                outcome = awaited.take()
        except StopIteration:
            pass
        except KeyboardInterrupt:
            raise
        except BaseException:  # sys.exit() and asyncio's cancellation, too, are the service's own
            failure = Failure()
        self._awaited = None
        error = failure.value if failure is not None else None
        known = error is None or isinstance(error, (CancelledError, self._expected))
        if error is not None and known:
            error.__traceback__ = None  # nobody looks at it, and it leads back here by way of each frame
        if self._heard is not None:
            while self._heard:
                self._heard.pop().__traceback__ = None  # the coroutine may have kept it, where it leads back to
        self._task.let_go(None if known else failure, self)
        self._finished(failure)
        outcome = failure = error = None  # leave no cycle to the collector

    def _tell(self, error: BaseException | None) -> None:
        """The coroutine hears of this error."""
        if isinstance(error, (self._expected, CancelledError, FirstError)):
            if self._heard is None:
                self._heard = WeakSet()
            self._heard.add(error)

    def cancel(self) -> None:
        """Cancel what the coroutine awaits; one in mid-step awaits nothing, and goes on."""
        if self._awaited is not None:
            self._awaited.cancel()
