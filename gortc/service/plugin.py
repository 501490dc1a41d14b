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

classImplements(Call, IServiceInstance)  # here, for a compiled class takes no such decorator


@implementer(IPlugin, IServiceLogic)
class Service:
    """A service made of one coroutine function; `service` makes it."""

    def __init__(self, name: str, logic: Logic, prepare: Callable[[Context], object] | None) -> None:
        self.name = name
        self.logic = logic
        self.__doc__ = logic.__doc__
        self.__module__ = logic.__module__
        self._prepare = prepare

    def load(self, context: Context) -> None:
        """Let the service check or complete its configuration."""
        if self._prepare is not None:
            self._prepare(context)

    def unload(self) -> None:
        """There is nothing to let go."""

    def create(self, task: Task) -> Call:
        """A call for a new incoming session."""
        return Call(task, self.logic)


def service(name: str, load: Callable[[Context], object] | None = None) -> Callable[[Logic], Service]:
    """Make a coroutine function with one argument, the call, a service plugin named `name`.

    `load`, where given, is called once with the service's context when the server starts; what it raises keeps the
    service from being loaded.
    """

    def make(logic: Logic) -> Service:
        if not iscoroutinefunction(logic):
            raise TypeError(f"service {name!r} must be an async def")
        return Service(name, logic, load)

    return make
