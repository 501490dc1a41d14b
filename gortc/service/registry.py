"""The services of a node: found with twisted.plugin, loaded under the names that the settings give them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from twisted.logger import Logger

from gortc.plugins import PluginError, find, version
from gortc.service.context import Context
from gortc.service.interfaces import IServiceLogic

if TYPE_CHECKING:
    from gortc.dispatch import Dispatcher

NAME = re.compile(r"[^\s;,/]{1,64}")
"""What a service may be loaded under: what a Router's `type` and a path can name."""

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

    `dispatch` is where their instances live. `past` has, by name, how many instances those that have gone had in total,
    and how many of them failed.
    """

    dispatch: Dispatcher

    def __init__(self, realm: str, unread_max: int) -> None:
        self.realm = realm
        self.unread_max = unread_max
        self.loaded: dict[str, Context] = {}
        self.retired: dict[Context, None] = {}
        self.past: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Context]:
        return iter([*self.loaded.values(), *self.retired])

    def get(self, name: str) -> Context | None:
        """The service loaded under `name`."""
        return self.loaded.get(name)

    def load(self, logic: IServiceLogic, name: str, config: Mapping[str, Any]) -> bool:
        """Load one service. A failure is logged with its traceback; returns whether it is loaded."""
        try:
            self.swap(self.prepare(logic, name, config))
        except Exception:
            _log.failure("service {service} can't be loaded", service=name)
            return False
        return True

    def loaded_plugins(self) -> dict[str, str]:
        """Name -> the name of its plugin."""
        return {name: context.logic.name for name, context in self.loaded.items()}

    def prepare(self, plugin: IServiceLogic, name: str, config: Mapping[str, Any]) -> Context:
        """Load a service, that is not in charge of its name yet. Raises whatever its `load` does, and PluginError for a
        name that can't be."""
        if not NAME.fullmatch(name):
            raise PluginError(f"a service can't be named {name[:80]!r}")
        context = Context(plugin, name, config, self.realm, self.unread_max)
        context.version = version(plugin.__module__)
        context.bind(self.dispatch)
        plugin.load(context)
        return context

    def swap(self, made: Context) -> None:
        """It takes all new sessions of its name. What did before goes when its last instance has ended."""
        self._retire(made.name)
        self.loaded[made.name] = made

    def discard(self, made: Context) -> None:
        """It will not be needed."""
        self._unload(made)

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
    found: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any] | Use | None], setting: str = "services"
) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """Which plugin is loaded under which name with which configuration.

    Each one `found` under its own name, unless `wanted` (the settings' `services`) configures it (a dict), renames
    one (`Use`) or excludes it (None). Raises ServiceError where `wanted`, the `setting`, names one that was not found.
    """
    loads: dict[str, tuple[Any, Mapping[str, Any]]] = {name: (logic, {}) for name, logic in found.items()}
    for name, want in wanted.items():
        plugin = want.plugin if isinstance(want, Use) else name
        if plugin not in found:
            raise ServiceError(f"{setting}: no plugin is named {plugin!r}; there are {', '.join(sorted(found))}")
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
