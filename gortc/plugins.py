"""Plugins: found with twisted.plugin, in `twisted.plugins` and in `slp_plugins`; and renewed while the server runs."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Iterable, Iterator
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.logger import Logger
from twisted.plugin import IPlugin, getPlugins
from twisted.python.modules import getModule
from zope.interface import Interface

FOLDERS = {"twisted.plugins": "twisted/plugins", "slp_plugins": "slp_plugins"}
"""The packages, and the folders of the current directory that belong to them as well."""

_log = Logger(namespace="gortc.plugins")


class PluginError(Exception):
    """A plugin can't be had; one line says why."""


def find(interface: type[Interface], kind: str) -> dict[str, Any]:
    """All plugins that provide `interface`, by their `name`; those of the current directory's folders included.

    One that can't be imported is logged by twisted.plugin with its traceback, and the rest go on. `kind` is what the
    log calls them.
    """
    found: dict[str, Any] = {}
    for package in packages():
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
    for module, _ in files():  # twisted.plugin's cache may be newer than the file, and of an older one
        for name, plugin in providers(sys.modules.get(module), interface).items():
            if IPlugin.providedBy(plugin):
                found.setdefault(name, plugin)
    return found


def packages() -> list[ModuleType]:
    """Where plugins are."""
    import slp_plugins
    import twisted.plugins

    for package in (twisted.plugins, slp_plugins):
        local = str(Path.cwd() / FOLDERS[package.__name__])
        if Path(local).is_dir() and local not in map(str, package.__path__):
            package.__path__.append(local)
    return [twisted.plugins, slp_plugins]


def files() -> Iterator[tuple[str, Path]]:
    """The modules of plugins, by name, with their files: `__init__.py` where it is a package."""
    for package in packages():
        for module in getModule(package.__name__).iterModules():
            yield module.name, Path(module.filePath.path)


def sources(path: Path) -> list[Path]:
    """The files of a module."""
    return sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]


def broken(words: Iterable[str]) -> Iterator[str]:
    """The modules that have one of `words` in their text and can't be imported; and why not. Those that nobody has
    imported yet are."""
    for module, path in files():
        if module not in sys.modules and _has(path, words):
            try:
                import_module(module)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                yield f"{module} can't be imported: {told(error)}"


def _has(path: Path, words: Iterable[str]) -> bool:
    """Whether one of `words` is in a module's text, or may be: where that can't be read."""
    try:
        return any(word.encode() in file.read_bytes() for file in sources(path) for word in words)
    except OSError:
        return True


def version(module: str) -> str:
    """What tells one state of a module's code from another: its `__version__`, else what its file hashes to."""
    code = sys.modules.get(module)
    said = getattr(code, "__version__", None)
    if isinstance(said, str):
        return said
    try:
        return sha256(Path(str(getattr(code, "__file__", ""))).read_bytes()).hexdigest()[:8]
    except OSError:
        return ""


def module_of(interface: type[Interface], name: str) -> str | None:
    """The name of the module that has the plugin `name`; None where none has.

    It looks at the modules themselves: twisted.plugin, asked while a file is newer than what was imported of it, would
    take the old plugins into its cache for the new ones.
    """
    return next((module for module, _ in files() if name in providers(sys.modules.get(module), interface)), None)


def providers(module: ModuleType | None, interface: type[Interface]) -> dict[str, Any]:
    """The plugins of a module that provide `interface`, by their `name`; not those that it has imported from others."""
    found: dict[str, Any] = {}
    for value in vars(module).values() if module is not None else ():
        if interface.providedBy(value):
            plugin: Any = value
            if not is_imported(plugin.__module__, getattr(module, "__name__", "")):
                found[plugin.name] = plugin
    return found


def is_imported(origin: str, module: str) -> bool:
    """Whether what comes from `origin` is another plugin module's than `module`."""
    ours = any(origin.startswith(f"{package}.") for package in FOLDERS)
    return ours and not f"{origin}.".startswith(f"{module}.")


class Renewal:
    """A plugin module as its file is now, beside the old one, whose code goes on with whoever runs on it.

    Other modules that it imports stay as they are, those of its own package apart. Raises PluginError.
    """

    def __init__(self, module: str) -> None:
        path = dict(files()).get(module)
        if path is None:
            raise PluginError(f"there is no module {module}")
        self._name = module
        self._old = {
            name: sys.modules.pop(name) for name in list(sys.modules) if name == module or name.startswith(f"{module}.")
        }
        folder = [str(path.parent)] if path.name == "__init__.py" else None
        spec = spec_from_file_location(module, path, submodule_search_locations=folder)
        assert spec is not None
        self.module = module_from_spec(spec)
        sys.modules[module] = self.module
        linecache.checkcache(str(path))
        try:
            # Not by its loader: that would take a cached one for new which is of the same second and size.
            exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(self.module))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.undo()
            raise PluginError(told(error)) from error
        self._name_it(self.module)

    def undo(self) -> None:
        """As if it had not been."""
        for name in list(sys.modules):
            if name == self._name or name.startswith(f"{self._name}."):
                del sys.modules[name]
        sys.modules.update(self._old)
        self._name_it(self._old.get(self._name))

    def _name_it(self, module: ModuleType | None) -> None:
        package, _, name = self._name.rpartition(".")
        if module is not None:
            setattr(sys.modules[package], name, module)


def renew(interface: type[Interface], kind: str, name: str) -> tuple[Any, Renewal]:
    """The plugin `name`, from its file as it is now. `name` is the plugin's, or its module's where that has only one.

    Raises PluginError.
    """
    module = located(interface, name) or next((each for each, _ in files() if each.rpartition(".")[2] == name), None)
    if module is None:
        raise missing(kind, name)
    renewal = Renewal(module)
    plugins = providers(renewal.module, interface)
    plugin = plugins.get(name) or (next(iter(plugins.values())) if len(plugins) == 1 else None)
    if plugin is None:
        renewal.undo()
        raise PluginError(f"{module} has no {kind} named {name!r}")
    return plugin, renewal


def located(interface: type[Interface], name: str) -> str | None:
    """As `module_of`, once the modules that nobody has imported yet are imported. What can't be is logged, and the rest
    go on."""
    module = module_of(interface, name)
    if module is not None:
        return module
    for new, _ in files():
        if new not in sys.modules:
            try:
                import_module(new)
            except KeyboardInterrupt:
                raise
            except BaseException:
                _log.failure("{module} can't be imported", module=new)
    return module_of(interface, name)


def current(interface: type[Interface], kind: str, name: str) -> Any:
    """The plugin `name`, as its module was imported last. Raises PluginError where there is none."""
    module = located(interface, name)
    if module is None:
        raise missing(kind, name)
    return providers(sys.modules[module], interface)[name]


def missing(kind: str, name: str) -> PluginError:
    """There is no plugin `name`, or its module can't be imported."""
    return PluginError("; ".join((f"no {kind} is named {name[:80]!r}", *broken([name]))))


def told(error: BaseException) -> str:
    """What went wrong, and where: in which line of a plugin, if it was in one."""
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}, line {error.lineno}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    plugins = {str(path) for _, path in files()}
    frames = [frame for frame in frames if frame.filename in plugins] or frames
    where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}: {error}"
