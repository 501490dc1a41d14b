"""Plugins: found with twisted.plugin, in `twisted.plugins` and in `slp_plugins`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.logger import Logger
from twisted.plugin import getPlugins
from zope.interface import Interface

_log = Logger(namespace="gortc.plugins")


def find(interface: type[Interface], kind: str) -> dict[str, Any]:
    """All plugins that provide `interface`, by their `name`; those of the current directory's folders included.

    One that can't be imported is logged by twisted.plugin with its traceback, and the rest go on. `kind` is what the
    log calls them.
    """
    import slp_plugins
    import twisted.plugins

    found: dict[str, Any] = {}
    for package, folder in ((twisted.plugins, "twisted/plugins"), (slp_plugins, "slp_plugins")):
        local = str(Path.cwd() / folder)
        if Path(local).is_dir() and local not in map(str, package.__path__):
            package.__path__.append(local)
        plugin: Any
        for plugin in getPlugins(interface, package):
            known = found.setdefault(plugin.name, plugin)
            if known is not plugin:
                _log.warn(
                    "{kind} {name}: a second plugin of that name, in {module}, is left out",
                    kind=kind,
                    name=plugin.name,
                    module=plugin.__module__,
                )
    return found
