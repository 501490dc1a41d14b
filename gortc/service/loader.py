"""Loading services while the server runs: new sessions get the new code, running instances finish on the old one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from gortc.plugins import PluginError, Renewal, module_of, providers, renew, told
from gortc.service.interfaces import IServiceLogic
from gortc.service.registry import Use, discover, plan

if TYPE_CHECKING:
    from gortc.node import Node
    from gortc.oam.state import State
    from gortc.service.context import Context

KIND = "services"
"""In the state file."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""What a service may be loaded under while the server runs."""

_log = Logger(namespace="gortc.service")


class Loader:
    """Of one node; `state` keeps what it was told through a restart."""

    def __init__(self, node: Node, state: State) -> None:
        self._node = node
        self._state = state

    def start(self) -> None:
        """Load what the settings and the state say. Raises ServiceError where the settings name a missing plugin."""
        found = discover()
        wanted = dict(self._node.settings.services)
        plan(found, wanted)
        for name, plugin in self._state.of(KIND).items():
            if plugin is None and name in found:
                wanted[name] = None
            elif plugin is None:
                wanted.pop(name, None)
            elif plugin in found:
                wanted[name] = Use(plugin, self._config(name))
            else:
                _log.error("service {service}: no plugin is named {plugin!r} any more", service=name, plugin=plugin)
        for name, logic, config in plan(found, wanted):
            self._node.services.load(logic, name, config, self._node.dispatch)

    def load(self, name: str, plugin: str | None = None) -> Context:
        """Load `plugin`, as its file is now, under `name`; by default the plugin that is there, or is named so.

        Raises PluginError, and then all is as it was.
        """
        if not NAME.fullmatch(name):
            raise PluginError(f"a service can't be named {name[:80]!r}")
        plugin = plugin or self._plugin(name)
        logic, renewal = renew(IServiceLogic, "service", plugin)
        context = self._put(name, logic, renewal)
        if plugin == self._settled(name):
            self._state.forget(KIND, name)
        else:
            self._state.put(KIND, name, plugin)
        return context

    def remove(self, name: str) -> None:
        """`name` takes no new sessions any more. Raises KeyError where nothing has that name."""
        self._node.services.remove(name)
        if self._settled(name) is None:
            self._state.forget(KIND, name)
        else:
            self._state.put(KIND, name, None)
        _log.info("service {service} is removed", service=name)

    def refresh(self, module: str) -> None:
        """The file of a module has changed: load what it has, where that was loaded or is new. Logs what is wrong."""
        try:
            renewal = Renewal(module)
        except PluginError as error:
            _log.error("{error}; what was loaded before stays", error=error)
            return
        wanted = self._node.settings.services
        for plugin, logic in providers(renewal.module, IServiceLogic).items():
            names = {context.name for context in self._node.services.loaded.values() if context.logic.name == plugin}
            if not names and plugin not in wanted and plugin not in self._state.of(KIND):
                names = {plugin}
            for name in sorted(names):
                try:
                    self._put(name, logic, renewal)
                except PluginError as error:
                    _log.error("service {service}: {error}; the old one stays", service=name, error=error)

    def _put(self, name: str, logic: Any, renewal: Renewal) -> Context:
        services = self._node.services
        replaced = name in services.loaded
        try:
            context = services.put(logic, name, self._config(name), self._node.dispatch)
        except Exception as error:
            renewal.undo()
            raise PluginError(told(error, renewal.path)) from error
        what = "is replaced" if replaced else "is loaded"
        _log.info("service {service} {what}: {version}", service=name, what=what, version=context.version)
        return context

    def _plugin(self, name: str) -> str:
        context = self._node.services.get(name)
        return context.logic.name if context is not None else self._settled(name) or name

    def _settled(self, name: str) -> str | None:
        """The plugin that the settings alone would load under `name`."""
        wanted = self._node.settings.services
        if name in wanted:
            want = wanted[name]
            return want.plugin if isinstance(want, Use) else None if want is None else name
        return name if module_of(IServiceLogic, name) is not None else None

    def _config(self, name: str) -> Mapping[str, Any]:
        want = self._node.settings.services.get(name) or {}
        return want.config if isinstance(want, Use) else want
