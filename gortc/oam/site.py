"""The management API over HTTP. docs/operations.md, "Management"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import isawaitable
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from gortc.jsip.layers import Journal
from gortc.jsip.timers import Timers
from gortc.oam.access import NOBODY, Access, Who, permit
from gortc.oam.apis import Apis
from gortc.oam.doors import hide
from gortc.oam.exchange import BODY_MAX, Asking, Exchange, Site
from gortc.oam.interfaces import Asked
from gortc.oam.known import Known
from gortc.oam.openapi import document
from gortc.oam.paths import Operation, Table, encoded, read
from gortc.oam.route import BAD_VALUE, FAILED, JSON, OK, OPEN, READ, Answer, Problem, Query, Route, Text
from gortc.oam.strangers import Strangers
from gortc.oam.turns import ApiDoor, Work
from gortc.printable import line
from gortc.settings import Settings

__all__ = ["BODY_MAX", "site"]

LOGGED_MAX: Final = 200
"""So many characters of what a client says are logged, of each thing that it says."""
LOOKED_AT: Final = 1024
"""So many of a stranger's target are looked at for it."""
FIELDS_MAX: Final = 100
"""A query has so many fields at most."""

_log = Logger(namespace="gortc.api")


def site(
    routes: Iterable[Route],
    access: Access,
    apis: Apis,
    known: Known,
    strangers: Strangers,
    settings: Callable[[], Settings],
    timers: Timers,
    journal: Journal,
    door: ApiDoor,
) -> Site:
    """The site that answers for these routes, for /openapi.json, and for the plugins of `apis`; work is done at the
    `door`. `timers` are not those of calls."""
    table = list(routes)

    def described(query: Query) -> Answer:
        return Text(orjson.dumps(document(table)).decode(), JSON)

    table.append(Route("GET", "/openapi.json", READ, "This API, as OpenAPI 3.1.", described))
    return Site(Desk(Table(table), access, apis, known, strangers, timers, door), settings, timers, journal)


class Desk:
    """Takes each request: who may, what is asked, and how the answer is written and logged."""

    def __init__(
        self,
        table: Table,
        access: Access,
        apis: Apis,
        known: Known,
        strangers: Strangers,
        timers: Timers,
        door: ApiDoor,
    ) -> None:
        self._table = table
        self._access = access
        self._apis = apis
        self._known = known
        self._strangers = strangers
        self._now = timers.clock.seconds
        self._door = door

    def admit(self, asking: Asking) -> None:
        """Whether it may go on, by its head. Raises Problem. First it is seen who asks, so nobody learns what there is,
        or has anything taken apart, before he may `read`."""
        asking.who = NOBODY
        target, shown, method = read(asking.target), headers(asking), asking.method.decode("ascii")
        asking.query = target.query
        if target.host is not None:
            shown["host"] = target.host
        asking.who = who = self._access.who(shown)
        if who is not NOBODY:
            asking.channel.shown(who)
        for_probes = self._table.probed(method, target.path)
        self._access.check(shown, needs_host=for_probes is None)
        if who is not NOBODY:
            asking.operation = self._table.find(method, target.parts)
        elif for_probes is not None and for_probes.role == OPEN:
            asking.operation = for_probes
        permit(who.role, asking.operation.role if asking.operation is not None else READ)

    async def answer(self, asking: Asking) -> bytes:
        """The body of the answer."""
        who, operation = asking.who, asking.operation
        try:
            await Work(self._door, who.token or asking.channel.address).begin()
            return self._write(asking, await self._do(asking, operation, who))
        except Problem as problem:
            return self.refuse(asking, problem)
        except Exception as error:
            if isinstance(error, CancelledError) and asking.gone:
                self._note(asking, 499, 0)
                raise
            _log.failure("{operation} failed", operation=operation.name)
            return self.refuse(asking, Problem(500, FAILED, "it has failed; the log says why"))

    async def _do(self, asking: Asking, operation: Operation, who: Who) -> Answer:
        route = operation.route
        if operation.role != OPEN:
            await self._apis.allow(asked(asking, operation, operation.path, operation.parts))
        if route is None:
            below = asked(asking, operation, encoded(*operation.rest), operation.rest)
            return await self._apis.serve(operation.plugin, below)
        known = read_query(asking.query, route.query) if not route.is_probed else {}
        answer = route.answer(Query({**known, **operation.named}, who.role))
        return await answer if isawaitable(answer) else answer

    def _write(self, asking: Asking, answer: Answer) -> bytes:
        if isinstance(answer, Text):
            return self._finish(asking, answer.status, answer.kind, answer.text.encode())
        body = orjson.dumps({"code": OK, "msg": "OK", **answer}, default=str)
        return self._finish(asking, 200, JSON, body)

    def refuse(self, asking: Asking, problem: Problem) -> bytes:
        """The body of an answer that says why not."""
        why = problem.why.encode("utf-8", "replace").decode()  # a plugin's may be half an emoji
        body = orjson.dumps({"code": problem.code, "msg": why})
        if problem.status == 401:
            asking.setHeader("WWW-Authenticate", 'Bearer realm="gortc"')
        if problem.allow:
            asking.setHeader("Allow", problem.allow)
        return self._finish(asking, problem.status, JSON, body)

    def rejected(self, exchange: Exchange, status: int) -> None:
        """What came there has never become a request; what it was is told to nobody."""
        who = exchange.whose or NOBODY
        address = getattr(exchange.transport.getPeer(), "host", "")
        row = {"address": address, "who": line(who.name, LOGGED_MAX), "role": who.role, "method": "-", "path": "-"}
        self._tell(exchange, who, {**row, "status": status}, {"bytes": 0, "ms": 0.0}, is_open=False)

    def _finish(self, asking: Asking, status: int, kind: str, body: bytes) -> bytes:
        asking.setResponseCode(status)
        asking.setHeader("Content-Type", kind)
        asking.setHeader("Cache-Control", "no-store")
        asking.setHeader("X-Content-Type-Options", "nosniff")
        self._note(asking, status, len(body))
        return body

    def _note(self, asking: Asking, status: int, size: int) -> None:
        """Query strings, which may name people, stay out of the log, and of the access log."""
        who = asking.who
        path = f"/{asking.operation.path}" if asking.operation else asking.target[:LOOKED_AT].partition("?")[0]
        row = {
            "address": getattr(asking.getClientAddress(), "host", ""),
            "who": line(who.name, LOGGED_MAX),
            "role": who.role,
            "method": line(asking.method.decode("ascii"), LOGGED_MAX),
            "path": line(hide(path), LOGGED_MAX),
            "status": status,
        }
        more = {"bytes": size, "ms": round(1000 * (self._now() - asking.came_at), 3)}
        is_open = asking.operation is not None and asking.operation.role == OPEN
        self._tell(asking.channel, who, row, more, is_open)

    def _tell(
        self, exchange: Exchange, who: Who, row: Mapping[str, Any], more: Mapping[str, Any], is_open: bool
    ) -> None:
        """Who has changed something is worth a line; who has looked, one of the access log. Nobody may fill either."""
        if who is NOBODY:
            self._strangers.line(row, more, exchange.address, is_open)
            return
        self._known.line(row, more)


def headers(asking: Asking) -> dict[str, str]:
    """Its headers, names in lower case; one that came several times, with commas."""
    return {
        name.decode("latin-1").lower(): ", ".join(value.decode("latin-1") for value in values)
        for name, values in asking.requestHeaders.getAllRawHeaders()
    }


def read_query(query: str, known: Mapping[str, str] | None) -> dict[str, str]:
    """The fields of a query. Raises Problem where one is not `known` (None: any may be there), or is there twice."""
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise Problem(400, BAD_VALUE, f"the query has more than {FIELDS_MAX} fields, or what is no UTF-8") from None
    for name, value in pairs:
        if known is not None and name not in known:
            raise Problem(400, BAD_VALUE, f"no such field: {name[:80]}")
        if name in fields:
            raise Problem(400, BAD_VALUE, f"{name[:80]} is there more than once")
        fields[name] = value
    return fields


def asked(asking: Asking, operation: Operation, path: str, parts: tuple[str, ...]) -> Asked:
    """A request, for plugins. Raises Problem where its query is none, or its body is no JSON."""
    data = asking.content.getvalue() if asking.content is not None else b""
    try:
        body = orjson.loads(data) if data else None
    except orjson.JSONDecodeError as error:
        raise Problem(400, BAD_VALUE, f"the body is not JSON: {error}") from None
    address = getattr(asking.getClientAddress(), "host", "")
    query = read_query(asking.query, None)
    return Asked(operation.method, path, query, body, asking.who.role, address, parts, operation.name)
