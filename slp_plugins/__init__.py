"""Services that ship with the server, and the place for yours: each module here is searched for plugins."""

from twisted.plugin import pluginPackagePaths

__path__.extend(pluginPackagePaths(__name__))
__all__: list[str] = []
