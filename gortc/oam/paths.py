"""Where a request goes. Its path is cut at the slashes and then decoded (RFC 3986 section 2.4), here and only here.

However a path is spelled, the table, API plugins, `access.v1` and the log have the same parts of it, and the one
spelling that these have: what may not be asked for in one spelling can be asked for in no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from attrs import field, frozen

from gortc.jsip.uri import canonical
from gortc.oam.route import BAD_METHOD, BAD_PATH, BAD_VALUE, OPERATE, READ, UNKNOWN_API, Problem, Route

KNOWN: Final = ("runtime", "slpm", "apim", "healthz", "readyz", "metrics", "openapi.json")
"""What our own paths begin with."""
METHODS: Final = ("GET", "POST", "PUT", "DELETE")
"""Those of API plugins."""
TARGET_MAX: Final = 8192
"""A target has so many bytes at most (RFC 9110 section 4.1 asks for 8000 or more)."""
PARTS_MAX: Final = 64
"""A path has so many parts at most."""
PCHAR: Final = "!$&'()*+,;=:@"
"""What needs no escape in a part, besides letters, digits, `-`, `.`, `_` and `~` (RFC 3986 section 3.3)."""

_ABSOLUTE: Final = re.compile(r"https?://([^/?#@]*)(/[^?]*)?(\?.*)?", re.IGNORECASE)
_PART: Final = re.compile(r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*")
_NAMED: Final = re.compile(r"<(?:(\w+):)?(\w+)>")


@frozen
class Target:
    """What a request line asks for: its path and query as they came, and the host where it names one. The path is empty
    where there is none."""

    path: str
    query: str
    host: str | None

    @property
    def parts(self) -> tuple[str, ...]:
        """Of the path, decoded. Raises Problem."""
        if not self.path:
            raise Problem(400, BAD_VALUE, "the target is no path")
        if len(self.path) + len(self.query) > TARGET_MAX or self.path.count("/") > PARTS_MAX:
            raise Problem(400, BAD_VALUE, f"the target has more than {TARGET_MAX} bytes or {PARTS_MAX} parts")
        return tuple(map(decoded, self.path[1:].split("/")))


@frozen
class Operation:
    """What is asked for, whatever it was spelled like."""

    name: str
    """The method and the path of the description, such as `GET /runtime/v1/channels/{name}`; of a plugin
    `GET /NAME/vN/...`."""
    method: str
    """A HEAD is a GET."""
    path: str
    """In its one spelling, without a slash in front."""
    role: str
    """The least one that may."""
    route: Route | None = None
    """None: it is a plugin's."""
    named: Mapping[str, str] = field(factory=dict)
    """What the path names."""
    plugin: str = ""
    rest: tuple[str, ...] = ()
    """The parts below /NAME/vN/."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Of the path, decoded."""
        return tuple(map(decoded, self.path.split("/")))


def read(text: str) -> Target:
    """A request's target, which costs next to nothing.

    RFC 9112 section 3.2.2: a server must take an absolute one, whose host counts instead of the header's.
    """
    host = None
    if not text.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(text)
        if absolute is None:
            return Target("", "", None)
        host = absolute[1]
        text = (absolute[2] or "/") + (absolute[3] or "")
    path, _, query = text.partition("?")
    return Target(path, query, host)


def decoded(part: str) -> str:
    """A part of a path. Raises Problem."""
    try:
        if _PART.fullmatch(part):
            return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        pass
    raise Problem(400, BAD_VALUE, "the path has an escape that is none, or what is no UTF-8")


def encoded(*parts: str) -> str:
    """Parts, in their one spelling."""
    return "/".join(quote(part, safe=PCHAR) for part in parts)


class Row:
    """A path of the table: what can be done there, by the method. `<name>` in it is any part that is not empty,
    `<user:name>` one that is a name, in its one spelling, and `<path:name>` one that may have slashes as they are."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.described = _NAMED.sub(r"{\2}", path)
        self.routes: dict[str, Route] = {}
        self._kinds = {name: kind for kind, name in _NAMED.findall(path)}
        text = re.escape(path.lstrip("/"))
        for kind, name in _NAMED.findall(path):
            written = re.escape(f"<{kind}:{name}>" if kind else f"<{name}>")
            text = text.replace(written, f"(?P<{name}>{'.+' if kind == 'path' else '[^/]+'})")
        self._pattern = re.compile(text)

    @property
    def plainness(self) -> tuple[int, int]:
        """Of two paths that match, the one goes first that says more, and names less."""
        return len(self._kinds), -len(_NAMED.sub("", self.path))

    def match(self, path: str) -> dict[str, str] | None:
        """What a path names, if it is one of these."""
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        named = {name: "/".join(map(decoded, text.split("/"))) for name, text in found.groupdict().items()}
        return {name: canonical(text) if self._kinds[name] == "user" else text for name, text in named.items()}

    def spell(self, named: Mapping[str, str]) -> str:
        """The path that names these."""
        return _NAMED.sub(lambda found: encoded(named[found[2]]), self.path).lstrip("/")


class Table:
    """All routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        rows: dict[str, Row] = {}
        routes = list(routes)
        for route in routes:
            rows.setdefault(route.path, Row(route.path)).routes[route.method] = route
        self._rows = sorted(rows.values(), key=lambda row: row.plainness)
        found = [self.find(route.method, read(route.path).parts) for route in routes if route.is_probed]
        self._probed = {(one.method, f"/{one.path}"): one for one in found}

    def probed(self, method: str, path: str) -> Operation | None:
        """What a request asks for, if that is for probes, and spelled as it is described: for who is nobody nothing is
        taken apart."""
        return self._probed.get(("GET" if method == "HEAD" else method, path))

    def find(self, method: str, parts: tuple[str, ...]) -> Operation:
        """What a request asks for. Raises Problem where there is nothing."""
        method = "GET" if method == "HEAD" else method
        path = encoded(*parts)
        for row in self._rows:
            named = row.match(path)
            if named is not None:
                route = row.routes.get(method)
                if route is None:
                    raise Problem(405, BAD_METHOD, "no such method here", ", ".join(sorted(row.routes)))
                return Operation(f"{method} {row.described}", method, row.spell(named), route.role, route, named)
        if parts[0] in KNOWN:
            raise Problem(404, BAD_PATH, "no such path")
        if len(parts) < 2:
            raise Problem(404, UNKNOWN_API, "no such API")
        return plugins(method, parts)


def plugins(method: str, parts: tuple[str, ...]) -> Operation:
    """An operation of an API plugin. A slash at the end of its path makes no difference to it."""
    name, number, *rest = parts
    while rest and not rest[-1]:
        rest.pop()
    path = f"{encoded(name, number)}/{encoded(*rest)}"
    role = READ if method == "GET" else OPERATE
    operation = f"{method} /{encoded(name, number)}/..."
    return Operation(operation, method, path, role, plugin=f"{name}.{number}", rest=tuple(rest))
