"""What operators have loaded and removed while the server ran: a file, so that a restart changes nothing of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gortc.oam.files import followed


class State:
    """Kind ("services", "apis") -> name -> the plugin loaded under it, None where it was removed.

    The file is there only while there is something in it, for its owner alone. A symbolic link is followed, and stays,
    where root or we have made it; another one is not read, and a file takes its place. Raises ValueError, one line,
    where it can't be followed or read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            with open(followed(path), encoding="utf-8", opener=_opened) as file:
                self._rows = checked(json.load(file))
        except FileNotFoundError:
            self._rows = {}
        except (ValueError, OSError, RecursionError) as error:
            raise ValueError(f"state_file: {path}: {error}") from None

    def of(self, kind: str) -> Mapping[str, str | None]:
        """Those of a kind."""
        return self._rows.get(kind, {})

    def put(self, kind: str, name: str, plugin: str | None) -> None:
        """`plugin` was loaded under `name`, or, None, `name` removed. Raises OSError where it can't be written."""
        self._write({**self._rows, kind: {**self.of(kind), name: plugin}})

    def forget(self, kind: str, name: str) -> None:
        """With `name` it is as the settings say. Raises OSError."""
        if name in self.of(kind):
            self._write({**self._rows, kind: {key: row for key, row in self.of(kind).items() if key != name}})

    def _write(self, rows: dict[str, Any]) -> None:
        """All of it or nothing, whenever the machine stops."""
        rows = {kind: of_kind for kind, of_kind in rows.items() if of_kind}
        path = followed(self._path)
        if rows:
            new = f"{path}.new"
            with suppress(FileNotFoundError):
                os.remove(new)  # of a write that was cut off; or a link, which somebody has put there
            file_number = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(file_number, "w", encoding="utf-8") as file:
                    json.dump(rows, file, indent=2)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(new, path)
            except BaseException:
                os.remove(new)
                raise
        elif os.path.lexists(path):
            os.remove(path)
        self._rows = rows


def _opened(path: str, flags: int) -> int:
    """A pipe is not waited for."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def checked(rows: Any) -> dict[str, dict[str, str | None]]:
    """`rows`, where they are what they should be. Raises ValueError."""
    if isinstance(rows, dict) and all(
        isinstance(of_kind, dict) and all(plugin is None or isinstance(plugin, str) for plugin in of_kind.values())
        for of_kind in rows.values()
    ):
        return rows
    raise ValueError('it should be such as {"services": {"hunt400": null, "sales": "hunt400"}}')
