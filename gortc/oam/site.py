"""The management API over HTTP. docs/operations.md, "Management"."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from inspect import isawaitable
from time import monotonic
from typing import Any
from urllib.parse import unquote

import orjson
from klein import Klein
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException

from gortc.oam.access import NOBODY, Access, Who
from gortc.oam.apis import Apis
from gortc.oam.files import AccessLog
from gortc.oam.interfaces import Asked
from gortc.oam.openapi import document
from gortc.oam.route import (
    BAD_METHOD,
    BAD_PATH,
    BAD_VALUE,
    FAILED,
    OK,
    OPEN,
    OPERATE,
    READ,
    UNKNOWN_API,
    Answer,
    Problem,
    Query,
    Route,
    Text,
)

BODY_MAX = 65536
"""A request's body has so many bytes at most."""
KNOWN = ("runtime", "slpm", "apim", "healthz", "readyz", "metrics", "openapi.json")
"""What our own paths begin with."""

_log = Logger(namespace="gortc.api")


def site(routes: Iterable[Route], access: Access, apis: Apis, access_log: AccessLog) -> Site:
    """The site that answers for these routes, for /openapi.json, and for the plugins of `apis`."""
    table = list(routes)
    table.append(Route("GET", "/openapi.json", READ, "This API, as OpenAPI 3.1.", lambda query: document(table)))
    desk = Desk(access, apis, access_log)
    app = Klein()
    for route in table:
        app.route(route.path, methods=[route.method], endpoint=f"{route.method} {route.path}")(desk.endpoint(route))
    ours: dict[str, list[str]] = {}
    for route in table:
        pattern = re.sub(r"<path:\w+>", ".+", re.sub(r"<\w+>", "[^/]+", route.path))
        ours.setdefault(pattern, []).append(route.method)

    def missing(request: Any) -> Problem:
        """Why there is nothing."""
        path = request.path.decode("ascii", "replace")
        matching = [pattern for pattern in ours if re.fullmatch(pattern, path)]
        if matching:  # what says most of the path
            allow = ", ".join(sorted(ours[max(matching, key=lambda pattern: len(pattern.replace("[^/]+", "")))]))
            return Problem(405, BAD_METHOD, "no such method here", allow)
        if path.strip("/").partition("/")[0] not in KNOWN:
            return Problem(404, UNKNOWN_API, "no such API")
        return Problem(404, BAD_PATH, "no such path")

    @app.route("/<name>/<number>", defaults={"rest": ""})
    @app.route("/<name>/<number>/", defaults={"rest": ""})
    @app.route("/<name>/<number>/<path:rest>")
    async def plugin(request: Any, name: str, number: str, rest: str) -> bytes:
        if name in KNOWN:
            return desk.refuse(request, missing(request))
        return await desk.ask_plugin(request, f"{name}.{number}", rest)

    @app.handle_errors(HTTPException)
    def unknown(request: Any, failure: Any) -> bytes:
        return desk.refuse(request, missing(request))

    made = Management(app.resource(), requestFactory=Short, timeout=30)
    made.displayTracebacks = False
    made.noisy = False
    return made


class Management(Site):
    """A site that leaves the log to us: query strings are none of its business.

    A path is cut at its slashes before it is decoded (RFC 3986 section 2.4): a `%2F` belongs to a name. Klein joins the
    parts again, so what would look like another slash stays escaped until the route is found.
    """

    def getResourceFor(self, request: Any) -> Any:  # noqa: N802
        """Where a request goes."""
        request.postpath = [part.replace(b"%", b"%25").replace(b"/", b"%2F") for part in request.postpath]
        return super().getResourceFor(request)

    def log(self, request: object) -> None:
        """It has been logged."""


class Short(Request):
    """A request whose body is short: whoever sends more is hung up on."""

    came_at = 0.0
    """On a clock that only goes forward, in seconds."""
    _length = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """A part of the body."""
        self._length += len(data)
        if self._length <= BODY_MAX:
            super().handleContentChunk(data)
        elif self.channel is not None:
            self.channel.forceAbortClient()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """All of it is there."""
        self.came_at = monotonic()
        if self._length <= BODY_MAX:  # what was too long came to an end before the connection did
            super().requestReceived(command, path, version)


class Desk:
    """Takes each request: who may, what is asked, and how the answer is written and logged."""

    def __init__(self, access: Access, apis: Apis, access_log: AccessLog) -> None:
        self._access = access
        self._apis = apis
        self._access_log = access_log

    def endpoint(self, route: Route) -> Callable[..., Coroutine[Any, Any, bytes]]:
        """What Klein calls for a route."""

        async def answer(request: Any, **named: str) -> bytes:
            async def ours(who: Who) -> Answer:
                if route.role != OPEN:
                    await self._apis.allow(asked(request, who, request.path.decode("ascii", "replace").lstrip("/")))
                names = {name: unquote(text) for name, text in named.items()}
                answer = route.answer(read_query(request, route.query, names))
                return await answer if isawaitable(answer) else answer

            return await self._answer(request, route.role, ours)

        return answer

    async def ask_plugin(self, request: Any, name: str, rest: str) -> bytes:
        """A request to an API plugin."""

        async def theirs(who: Who) -> Answer:
            await self._apis.allow(asked(request, who, request.path.decode("ascii", "replace").lstrip("/")))
            parts = tuple(map(unquote, rest.split("/")))
            return await self._apis.serve(name, asked(request, who, "/".join(parts), parts))

        return await self._answer(request, READ if request.method in (b"GET", b"HEAD") else OPERATE, theirs)

    async def _answer(self, request: Any, least: str, answer: Callable[[Who], Coroutine[Any, Any, Answer]]) -> bytes:
        who = NOBODY
        try:
            who = self._access.check(headers(request), least)
            return self._write(request, who, await answer(who))
        except Problem as problem:
            return self.refuse(request, problem, who)
        except Exception as error:
            if isinstance(error, CancelledError) and request.channel is None:  # who has asked has gone
                self._note(request, who, 499, 0)
                raise
            method, path = request.method.decode("ascii", "replace"), request.path.decode("ascii", "replace")
            _log.failure("{method} {path} failed", method=method, path=path)
            return self.refuse(request, Problem(500, FAILED, "it has failed; the log says why"), who)

    def _write(self, request: Any, who: Who, answer: Answer) -> bytes:
        if isinstance(answer, Text):
            return self._finish(request, who, answer.status, answer.kind, answer.text.encode())
        body = orjson.dumps(answer if "openapi" in answer else {"code": OK, "msg": "OK", **answer}, default=str)
        return self._finish(request, who, 200, "application/json", body)

    def refuse(self, request: Any, problem: Problem, who: Who = NOBODY) -> bytes:
        """Say why not."""
        body = orjson.dumps({"code": problem.code, "msg": problem.why})
        if problem.status == 401:
            request.setHeader("WWW-Authenticate", 'Bearer realm="gortc"')
        if problem.allow:
            request.setHeader("Allow", problem.allow)
        return self._finish(request, who, problem.status, "application/json", body)

    def _finish(self, request: Any, who: Who, status: int, kind: str, body: bytes) -> bytes:
        request.setResponseCode(status)
        request.setHeader("Content-Type", kind)
        request.setHeader("Content-Length", str(len(body)))
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        self._note(request, who, status, len(body))
        return body

    def _note(self, request: Any, who: Who, status: int, size: int) -> None:
        """Who has changed something is worth a line; who has looked, one of the access log. Query strings, which may
        name people, stay out of both."""
        row = {
            "address": getattr(request.getClientAddress(), "host", ""),
            "who": who.name,
            "role": who.role,
            "method": request.method.decode("ascii", "replace"),
            "path": request.path.decode("ascii", "replace"),
            "status": status,
        }
        self._access_log.write({**row, "bytes": size, "ms": round(1000 * (monotonic() - request.came_at), 3)})
        say = _log.debug if request.method in (b"GET", b"HEAD") else _log.info
        say("{who} at {address}: {method} {path}: {status}", **row)


def headers(request: Any) -> dict[str, str]:
    """Its headers, names in lower case; one that came several times, with commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def read_query(request: Any, known: Mapping[str, str] | None, named: Mapping[str, str]) -> Query:
    """The fields of its query, and what its path has `named`. Raises Problem where a field is not `known` (None: any
    may be there), or is there twice."""
    fields = dict(named)
    for name, values in request.args.items():
        text = name.decode("utf-8", "replace")
        if known is not None and text not in known:
            raise Problem(400, BAD_VALUE, f"no such field: {text}")
        if len(values) != 1:
            raise Problem(400, BAD_VALUE, f"{text} is there more than once")
        fields[text] = values[0].decode("utf-8", "replace")
    return fields


def asked(request: Any, who: Who, path: str, parts: tuple[str, ...] = ()) -> Asked:
    """A request, for plugins. Raises Problem where its body is no JSON."""
    data = request.content.read()
    request.content.seek(0)
    try:
        body = orjson.loads(data) if data else None
    except orjson.JSONDecodeError as error:
        raise Problem(400, BAD_VALUE, f"the body is not JSON: {error}") from None
    address = getattr(request.getClientAddress(), "host", "")
    method = "GET" if request.method == b"HEAD" else request.method.decode("ascii", "replace")
    return Asked(method, path, read_query(request, None, {}), body, who.role, address, parts)
