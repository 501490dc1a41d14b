"""The services of a node: found with twisted.plugin, loaded under the names that the settings give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.logger import Logger

from gortc.plugins import find, version
from gortc.service.context import Context
from gortc.service.interfaces import IServiceLogic

if TYPE_CHECKING:
    from gortc.dispatch import Dispatcher

_log = Logger(namespace="gortc.service")


class ServiceError(Exception):
    """The settings ask for services that can't be had; one line says why."""


@frozen
class Use:
    """In the settings: load `plugin` under another name, with its own `config`."""

    plugin: str
    config: Mapping[str, Any] = field(factory=dict)


class Registry:
    """The loaded services, by name; and those that were replaced or removed, until their last instance has ended.

    `past` has, by name, how many instances those that have gone had in total, and how many of them failed.
    """

    def __init__(self, realm: str, unread_max: int) -> None:
        self.realm = realm
        self._unread_max = unread_max
        self.loaded: dict[str, Context] = {}
        self.retired: dict[Context, None] = {}
        self.past: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Context]:
        return iter([*self.loaded.values(), *self.retired])

    def get(self, name: str) -> Context | None:
        """The service loaded under `name`."""
        return self.loaded.get(name)

    def load(self, logic: IServiceLogic, name: str, config: Mapping[str, Any], dispatch: Dispatcher) -> bool:
        """Load one service. A failure is logged with its traceback; returns whether it is loaded."""
        try:
            self.put(logic, name, config, dispatch)
        except Exception:
            _log.failure("service {service} can't be loaded", service=name)
            return False
        return True

    def put(self, logic: IServiceLogic, name: str, config: Mapping[str, Any], dispatch: Dispatcher) -> Context:
        """Load one service in the place of whatever has its name: that one takes no new sessions, and goes when its
        last instance has ended. Where its `load` raises, that is raised, and all is as it was."""
        context = Context(logic, name, config, self.realm, self._unread_max)
        context.version = version(logic.__module__)
        context.bind(dispatch)
        logic.load(context)
        self._retire(name)
        self.loaded[name] = context
        return context

    def remove(self, name: str) -> None:
        """`name` takes no new sessions; it goes when its last instance has ended. Raises KeyError."""
        if name not in self.loaded:
            raise KeyError(name)
        self._retire(name)

    def _retire(self, name: str) -> None:
        context = self.loaded.pop(name, None)
        if context is not None:
            self.retired[context] = None
            context.retire(self._gone)

    def _gone(self, context: Context) -> None:
        if context not in self.retired:  # all were unloaded meanwhile
            return
        del self.retired[context]
        total, failures = self.past.get(context.name, (0, 0))
        self.past[context.name] = (total + context.total, failures + context.failures)
        self._unload(context)

    def _unload(self, context: Context) -> None:
        try:
            context.logic.unload()
        except Exception:
            _log.failure("service {service} failed as it was unloaded", service=context.name)

    def unload_all(self) -> None:
        """Let every instance end and every service go."""
        for context in self:
            for task in list(context.tasks):
                task.finish(503, "the server is stopping", "the server is stopping")
            if self.loaded.get(context.name) is context:
                del self.loaded[context.name]
                self._unload(context)
            else:
                self._gone(context)


def plan(
    found: Mapping[str, IServiceLogic], wanted: Mapping[str, Mapping[str, Any] | Use | None]
) -> list[tuple[str, IServiceLogic, Mapping[str, Any]]]:
    """Which plugin is loaded under which name with which configuration.

    Each one `found` under its own name, unless `wanted` (the settings' `services`) configures it (a dict), renames
    one (`Use`) or excludes it (None). Raises ServiceError where `wanted` names a plugin that was not found.
    """
    loads: dict[str, tuple[IServiceLogic, Mapping[str, Any]]] = {name: (logic, {}) for name, logic in found.items()}
    for name, want in wanted.items():
        plugin = want.plugin if isinstance(want, Use) else name
        if plugin not in found:
            raise ServiceError(f"services: no plugin is named {plugin!r}; there are {', '.join(sorted(found))}")
        if want is None:
            del loads[name]
        else:
            loads[name] = (found[plugin], want.config if isinstance(want, Use) else want)
    return [(name, logic, config) for name, (logic, config) in loads.items()]


def discover() -> dict[str, IServiceLogic]:
    """All plugins of `twisted.plugins` and `slp_plugins`, those of the current directory's folders included.

    One that can't be imported is logged by twisted.plugin with its traceback, and the rest go on.
    """
    found: dict[str, IServiceLogic] = find(IServiceLogic, "service")
    return found
