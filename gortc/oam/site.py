"""The management API over HTTP. docs/operations.md, "Management"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from klein import Klein
from twisted.logger import Logger
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from gortc.oam.access import Access
from gortc.oam.openapi import document
from gortc.oam.route import (
    BAD_METHOD,
    BAD_PATH,
    BAD_VALUE,
    FAILED,
    OK,
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
KNOWN = ("runtime", "slpm", "healthz", "readyz", "metrics", "openapi.json")
"""What paths begin with."""

_log = Logger(namespace="gortc.api")


def site(routes: Iterable[Route], access: Access) -> Site:
    """The site that answers for these routes, and for /openapi.json."""
    table = list(routes)
    table.append(Route("GET", "/openapi.json", READ, "This API, as OpenAPI 3.1.", lambda query: document(table)))
    app = Klein()
    for route in table:
        app.route(route.path, methods=[route.method], endpoint=f"{route.method} {route.path}")(_endpoint(route, access))

    @app.handle_errors(HTTPException)
    def unknown(request: Any, failure: Any) -> bytes:
        path = request.path.decode("ascii", "replace")
        if isinstance(failure.value, MethodNotAllowed):
            return _refuse(request, Problem(405, BAD_METHOD, "no such method here"))
        if path.strip("/").partition("/")[0] not in KNOWN:
            return _refuse(request, Problem(404, UNKNOWN_API, "no such API"))
        return _refuse(request, Problem(404, BAD_PATH, "no such path"))

    made = Management(app.resource(), requestFactory=Short, timeout=30)
    made.displayTracebacks = False
    made.noisy = False
    return made


class Management(Site):
    """A site that leaves the log to us: query strings are none of its business."""

    def log(self, request: object) -> None:
        """It has been logged."""


class Short(Request):
    """A request whose body is short: whoever sends more is hung up on."""

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
        if self._length <= BODY_MAX:  # what was too long came to an end before the connection did
            super().requestReceived(command, path, version)


def _endpoint(route: Route, access: Access) -> Callable[..., bytes]:
    def answer(request: Any, **named: str) -> bytes:
        role = "nobody"
        try:
            role = access.check(headers(request), route.role) or role
            return _write(request, role, route.answer(_query(request, route, named)))
        except Problem as problem:
            return _refuse(request, problem, role)
        except Exception:
            _log.failure("{method} {path} failed", method=route.method, path=route.path)
            return _refuse(request, Problem(500, FAILED, "it has failed; the log says why"), role)

    return answer


def headers(request: Any) -> dict[str, str]:
    """Its headers, names in lower case; one that came several times, with commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in request.requestHeaders.getAllRawHeaders()
    }


def _query(request: Any, route: Route, named: dict[str, str]) -> Query:
    fields = dict(named)
    for name, values in request.args.items():
        text = name.decode("utf-8", "replace")
        if text not in route.query:
            raise Problem(400, BAD_VALUE, f"no such field: {text}")
        if len(values) != 1:
            raise Problem(400, BAD_VALUE, f"{text} is there more than once")
        fields[text] = values[0].decode("utf-8", "replace")
    return fields


def _write(request: Any, role: str, answer: Answer) -> bytes:
    if isinstance(answer, Text):
        return _finish(request, role, answer.status, answer.kind, answer.text.encode())
    body = orjson.dumps(answer if "openapi" in answer else {"code": OK, "msg": "OK", **answer}, default=str)
    return _finish(request, role, 200, "application/json", body)


def _refuse(request: Any, problem: Problem, role: str = "nobody") -> bytes:
    body = orjson.dumps({"code": problem.code, "msg": problem.why})
    if problem.status == 401:
        request.setHeader("WWW-Authenticate", 'Bearer realm="gortc"')
    return _finish(request, role, problem.status, "application/json", body)


def _finish(request: Any, role: str, status: int, kind: str, body: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader("Content-Type", kind)
    request.setHeader("Content-Length", str(len(body)))
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("X-Content-Type-Options", "nosniff")
    # Who has changed something is worth a line; who has looked, one at debug. Query strings stay out of the log.
    say = _log.debug if request.method in (b"GET", b"HEAD") else _log.info
    say(
        "{role} {method} {path}: {status}",
        role=role,
        method=request.method.decode("ascii", "replace"),
        path=request.path.decode("ascii", "replace"),
        status=status,
        address=getattr(request.getClientAddress(), "host", ""),
    )
    return body
