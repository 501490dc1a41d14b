"""Watch mode, for developers: a plugin is loaded again when its file is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from gortc.loader import Loader, refresh
from gortc.plugins import files, sources

LOOK_EVERY: Final = 0.5
"""Between two looks at the files, in seconds."""
Stamp = tuple[int, int, int]


class Watch:
    """Looks at the plugins' files, those of packages included, and has changed ones loaded."""

    def __init__(self, loaders: list[Loader], reactor: Any) -> None:
        self._loaders = loaders
        self._reactor = reactor
        self._stamps: dict[str, list[Stamp]] = {}
        self._call: Any = None

    def start(self) -> None:
        """What is there now is loaded already."""
        self._stamps = stamps()
        self._call = self._reactor.callLater(LOOK_EVERY, self.look)

    def stop(self) -> None:
        """No longer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def look(self) -> None:
        """Have what has changed since the last look loaded."""
        before, self._stamps = self._stamps, stamps()
        self._call = self._reactor.callLater(LOOK_EVERY, self.look)
        for module, stamp in self._stamps.items():
            if before.get(module) != stamp:
                refresh(module, self._loaders)


def stamps() -> dict[str, list[Stamp]]:
    """What changes with the file of a module, or with those of a package."""
    return {module: [stamp for file in sources(path) for stamp in _stamp(file)] for module, path in files()}


def _stamp(path: Path) -> list[Stamp]:
    try:
        found = path.stat()
    except OSError:  # it goes just now
        return []
    return [(found.st_mtime_ns, found.st_size, found.st_ino)]
