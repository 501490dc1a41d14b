"""The loaded services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gortc.jsip.uri import BadURI, parse
from gortc.oam.access import permit
from gortc.oam.route import ADMIN, BAD_PATH, BAD_VALUE, OPERATE, READ, Answer, Problem, Query, Route
from gortc.oam.runtime import legs
from gortc.plugins import PluginError
from gortc.service.context import Context
from gortc.service.task import Task

if TYPE_CHECKING:
    from gortc.loader import Loader
    from gortc.node import Node
    from gortc.service.registry import Registry


def routes(node: Node, loader: Loader) -> list[Route]:
    """What there is, loading and removing it, and which one would get a request."""

    def slps(query: Query) -> Answer:
        return {"slps": [row(context) for context in node.services]}

    def load(query: Query) -> Answer:
        try:
            return row(loader.load(query["name"], query.get("file")))
        except PluginError as error:
            raise Problem(422, BAD_VALUE, str(error)) from None

    def remove(query: Query) -> Answer:
        try:
            loader.remove(query["name"])
        except KeyError:
            raise Problem(404, BAD_PATH, "no such service is loaded") from None
        return {}

    def which(query: Query) -> Answer:
        uri = query.get("uri", "")
        try:
            router = query.get("router")
            if router is not None and "relid" in parse(router.partition(",")[0].strip()).params:
                permit(query.role, OPERATE)  # else a reader could check a guess
            found, why = node.dispatch.which(router, uri)
            called = parse(uri).name
        except BadURI as bad:
            raise Problem(400, BAD_VALUE, str(bad)) from None
        if isinstance(found, Task):
            return {"service": found.context.name, **legs(found), "why": why}
        if isinstance(found, Context):
            found, why = handed_over(node.services, found, called, why)
        return {"service": found.name if found is not None else None, "legs": None, "why": why}

    file = {"file": "The name of the plugin; by default the one that is loaded, or is named so."}
    load_text = "Load a service, as its file is now: new sessions get it, running instances go on with the old one."
    asked = {"uri": "Its Request-URI.", "router": "Its Router, where it has one; one with a relid needs operate."}
    text = "Which service, or which instance by its legs, would get a first request, and why."
    return [
        Route("GET", "/slpm/v1/slps", READ, "The loaded services, with their instances and failures.", slps),
        Route("POST", "/slpm/v1/<name>", ADMIN, load_text, load, file),
        Route("DELETE", "/slpm/v1/<name>", ADMIN, "Remove a service; running instances go on.", remove),
        Route("GET", "/runtime/v1/which", READ, text, which, asked),
    ]


def handed_over(services: Registry, context: Context, called: str, why: str) -> tuple[Context | None, str]:
    """Who gets a call to `called` in the end, where services say beforehand to whom they hand it over; and why."""
    seen = set()
    while context.name not in seen:
        seen.add(context.name)
        foretell = getattr(context.logic, "hands_over", None)
        name = foretell(context, called) if foretell is not None else None
        if name is None:
            break
        why = f"{why}; {context.name} hands it over to {name}"
        following = services.get(name)
        if following is None:
            return None, f"{why}, which is not loaded"
        context = following
    return context, why


def row(context: Context) -> dict[str, Any]:
    """What is told of a service."""
    return {
        "name": context.name,
        "plugin": context.logic.name,
        "module": context.logic.__module__,
        "version": context.version,
        "retired": context.is_retired,
        "instances": len(context.tasks),
        "total": context.total,
        "failures": context.failures,
        "loaded_at": context.loaded_at,
    }
