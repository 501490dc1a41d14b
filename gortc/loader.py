"""Loading plugins while the server runs: services and APIs, each kind on a shelf of its own.

A plugin is loaded as its file is now, or not at all: whatever goes wrong, what was in charge stays so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from attrs import frozen
from twisted.logger import Logger
from zope.interface import Interface

from gortc.plugins import PluginError, Renewal, broken, current, find, module_of, providers, renew, told
from gortc.service.registry import ServiceError, Use, plan
from gortc.state import State

Wanted = Mapping[str, Any]
"""What the settings say: name -> a dict, Use(plugin, config), or None."""
NOTHING: Final[Wanted] = {}

_log = Logger(namespace="gortc.plugins")


class Shelf(Protocol):
    """Where the loaded ones of a kind are."""

    def loaded_plugins(self) -> Mapping[str, str]:
        """Name -> the name of its plugin."""

    def prepare(self, plugin: Any, name: str, config: Mapping[str, Any]) -> Any:
        """Load `plugin`; it is not in charge yet. Raises whatever it does, and PluginError for a name that can't be."""

    def swap(self, made: Any) -> None:
        """Put what was made in charge of its name."""

    def discard(self, made: Any) -> None:
        """What was made will not be needed."""

    def remove(self, name: str) -> None:
        """Raises KeyError where nothing has that name."""


@frozen
class Kind:
    """A kind of plugin."""

    interface: type[Interface]
    word: str
    """What the log calls one."""
    setting: str
    """The setting that says which are wanted; in the state file, too."""
    vital: str = ""
    """The name of one that nothing may go on without, unless it is removed."""
    marks: tuple[str, ...] = ()
    """What a module has in its text that may have the vital one: whoever can't import it does not know."""


class Loader:
    """Loads plugins of one kind. `wanted()` is what the settings say; `state` keeps what it was told through a
    restart."""

    def __init__(self, kind: Kind, shelf: Shelf, state: State, wanted: Callable[[], Wanted]) -> None:
        self._kind = kind
        self._shelf = shelf
        self._state = state
        self._wanted = wanted

    def start(self) -> set[str]:
        """Load what the settings and the state say; what can't be loaded is logged, and the others are. Returns the
        names of those. Raises ServiceError where the settings name a missing plugin, or the vital one may be in a
        module that can't be imported."""
        failed = set()
        kind = self._kind
        try:
            self._check(self._wanted())
        except PluginError as error:
            raise ServiceError(f"{kind.setting}: {error}") from None
        found = find(kind.interface, kind.word)
        plan(found, self._wanted(), kind.setting)
        wanted = dict(self._wanted())
        for name, plugin in self._state.of(kind.setting).items():
            if plugin in found:
                wanted[name] = Use(plugin, self._config(name, wanted))
            elif name in found:
                wanted[name] = None
            else:
                wanted.pop(name, None)
            if plugin is not None and plugin not in found:
                text = "{kind} {name}: no plugin is named {plugin!r} any more"
                _log.error(text, kind=kind.word, name=name, plugin=plugin)
                failed.add(name)
        for name, made, config in plan(found, wanted, kind.setting):
            try:
                self._shelf.swap(self._shelf.prepare(made, name, config))
            except Exception:
                _log.failure("{kind} {name} can't be loaded", kind=kind.word, name=name)
                failed.add(name)
        return failed

    def load(self, name: str, plugin: str | None = None) -> Any:
        """Load `plugin`, as its file is now, under `name`; by default the plugin that is there, or is named so.

        Raises PluginError.
        """
        kind = self._kind
        plugin = plugin or self._shelf.loaded_plugins().get(name) or self._settled(name, self._wanted()) or name
        made, renewal = renew(kind.interface, kind.word, plugin)
        loaded = self._put(name, made, renewal)
        self._keep(name, plugin)
        return loaded

    def remove(self, name: str) -> None:
        """Raises KeyError where nothing has that name."""
        self._shelf.remove(name)
        self._keep(name, None)
        _log.info("{kind} {name} is removed", kind=self._kind.word, name=name)

    def refresh(self, renewal: Renewal) -> None:
        """A module was read anew: load what it has, where that was loaded or is new. Logs what is wrong."""
        loaded, wanted = self._shelf.loaded_plugins(), self._wanted()
        known = {*wanted, *self._state.of(self._kind.setting)}
        for plugin, made in providers(renewal.module, self._kind.interface).items():
            names = sorted(name for name, its in loaded.items() if its == plugin)
            for name in names or ([] if plugin in known else [plugin]):
                try:
                    self._put(name, made, renewal)
                except PluginError as error:
                    text = "{kind} {name}: {error}; what was loaded before stays"
                    _log.error(text, kind=self._kind.word, name=name, error=error)

    def prepare(self, new: Wanted) -> Prepared:
        """What is to be done where the settings say `new`; nothing of it is in charge yet. Raises PluginError."""
        old, state, loaded = self._wanted(), self._state.of(self._kind.setting), self._shelf.loaded_plugins()
        prepared = Prepared(self._shelf, [], [])
        vital = self._kind.vital
        try:
            if old.get(vital, NOTHING) != new.get(vital, NOTHING):
                self._check(new)
            for name in {**old, **new}:
                missing = new.get(name) is not None and name not in loaded
                if old.get(name, NOTHING) == new.get(name, NOTHING) and not missing:
                    continue
                plugin = state[name] if name in state else self._settled(name, new)
                if plugin is not None:
                    made = current(self._kind.interface, self._kind.word, plugin)
                    prepared.made.append(self._prepare(name, made, self._config(name, new)))
                elif name in loaded:
                    prepared.gone.append(name)
        except PluginError as error:
            prepared.undo()
            raise PluginError(f"{self._kind.setting}: {error}") from None
        return prepared

    def _check(self, wanted: Wanted) -> None:
        """Raises PluginError where the vital one may be in a module that can't be imported: what does not know of it
        would go on without it."""
        kind = self._kind
        settled = self._state.of(kind.setting).get(kind.vital, wanted.get(kind.vital, NOTHING))
        if kind.marks and settled is not None:
            for why in broken(kind.marks):
                raise PluginError(f"{kind.vital} may be where it can't be seen: {why}")

    def _prepare(self, name: str, plugin: Any, config: Mapping[str, Any]) -> Any:
        try:
            return self._shelf.prepare(plugin, name, config)
        except (PluginError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit(), too, is the plugin's own
            raise PluginError(f"{name}: {told(error)}") from error

    def _put(self, name: str, plugin: Any, renewal: Renewal) -> Any:
        replaced = name in self._shelf.loaded_plugins()
        try:
            made = self._prepare(name, plugin, self._config(name, self._wanted()))
        except PluginError:
            renewal.undo()
            raise
        self._shelf.swap(made)
        what = "is replaced" if replaced else "is loaded"
        text = "{kind} {name} {what}: {version}"
        _log.info(text, kind=self._kind.word, name=name, what=what, version=made.version)
        return made

    def _keep(self, name: str, plugin: str | None) -> None:
        """Remember what differs from the settings. Where that can't be written, it holds until the next restart."""
        try:
            if plugin == self._settled(name, self._wanted()):
                self._state.forget(self._kind.setting, name)
            else:
                self._state.put(self._kind.setting, name, plugin)
        except OSError as error:
            _log.error("what is loaded can't be kept for the next start: {error}", error=error)

    def _settled(self, name: str, wanted: Wanted) -> str | None:
        """The plugin that settings alone would load under `name`."""
        if name in wanted:
            want = wanted[name]
            return want.plugin if isinstance(want, Use) else None if want is None else name
        return name if module_of(self._kind.interface, name) is not None else None

    def _config(self, name: str, wanted: Wanted) -> Mapping[str, Any]:
        want = wanted.get(name) or NOTHING
        return want.config if isinstance(want, Use) else want


@frozen
class Prepared:
    """What other settings make of a shelf: what was `made` for it, and which names are `gone`."""

    _shelf: Shelf
    made: list[Any]
    gone: list[str]

    def apply(self) -> None:
        """So be it."""
        for made in self.made:
            self._shelf.swap(made)
        for name in self.gone:
            self._shelf.remove(name)

    def undo(self) -> None:
        """It will not be."""
        for made in self.made:
            self._shelf.discard(made)


def refresh(module: str, loaders: Iterable[Loader]) -> None:
    """The file of a module has changed: read it anew, and have what it has loaded. Logs what is wrong."""
    try:
        renewal = Renewal(module)
    except PluginError as error:
        _log.error("{error}; what was loaded before stays", error=error)
    else:
        for loader in loaders:
            loader.refresh(renewal)
