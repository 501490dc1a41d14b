"""Plugins made of one coroutine function: `service`."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING

from twisted.plugin import IPlugin
from zope.interface import classImplements, implementer

from gortc.service.call import Call, Logic
from gortc.service.interfaces import IServiceInstance, IServiceLogic

if TYPE_CHECKING:
    from gortc.service.context import Context
    from gortc.service.task import Task

HandsOver = Callable[["Context", str], "str | None"]

classImplements(Call, IServiceInstance)  # here, for a compiled class takes no such decorator


@implementer(IPlugin, IServiceLogic)
class Service:
    """A service made of one coroutine function; `service` makes it."""

    def __init__(
        self, name: str, logic: Logic, prepare: Callable[[Context], object] | None, hands_over: HandsOver | None
    ) -> None:
        self.name = name
        self.logic = logic
        self.__doc__ = logic.__doc__
        self.__module__ = logic.__module__
        self._prepare = prepare
        self._hands_over = hands_over

    def load(self, context: Context) -> None:
        """Let the service check or complete its configuration."""
        if self._prepare is not None:
            self._prepare(context)

    def hands_over(self, context: Context, called: str) -> str | None:
        """The service that a call to `called` is handed over to; None: it stays, or nobody knows."""
        return self._hands_over(context, called) if self._hands_over is not None else None

    def unload(self) -> None:
        """There is nothing to let go."""

    def create(self, task: Task) -> Call:
        """A call for a new incoming session."""
        return Call(task, self.logic)


def service(
    name: str, load: Callable[[Context], object] | None = None, hands_over: HandsOver | None = None
) -> Callable[[Logic], Service]:
    """Make a coroutine function with one argument, the call, a service plugin named `name`.

    `load`, where given, is called once with the service's context when the server starts; what it raises keeps the
    service from being loaded. `hands_over(context, called)`, where given, tells operators beforehand to which service a
    call to `called` (user@host) will `become` another's; None where it stays.
    """

    def make(logic: Logic) -> Service:
        if not iscoroutinefunction(logic):
            raise TypeError(f"service {name!r} must be an async def")
        return Service(name, logic, load, hands_over)

    return make
