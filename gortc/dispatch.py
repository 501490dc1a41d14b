"""Dispatch: which service instance a message is for. docs/jsip.md section 6.

A session that has an owner goes to it; a new one gets an owner here, by the `type` and `relid` of its first Router
URI, or an answer that says why not.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gortc.jsip.layers import Dispatch
from gortc.jsip.message import Headers, Request, Response, response
from gortc.jsip.tape import Tape
from gortc.jsip.uri import KEPT_LENGTH, KEPT_MAX, BadURI, parse
from gortc.service.task import START, Task

if TYPE_CHECKING:
    from gortc.jsip.sessions import Sessions
    from gortc.service.context import Context
    from gortc.service.registry import Registry

DEFAULT: Final = "default"

BY_RELID: Final = "its relid is an instance's"
BY_TYPE: Final = "its Router names the type"
BY_HOST: Final = "the host's first label is a service's name"
BY_DEFAULT: Final = "nothing names a service"
"""Why a request is whose it is."""


class Router:
    """What dispatch wants to know of a Router header.

    Of its first URI the `host`, the `service` and the `relid` that it names; whether it is for us (`ours`); and the
    `rest` of the header, None where there is none.
    """

    def __init__(self, host: str, service: str | None, relid: str | None, ours: bool, rest: str | None) -> None:
        self.host = host
        self.service = service
        self.relid = relid
        self.ours = ours
        self.rest = rest


class Dispatcher(Dispatch):
    """The storey between the stack and the service logic. `services` are the loaded ones, by name."""

    below: Sessions

    def __init__(
        self, services: Registry, realm: str, domains: frozenset[str], by_host: bool, tape: Tape | None = None
    ) -> None:
        self.tape = tape
        self.services = services
        self.minted: dict[str, Task] = {}
        self.chosen: dict[tuple[str, str], Task] = {}
        self._realm = realm
        self._domains = domains
        self.by_host = by_host
        """Whether the host's first label selects a service."""
        self._known = lru_cache(maxsize=KEPT_MAX)(self._read)  # peers say the same few again and again
        self.retry_after = 0
        """While the server drains: after how many seconds a new session may be tried again; 0: now."""

    def receive(self, message: Request | Response) -> None:
        """Find an owner for a session that has none: its first request, for what is refused is over."""
        assert type(message) is Request
        self._select(message)

    def start(self, context: Context, details: dict[str, object]) -> Task:
        """An instance of a service without an incoming session."""
        task = Task(self, context)
        name = f"start_{self._realm}_{os.urandom(16).hex()}"  # by which its legs are related
        task.begin(Request({"Type": START, **details}, START, 0, name, "", "", local=True))
        return task

    def mint(self, task: Task) -> str:
        """A relid for `task` alone, valid whatever the service that a Router names."""
        relid = f"rel_{self._realm}_{os.urandom(16).hex()}"
        task.keep_relid(self.minted, relid)
        return relid

    def relate(self, task: Task, key: str) -> None:
        """A relid of the service's choice. Raises KeyError where another instance has it."""
        row = (task.context.name, key)
        if row in self.chosen:
            raise KeyError(key)
        task.keep_relid(self.chosen, row)

    def _select(self, request: Request) -> None:
        """Section 6, step by step."""
        if self.retry_after:
            return self._refuse(request, 503, "the server is stopping", {"Retry-After": self.retry_after})
        try:
            router = self._take_router(request)
        except BadURI as bad:  # step 3
            return self._refuse(request, 400, f"Router: {bad}")
        found, why = self.choose(router, request.headers["Request-URI"])
        if found is None:
            return self._refuse(request, 404, why)
        if isinstance(found, Task):
            return self._enter(found, request)
        task = Task(self, found)
        relid = router.relid if router is not None else None
        if relid:
            task.relation = relid
            task.keep_relid(self.chosen, (found.name, relid))
        task.join(request.session)
        task.begin(request)

    def choose(self, router: Router | None, uri: str) -> tuple[Task | Context | None, str]:
        """Whose a first request to `uri` is: an instance, or the service that gets a new one; and why. Or None, and why
        it is nobody's."""
        name, relid = (router.service, router.relid) if router is not None else (None, None)
        if relid and relid.startswith(f"rel_{self._realm}_"):  # step 6: minted ones, whatever the type
            task = self.minted.get(relid)
            return (task, BY_RELID) if task is not None else (None, "the instance of this relid is gone")
        why = BY_TYPE  # step 4
        if not name:
            name, why = self._name_by_host(uri, router), BY_HOST
        if not name:
            name, why = DEFAULT, BY_DEFAULT
        context = self.services.loaded.get(name)
        if context is None:  # step 5
            return None, f"no service is loaded as {name[:80]!r}"
        task = self.chosen.get((name, relid)) if relid else None
        return (task, BY_RELID) if task is not None else (context, why)

    def which(self, text: str | None, uri: str) -> tuple[Task | Context | None, str]:
        """What `choose` says of a request with the Router `text`. Raises BadURI where that, or `uri`, can't be read."""
        return self.choose(self._read(text) if text is not None else None, uri)

    def _enter(self, task: Task, request: Request) -> None:
        task.join(request.session)
        task.receive(request)

    def _take_router(self, request: Request) -> Router | None:
        """The first Router URI; taken off (step 7) where it selects a service or names this node."""
        text = request.headers.get("Router")
        if text is None:
            return None
        router = self._known(text) if len(text) <= KEPT_LENGTH else self._read(text)
        if router.ours:
            if router.rest is not None:
                request.headers["Router"] = router.rest
            else:
                del request.headers["Router"]
        return router

    def _read(self, text: str) -> Router:
        first, comma, rest = text.partition(",")
        uri = parse(first.strip())
        ours = uri.name in self._domains or "type" in uri.params or "relid" in uri.params
        return Router(uri.host, uri.params.get("type"), uri.params.get("relid"), ours, rest.strip() if comma else None)

    def _name_by_host(self, uri: str, router: Router | None) -> str | None:
        if not self.by_host:
            return None
        label = (router.host if router is not None else parse(uri).host).partition(".")[0]
        return label if self.services.get(label) is not None else None

    def _refuse(self, request: Request, code: int, reason: str, headers: Headers | None = None) -> None:
        request.session.send(response(request, code, {"Reason": reason, **(headers or {})}))
